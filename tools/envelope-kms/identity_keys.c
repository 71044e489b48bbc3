// SPDX-License-Identifier: GPL-2.0-or-later
/* Access keys on the command line. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access_key.h"
#include "identity.h"
#include "log.h"
#include "root_key.h"
#include "server.h"

#define KEYS_PER_USER 2 /* as IAM has it: one in use, one to come */

/* The root key of the directory, if it is that of its database. */
static int read_root(struct identity_run *r, struct secret **ret)
{
	int rc = root_key_read(r->options->dir, ret);

	if (rc < 0)
		return rc;
	rc = root_key_check(r->options->dir, *ret, r->store);
	if (rc < 0) {
		secret_free(*ret);
		*ret = NULL;
	}
	return rc;
}

/* As a credentials file, or as `aws iam create-access-key` prints it. */
static int show_key(struct identity_run *r, const char *user, const char *id,
		    const struct secret *key)
{
	static const char plain[] = "[%s]\naws_access_key_id = %s\n"
		"aws_secret_access_key = %.*s\n";
	static const char json[] = "{\"AccessKey\": {\"UserName\": \"%s\", "
		"\"AccessKeyId\": \"%s\", \"Status\": \"Active\", "
		"\"SecretAccessKey\": \"%.*s\"}}\n";

	r->secret = secret_new(512);
	if (!r->secret)
		return -ENOMEM;
	r->secret_bytes = (size_t)snprintf((char *)secret_bytes(r->secret),
		secret_len(r->secret), r->options->json ? json : plain, user,
		id, SECRET_KEY_CHARS, (const char *)secret_cbytes(key));
	return identity_change(r, "CreateAccessKey",
			       json_pack("{s:s}", "userName", user),
			       json_pack("{s:{s:s, s:s, s:s}}", "accessKey",
					 "userName", user, "status", "Active",
					 "accessKeyId", id));
}

static int count_key(const char *const text[4], int64_t created_ms, void *arg)
{
	(void)text;
	(void)created_ms;
	++*(int *)arg;
	return 0;
}

static int check_count(struct identity_run *r, const struct user_row *user)
{
	int count = 0;
	int rc = store_access_key_list(r->store, user, count_key, &count);

	if (rc == 0 && count >= KEYS_PER_USER) {
		log_error("user %s: has %d access keys, which is the limit; delete one",
			  user->name, count);
		rc = -EDQUOT;
	}
	return rc;
}

int identity_create_access_key(struct identity_run *r)
{
	struct secret *root = NULL, *key = NULL;
	char id[UNIQUE_ID_BYTES];
	struct user_row user;
	int rc = identity_user(r, r->options->args[0], &user);

	if (rc == 0)
		rc = check_count(r, &user);
	if (rc == 0)
		rc = read_root(r, &root);
	if (rc == 0)
		rc = access_key_create(r->store, root, &user, server_now_ms(),
				       id, &key);
	if (rc == 0)
		rc = show_key(r, user.name, id, key);
	secret_free(key);
	secret_free(root);
	return rc;
}

static int show_row(const char *const text[4], int64_t created_ms, void *arg)
{
	char line[ACCESS_KEY_BYTES + 16];

	snprintf(line, sizeof(line), "%s\t%s", text[0], text[1]);
	return identity_item(arg, line,
			     json_pack("{s:s, s:s, s:o}", "AccessKeyId",
				       text[0], "Status", text[1],
				       "CreateDate",
				       identity_date(created_ms)));
}

int identity_list_access_keys(struct identity_run *r)
{
	struct user_row user;
	int rc = identity_user(r, r->options->args[0], &user);

	if (rc < 0)
		return rc;
	r->list_name = "AccessKeyMetadata";
	return store_access_key_list(r->store, &user, show_row, r);
}

static int set_active(struct identity_run *r, bool active)
{
	const char *id = r->options->args[1];
	struct user_row user;
	int rc = identity_user(r, r->options->args[0], &user);

	if (rc < 0)
		return rc;
	rc = identity_failed(store_access_key_set_active(r->store, &user, id,
							 active),
			     "access key", id);
	if (rc < 0)
		return rc;
	return identity_change(r, "UpdateAccessKey",
			       json_pack("{s:s, s:s, s:s}", "userName",
					 user.name, "accessKeyId", id,
					 "status",
					 active ? "Active" : "Inactive"),
			       NULL);
}

int identity_activate_access_key(struct identity_run *r)
{
	return set_active(r, true);
}

int identity_deactivate_access_key(struct identity_run *r)
{
	return set_active(r, false);
}

int identity_delete_access_key(struct identity_run *r)
{
	const char *id = r->options->args[1];
	struct user_row user;
	int rc = identity_user(r, r->options->args[0], &user);

	if (rc < 0)
		return rc;
	rc = identity_failed(store_access_key_delete(r->store, &user, id),
			     "access key", id);
	if (rc < 0)
		return rc;
	return identity_change(r, "DeleteAccessKey",
			       json_pack("{s:s, s:s}", "userName", user.name,
					 "accessKeyId", id), NULL);
}
