// SPDX-License-Identifier: GPL-2.0-or-later
/* `envelope-kms init`: a complete KMS directory, or none at all. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "access_key.h"
#include "builtin.h"
#include "certs.h"
#include "commands.h"
#include "crypto.h"
#include "files.h"
#include "fresh.h"
#include "guide.h"
#include "log.h"
#include "material.h"
#include "seal.h"
#include "seed.h"
#include "server.h"
#include "store.h"
#include "store_identities.h"

#define ADMINISTRATOR "administrator"

/* Everything that is being made, in a directory of another name. */
struct init {
	const struct init_options *options;
	struct fresh fresh;
	struct secret *root;
	struct store *store;
	struct guide guide;
	char *endpoint;
};

static int make_root_key(struct init *in)
{
	int rc;

	in->root = secret_new(CRYPTO_KEY_BYTES);
	if (!in->root)
		return -ENOMEM;
	rc = crypto_random(secret_bytes(in->root), CRYPTO_KEY_BYTES);
	if (rc < 0)
		return rc;
	return file_write(in->fresh.work, FILE_ROOT_KEY, 0600,
			  secret_cbytes(in->root), CRYPTO_KEY_BYTES);
}

/* A sealed constant by which serve tells the right root key from another. */
static int store_root_check(struct init *in)
{
	struct seal_place place = { SEAL_CHECK, "", "", "", "" };
	struct secret *known = secret_new(CRYPTO_KEY_BYTES);
	uint8_t *sealed = NULL;
	size_t bytes;
	int rc = -ENOMEM;

	if (!known)
		return rc;
	rc = seal_close(in->root, &place, known, &sealed, &bytes);
	if (rc == 0)
		rc = store_set_blob(in->store, "root-check", sealed, bytes);
	free(sealed);
	secret_free(known);
	return rc;
}

static int store_settings(struct init *in)
{
	const struct init_options *o = in->options;
	char port[16];
	int rc;

	snprintf(port, sizeof(port), "%d", o->port);
	rc = store_set(in->store, "region", o->regions);
	if (rc == 0)
		rc = store_set(in->store, "account", o->account);
	if (rc == 0)
		rc = store_set(in->store, "listen", o->listen);
	if (rc == 0)
		rc = store_set(in->store, "port", port);
	if (rc == 0)
		rc = store_set(in->store, "endpoint-host",
			       o->host_count ? o->hosts[0] : o->listen);
	if (rc == 0 && o->test)
		rc = store_set(in->store, "test", "1");
	return rc == 0 ? store_root_check(in) : rc;
}

/* The same key under [default] and under our own profile name. */
static int write_credentials(struct init *in, const char *id,
			     const struct secret *key)
{
	struct secret *text = secret_new(1024);
	int n, rc = -ENOMEM;

	if (!text)
		return rc;
	n = snprintf((char *)secret_bytes(text), secret_len(text),
		     "[default]\n"
		     "aws_access_key_id = %s\n"
		     "aws_secret_access_key = %.*s\n\n"
		     "[" DEFAULT_PROFILE "]\n"
		     "aws_access_key_id = %s\n"
		     "aws_secret_access_key = %.*s\n",
		     id, SECRET_KEY_CHARS, (const char *)secret_cbytes(key),
		     id, SECRET_KEY_CHARS, (const char *)secret_cbytes(key));
	rc = file_write(in->fresh.work, FILE_CREDENTIALS, 0600,
			secret_cbytes(text), (size_t)n);
	secret_free(text);
	return rc;
}

static int make_access_key(struct init *in, const struct user_row *user)
{
	struct secret *key = NULL;
	char id[UNIQUE_ID_BYTES];
	int rc = access_key_create(in->store, in->root, user,
				   user->created_ms, id, &key);

	if (rc == 0)
		rc = write_credentials(in, id, key);
	secret_free(key);
	return rc;
}

static int make_administrator(struct init *in)
{
	struct user_row user = { .name = ADMINISTRATOR };
	int rc = unique_id("AIDA", user.user_id);

	if (rc < 0)
		return rc;
	snprintf(user.account, sizeof(user.account), "%s",
		 in->options->account);
	snprintf(user.arn, sizeof(user.arn), "arn:aws:iam::%s:user/%s",
		 user.account, user.name);
	user.created_ms = server_now_ms();
	rc = store_account_add(in->store, user.account, user.created_ms);
	if (rc == 0)
		rc = store_user_add(in->store, &user);
	if (rc == 0)
		rc = store_policy_put(in->store, user.account, KIND_USER,
				      user.name, "AdministratorAccess",
				      builtin_policy("AdministratorAccess"));
	return rc < 0 ? rc : make_access_key(in, &user);
}

static int make_default_key(struct init *in, const char *region)
{
	struct key_row key = { .description = "Default key of dm-envelope" };
	struct alias_row alias = { .name = DEFAULT_ALIAS };
	int rc;

	snprintf(key.account, sizeof(key.account), "%s",
		 in->options->account);
	snprintf(key.region, sizeof(key.region), "%s", region);
	rc = store_alias_get(in->store, key.account, region, DEFAULT_ALIAS,
			     &alias);
	if (rc != -ENOENT) /* 0: seeded */
		return rc;
	rc = key_create(in->store, in->root, &key);
	if (rc < 0)
		return rc;
	strcpy(alias.key_id, key.key_id);
	alias.created_ms = alias.updated_ms = key.created_ms;
	return store_alias_add(in->store, key.account, key.region, &alias);
}

static int make_default_keys(struct init *in)
{
	const char *list = in->options->regions;
	char region[REGION_BYTES];
	int rc = 0;

	while (rc == 0 && region_next(&list, region))
		rc = make_default_key(in, region);
	return rc;
}

static int make_database(struct init *in)
{
	char *path = file_path(in->fresh.work, FILE_DATABASE);
	int rc = -ENOMEM;

	if (!path)
		return rc;
	rc = store_create(path, &in->store);
	if (rc == 0)
		rc = store_begin(in->store);
	if (rc < 0)
		goto out;
	rc = store_settings(in);
	if (rc == 0)
		rc = make_administrator(in);
	if (rc == 0 && in->options->seed)
		rc = seed_keys(in->store, in->root, in->options->seed,
			       in->options->account, in->options->regions);
	if (rc == 0)
		rc = make_default_keys(in);
	if (rc == 0)
		rc = store_commit(in->store);
	else
		store_rollback(in->store);
out:
	free(path);
	/* Closing moves the log into the database: one file to rename. */
	store_close(in->store);
	in->store = NULL;
	return rc;
}

static int make_audit(struct init *in)
{
	char *dir = file_path(in->fresh.work, FILE_AUDIT_DIR);
	int rc = -ENOMEM;

	if (dir)
		rc = mkdir(dir, 0700) < 0 ? -errno : 0;
	if (rc == 0)
		rc = file_write(in->fresh.work, FILE_AUDIT, 0600, "", 0);
	if (rc == 0)
		rc = dir_sync(dir);
	free(dir);
	return rc;
}

static int write_conf(struct init *in)
{
	char *text = guide_conf(&in->guide);
	int rc = text ? file_write(in->fresh.work, FILE_CONF, 0644, text,
				   strlen(text)) : -ENOMEM;

	free(text);
	return rc;
}

static int begin(struct init *in)
{
	const struct init_options *o = in->options;
	const char *host = o->host_count ? o->hosts[0] : o->listen;
	int rc = fresh_find(o->dir, &in->fresh);

	if (rc < 0)
		return rc;
	if (asprintf(&in->endpoint, "https://%s%s%s:%d",
		     strchr(host, ':') ? "[" : "", host,
		     strchr(host, ':') ? "]" : "", o->port) < 0) {
		in->endpoint = NULL;
		return -ENOMEM;
	}
	in->guide.dir = in->fresh.dir;
	in->guide.endpoint = in->endpoint;
	in->guide.regions = o->regions;
	in->guide.account = o->account;
	return fresh_begin(&in->fresh, "init");
}

static int fill(struct init *in)
{
	int rc = make_root_key(in);

	if (rc == 0)
		rc = certs_make(in->fresh.work, in->options->hosts,
				in->options->host_count);
	if (rc == 0)
		rc = make_database(in);
	if (rc == 0)
		rc = make_audit(in);
	if (rc == 0)
		rc = write_conf(in);
	return rc == 0 ? dir_sync(in->fresh.work) : rc;
}

int cmd_init(const struct init_options *o)
{
	struct init in = { .options = o };
	int rc;

	umask(0077);
	rc = begin(&in);
	if (rc == 0)
		rc = fill(&in);
	if (rc == 0)
		rc = fresh_publish(&in.fresh);
	if (rc < 0)
		goto out;
	printf("Made a KMS in %s.\n\n", in.fresh.dir);
	guide_print(&in.guide, false);
out:
	secret_free(in.root);
	free(in.endpoint);
	fresh_end(&in.fresh);
	return rc;
}
