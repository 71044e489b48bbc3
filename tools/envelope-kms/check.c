// SPDX-License-Identifier: GPL-2.0-or-later
/* `envelope-kms check`: whether all that a directory holds can be used. */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands.h"
#include "files.h"
#include "json.h"
#include "log.h"
#include "material.h"
#include "root_key.h"
#include "seal.h"
#include "store.h"

struct check {
	const char *dir;
	bool json;
	struct secret *root;
	struct store *store;
	json_t *problems, *notes;    /* sentences */
	int64_t keys, materials, access_keys;
};

static int say(json_t *list, const char *fmt, const char *a, const char *b)
{
	return json_array_append_new(list, json_sprintf(fmt, a, b)) < 0 ?
	       -ENOMEM : 0;
}

static int problem(const char *text, void *arg)
{
	struct check *c = arg;

	return say(c->problems, "%s%s", text, "");
}

static int check_mode(struct check *c, const char *name, mode_t forbidden,
		      uid_t owner)
{
	char *path = file_path(c->dir, name);
	struct stat st;
	int rc = path ? 0 : -ENOMEM;

	if (rc == 0 && lstat(path, &st) == 0) {
		if (st.st_mode & forbidden)
			rc = say(c->problems, "%s: others may %s it", path,
				 forbidden & 044 ? "read or write" : "write");
		if (rc == 0 && st.st_uid != owner)
			rc = say(c->problems, "%s: its owner is not that of %s",
				 path, c->dir);
	}
	free(path);
	return rc;
}

/* A log beside a database has of it what it has itself. */
static int check_files(struct check *c)
{
	static const char *const secret[] = {
		FILE_ROOT_KEY, FILE_DATABASE, FILE_DATABASE "-wal",
		FILE_DATABASE "-shm", FILE_SUBKEYS, FILE_SUBKEYS "-wal",
		FILE_SUBKEYS "-shm", FILE_CA_KEY, FILE_KEY, FILE_AUDIT_KEY,
		FILE_CREDENTIALS,
	};
	static const char *const known[] = {
		".", FILE_CA, FILE_CERTIFICATE, FILE_AUDIT_PUBLIC, FILE_CONF,
		FILE_AUDIT_DIR, FILE_AUDIT,
	};
	struct stat st;
	size_t i;
	int rc = stat(c->dir, &st) < 0 ? -errno : 0;

	if (rc < 0) {
		log_error("%s: %s", c->dir, strerror(-rc));
		return rc;
	}
	for (i = 0; rc == 0 && i < sizeof(secret) / sizeof(secret[0]); i++)
		rc = check_mode(c, secret[i], 077, st.st_uid);
	for (i = 0; rc == 0 && i < sizeof(known) / sizeof(known[0]); i++)
		rc = check_mode(c, known[i], 022, st.st_uid);
	return rc;
}

/* What is deleted while this runs is no problem. */
static int check_material(struct check *c, const struct key_row *key,
			  const char *material_id)
{
	struct secret *material = NULL;
	struct material_row row;
	int rc = material_get(c->store, c->root, key, material_id, &material);
	int why = rc;

	secret_free(material);
	c->materials++;
	if (rc == 0 || rc == -ENOMEM)
		return rc;
	rc = store_material_find(c->store, key, material_id, &row);
	if (rc == -ENOENT || (rc == 0 && !row.present))
		return 0;
	return rc < 0 ? rc :
	       json_array_append_new(c->problems, json_sprintf(
		       "key %s/%s: material %s: %s", key->region, key->key_id,
		       material_id, why == -ENOENT ? "its subkey is missing" :
		       why == -EBADMSG ? "does not open, damaged or moved" :
		       strerror(-why))) < 0 ? -ENOMEM : 0;
}

static int take_material(const struct material_row *row, void *arg)
{
	if (!row->present)
		return 0;
	return json_array_append_new(arg, json_string(row->material_id)) < 0 ?
	       -ENOMEM : 0;
}

static int check_key(struct check *c, const struct key_row *key)
{
	json_t *ids = json_array(), *id;
	size_t i;
	int rc = ids ? store_material_list(c->store, key, false, -1, -1,
					   take_material, ids) : -ENOMEM;

	json_array_foreach(ids, i, id)
		if (rc == 0)
			rc = check_material(c, key, json_string_value(id));
	json_decref(ids);
	c->keys++;
	return rc;
}

static int check_keys(struct check *c)
{
	struct key_row key = { .description = NULL };
	char region[REGION_BYTES] = "", key_id[KEY_ID_BYTES] = "";
	int rc;

	while ((rc = store_key_next(c->store, region, key_id, &key)) == 0) {
		strcpy(region, key.region);
		strcpy(key_id, key.key_id);
		rc = check_key(c, &key);
		key_row_free(&key);
		if (rc < 0)
			return rc;
	}
	return rc == -ENOENT ? 0 : rc;
}

static int check_access_keys(struct check *c)
{
	char id[ACCESS_KEY_BYTES] = "";
	struct user_row user = { .account = "" };
	uint8_t *sealed = NULL;
	size_t bytes;
	int rc;

	while ((rc = store_access_key_next(c->store, id, &user, id, &sealed,
					   &bytes)) == 0) {
		struct seal_place place = {
			SEAL_ACCESS_KEY, user.account, "", id, user.name,
		};
		struct secret *key = NULL;

		rc = seal_open(c->root, &place, sealed, bytes, &key);
		secret_free(key);
		free(sealed);
		c->access_keys++;
		if (rc == -EBADMSG)
			rc = say(c->problems, "access key %s of %s: does not open, damaged or moved",
				 id, user.name);
		if (rc < 0)
			return rc;
	}
	return rc == -ENOENT ? 0 : rc;
}

static int check_database(struct check *c)
{
	char *path = file_path(c->dir, FILE_DATABASE);
	int64_t orphans = 0;
	int rc = path ? store_open(path, false, &c->store) : -ENOMEM;

	free(path);
	if (rc == 0)
		rc = store_check(c->store, problem, c);
	if (rc == 0)
		rc = root_key_check(c->dir, c->root, c->store);
	if (rc == 0)
		rc = check_keys(c);
	if (rc == 0)
		rc = check_access_keys(c);
	if (rc == 0)
		rc = store_subkey_orphans(c->store, &orphans);
	if (rc == 0 && orphans &&
	    json_array_append_new(c->notes, json_sprintf(
		    "subkeys: %lld of no material that there is, which is harmless",
		    (long long)orphans)) < 0)
		rc = -ENOMEM;
	return rc;
}

/* @report as `audit verify --json` has it. */
static int take_report(struct check *c, const json_t *report)
{
	long long torn = json_integer_value(json_object_get(report,
							    "torn_lines"));
	json_t *finding;
	size_t i;
	int rc = 0;

	json_array_foreach(json_object_get(report, "findings"), i, finding)
		if (json_array_append_new(c->problems, json_sprintf(
			    "audit trail: %s %s: %s", json_text(finding, "kind"),
			    json_text(finding, "object"),
			    json_text(finding, "problem"))) < 0)
			rc = -ENOMEM;
	if (torn && json_array_append_new(c->problems, json_sprintf(
		    "audit trail: %lld lines are no records", torn)) < 0)
		rc = -ENOMEM;
	return rc;
}

/*
 * A server that is just putting a log file away looks like a trail that was
 * tampered with: what is wrong is so a second time.
 */
static int check_trail(struct check *c)
{
	struct audit_verify_options o = { .dir = c->dir, .json = true };
	char *key = file_path(c->dir, FILE_AUDIT_PUBLIC);
	json_t *report = NULL;
	int rc = key ? access(key, F_OK) : -ENOMEM;

	free(key);
	if (rc < 0)
		return rc == -ENOMEM ? rc :
		       say(c->notes, "audit trail: %s%s", "not proved by anything before the first start", "");
	o.report = &report;
	rc = cmd_audit_verify(&o);
	if (rc == -EBADMSG) {
		json_decref(report);
		report = NULL;
		sleep(2);
		rc = cmd_audit_verify(&o);
	}
	if (rc == -EBADMSG)
		rc = take_report(c, report);
	json_decref(report);
	return rc;
}

static void print_text(const struct check *c)
{
	json_t *text;
	size_t i;

	json_array_foreach(c->problems, i, text)
		printf("PROBLEM: %s\n", json_string_value(text));
	json_array_foreach(c->notes, i, text)
		printf("note: %s\n", json_string_value(text));
	printf("%s: %lld keys, %lld materials, %lld access keys, %zu problems\n",
	       c->dir, (long long)c->keys, (long long)c->materials,
	       (long long)c->access_keys, json_array_size(c->problems));
}

static int print_json(const struct check *c)
{
	bool valid = json_array_size(c->problems) == 0;

	return json_print(json_pack("{s:b, s:I, s:I, s:I, s:O, s:O}", "valid",
				    valid, "keys", (json_int_t)c->keys,
				    "materials", (json_int_t)c->materials,
				    "access_keys", (json_int_t)c->access_keys,
				    "problems", c->problems, "notes",
				    c->notes), stdout);
}

static int run(struct check *c)
{
	int rc;

	c->problems = json_array();
	c->notes = json_array();
	if (!c->problems || !c->notes)
		return -ENOMEM;
	rc = check_files(c);
	if (rc == 0)
		rc = root_key_read(c->dir, &c->root);
	if (rc == 0)
		rc = check_database(c);
	if (rc == 0)
		rc = check_trail(c);
	if (rc < 0)
		return rc;
	if (!c->json)
		print_text(c);
	else
		rc = print_json(c);
	return rc == 0 && json_array_size(c->problems) ? -EIO : rc;
}

static const struct option options[] = {
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static const char help[] =
	"Usage: envelope-kms check DIR [--json]\n"
	"\n"
	"Reads all of DIR, served or not, and changes nothing: the databases, whether\n"
	"every key material and every access key opens under the root key, the audit\n"
	"trail, and who may read the files. The exit status is 1 when anything is wrong.\n";

int cmd_check(int argc, char **argv)
{
	struct check c = { .dir = NULL };
	int opt, rc;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'h') {
			fputs(help, stdout);
			return 0;
		}
		if (opt != 'j')
			return -EINVAL;
		c.json = true;
	}
	if (argc - optind != 1) {
		log_error("give: envelope-kms check DIR");
		return -EINVAL;
	}
	c.dir = argv[optind];
	rc = run(&c);
	store_close(c.store);
	secret_free(c.root);
	json_decref(c.problems);
	json_decref(c.notes);
	return rc < 0 ? -EIO : 0;
}
