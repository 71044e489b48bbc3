// SPDX-License-Identifier: GPL-2.0-or-later
/* The tables, step by step, and how an older database is brought up to date. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "files.h"
#include "log.h"
#include "store_private.h"

/*
 * Step N makes version N out of version N - 1. A step that has been released
 * never changes: a change is a step of its own, at the end.
 *
 * Tables carry account and region in their keys, so that one database serves
 * several of each. WITHOUT ROWID keeps a row in one b-tree only: what
 * secure_delete overwrites is then all there was.
 */
static const char *const steps[] = {
	/* 1: keys, aliases, users */
	"CREATE TABLE setting (name TEXT PRIMARY KEY, value BLOB NOT NULL)"
	" WITHOUT ROWID;"
	"CREATE TABLE user (account TEXT, name TEXT, user_id TEXT NOT NULL,"
	" arn TEXT NOT NULL, PRIMARY KEY (account, name)) WITHOUT ROWID;"
	"CREATE TABLE access_key (access_key_id TEXT PRIMARY KEY,"
	" account TEXT NOT NULL, user_name TEXT NOT NULL,"
	" sealed BLOB NOT NULL,"
	" FOREIGN KEY (account, user_name) REFERENCES user (account, name))"
	" WITHOUT ROWID;"
	"CREATE TABLE kms_key (region TEXT, key_id TEXT,"
	" account TEXT NOT NULL, state TEXT NOT NULL, usage TEXT NOT NULL,"
	" spec TEXT NOT NULL, origin TEXT NOT NULL, manager TEXT NOT NULL,"
	" material_id TEXT NOT NULL, description TEXT NOT NULL,"
	" created_ms INTEGER NOT NULL, deletion_ms INTEGER NOT NULL,"
	" PRIMARY KEY (region, key_id)) WITHOUT ROWID;"
	"CREATE INDEX kms_key_owner ON kms_key (account, region, key_id);"
	"CREATE INDEX kms_key_due ON kms_key (deletion_ms)"
	" WHERE deletion_ms > 0;"
	"CREATE TABLE material (region TEXT, key_id TEXT, material_id TEXT,"
	" sealed BLOB NOT NULL, created_ms INTEGER NOT NULL,"
	" PRIMARY KEY (region, key_id, material_id),"
	" FOREIGN KEY (region, key_id) REFERENCES kms_key (region, key_id))"
	" WITHOUT ROWID;"
	"CREATE TABLE alias (account TEXT, region TEXT, name TEXT,"
	" key_id TEXT NOT NULL, created_ms INTEGER NOT NULL,"
	" updated_ms INTEGER NOT NULL,"
	" PRIMARY KEY (account, region, name),"
	" FOREIGN KEY (region, key_id) REFERENCES kms_key (region, key_id))"
	" WITHOUT ROWID;"
	"CREATE INDEX alias_key ON alias (region, key_id);",
	/* grants and tags; counting all grants of a key would take longer
	 * the more there are
	 */
	"CREATE TABLE kms_grant (region TEXT, key_id TEXT, grant_id TEXT,"
	" account TEXT NOT NULL, issuer TEXT NOT NULL, name TEXT NOT NULL,"
	" grantee TEXT NOT NULL, grantee_uid TEXT NOT NULL,"
	" retiring TEXT NOT NULL, retiring_uid TEXT NOT NULL,"
	" anchor TEXT NOT NULL,"
	" operations INTEGER NOT NULL, constraint_kind INTEGER NOT NULL,"
	" pairs TEXT NOT NULL, created_ms INTEGER NOT NULL,"
	" PRIMARY KEY (region, key_id, grant_id),"
	" FOREIGN KEY (region, key_id) REFERENCES kms_key (region, key_id))"
	" WITHOUT ROWID;"
	"CREATE INDEX kms_grant_use"
	" ON kms_grant (region, key_id, grantee, anchor);"
	"CREATE INDEX kms_grant_grantee"
	" ON kms_grant (region, key_id, grantee, grant_id);"
	"CREATE INDEX kms_grant_retiring"
	" ON kms_grant (region, retiring, grant_id);"
	"CREATE TABLE kms_grant_count (region TEXT, key_id TEXT,"
	" grants INTEGER NOT NULL, PRIMARY KEY (region, key_id))"
	" WITHOUT ROWID;"
	"CREATE TRIGGER kms_grant_more AFTER INSERT ON kms_grant BEGIN"
	" INSERT INTO kms_grant_count VALUES (NEW.region, NEW.key_id, 1)"
	" ON CONFLICT DO UPDATE SET grants = grants + 1; END;"
	"CREATE TRIGGER kms_grant_less AFTER DELETE ON kms_grant BEGIN"
	" UPDATE kms_grant_count SET grants = grants - 1"
	" WHERE region = OLD.region AND key_id = OLD.key_id; END;"
	"CREATE TABLE tag (region TEXT, key_id TEXT, name TEXT,"
	" value TEXT NOT NULL, PRIMARY KEY (region, key_id, name),"
	" FOREIGN KEY (region, key_id) REFERENCES kms_key (region, key_id))"
	" WITHOUT ROWID;",
	/* rotation, imported material, multi-Region keys */
	"ALTER TABLE kms_key ADD COLUMN primary_region TEXT NOT NULL"
	" DEFAULT '';"
	"ALTER TABLE kms_key ADD COLUMN rotation_days INTEGER NOT NULL"
	" DEFAULT 0;"
	"ALTER TABLE kms_key ADD COLUMN rotation_ms INTEGER NOT NULL"
	" DEFAULT 0;"
	"ALTER TABLE kms_key ADD COLUMN window_days INTEGER NOT NULL"
	" DEFAULT 0;"
	"ALTER TABLE kms_key ADD COLUMN expires_ms INTEGER NOT NULL"
	" DEFAULT 0;"
	"CREATE INDEX kms_key_rotation ON kms_key (rotation_ms)"
	" WHERE rotation_ms > 0;"
	"CREATE INDEX kms_key_expiry ON kms_key (expires_ms)"
	" WHERE expires_ms > 0;"
	"CREATE INDEX kms_key_related ON kms_key (key_id)"
	" WHERE primary_region <> '';"
	"ALTER TABLE material ADD COLUMN seq INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE material ADD COLUMN state TEXT NOT NULL"
	" DEFAULT 'CURRENT';"
	"ALTER TABLE material ADD COLUMN rotated_ms INTEGER NOT NULL"
	" DEFAULT 0;"
	"ALTER TABLE material ADD COLUMN rotation_type TEXT NOT NULL"
	" DEFAULT '';"
	"ALTER TABLE material ADD COLUMN imported INTEGER NOT NULL"
	" DEFAULT 0;"
	"ALTER TABLE material ADD COLUMN expires_ms INTEGER NOT NULL"
	" DEFAULT 0;"
	"ALTER TABLE material ADD COLUMN description TEXT NOT NULL"
	" DEFAULT '';"
	"ALTER TABLE material ADD COLUMN subkeyed INTEGER NOT NULL"
	" DEFAULT 0;"
	"CREATE INDEX material_unsubkeyed ON material (region, key_id)"
	" WHERE subkeyed = 0 AND length(sealed) > 0;"
	"CREATE TABLE shred (region TEXT, key_id TEXT, material_id TEXT,"
	" PRIMARY KEY (region, key_id, material_id)) WITHOUT ROWID;",
	/* policies, accounts, roles; a key without a policy has the default
	 * one, and who was there before may do what he might before
	 */
	"ALTER TABLE kms_key ADD COLUMN policy TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE user ADD COLUMN created_ms INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE access_key ADD COLUMN active INTEGER NOT NULL DEFAULT 1;"
	"ALTER TABLE access_key ADD COLUMN created_ms INTEGER NOT NULL"
	" DEFAULT 0;"
	"CREATE TABLE account (account TEXT PRIMARY KEY,"
	" created_ms INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE role (account TEXT, name TEXT, role_id TEXT NOT NULL,"
	" trust TEXT NOT NULL, max_seconds INTEGER NOT NULL,"
	" created_ms INTEGER NOT NULL, PRIMARY KEY (account, name),"
	" FOREIGN KEY (account) REFERENCES account (account)) WITHOUT ROWID;"
	"CREATE TABLE identity_policy (account TEXT, kind TEXT, owner TEXT,"
	" name TEXT, document TEXT NOT NULL,"
	" PRIMARY KEY (account, kind, owner, name)) WITHOUT ROWID;"
	"INSERT INTO account SELECT DISTINCT account, 0 FROM user;"
	"INSERT INTO identity_policy SELECT account, 'user', name,"
	" 'AdministratorAccess', '{\"Version\":\"2012-10-17\",\"Statement\":"
	"[{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\"}]}'"
	" FROM user;",
	/* material expires by itself, not only with its key */
	"DROP INDEX kms_key_expiry;"
	"CREATE INDEX material_expiry ON material (expires_ms)"
	" WHERE expires_ms > 0;",
	/* policies mean the users and roles of their day, not whoever has the
	 * name later; what was written before means those of now
	 */
	"ALTER TABLE kms_key ADD COLUMN principals TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE role ADD COLUMN principals TEXT NOT NULL DEFAULT '';"
	"CREATE TEMP VIEW who AS"
	" SELECT arn, user_id AS uid, NULL AS within FROM user UNION ALL"
	" SELECT 'arn:aws:iam::' || account || ':role/' || name, role_id,"
	" 'arn:aws:sts::' || account || ':assumed-role/' || name || '/'"
	" FROM role;"
	"UPDATE kms_key SET principals = coalesce((SELECT"
	" group_concat(t.value || ' ' || who.uid || char(10), '')"
	" FROM (SELECT DISTINCT value FROM json_tree(policy)"
	" WHERE type = 'text') t JOIN who ON t.value = who.arn"
	" OR substr(t.value, 1, length(who.within)) = who.within), '')"
	" WHERE json_valid(policy);"
	"UPDATE role SET principals = coalesce((SELECT"
	" group_concat(t.value || ' ' || who.uid || char(10), '')"
	" FROM (SELECT DISTINCT value FROM json_tree(trust)"
	" WHERE type = 'text') t JOIN who ON t.value = who.arn"
	" OR substr(t.value, 1, length(who.within)) = who.within), '')"
	" WHERE json_valid(trust);"
	"DROP VIEW who;",
};

#define VERSION ((int)(sizeof(steps) / sizeof(steps[0])))

/* "PATH.vN": the database as it was at version N; NULL: no memory. */
static char *copy_path(const char *path, int version)
{
	char *copy = NULL;

	return asprintf(&copy, "%s.v%d", path, version) < 0 ? NULL : copy;
}

static int forget_copy(const char *path, int version)
{
	char *copy = copy_path(path, version);
	int rc = copy ? 0 : -ENOMEM;

	if (copy && unlink(copy) == 0) {
		log_info("%s: removed, as it held what is deleted now", copy);
	} else if (copy && errno != ENOENT) {
		rc = -errno;
		log_error("%s: %s; nothing is deleted as long as this has it, remove it",
			  copy, strerror(-rc));
	}
	free(copy);
	return rc;
}

int store_schema_forget_copies(const char *path)
{
	int version, rc = 0;

	for (version = 1; rc == 0 && version < VERSION; version++)
		rc = forget_copy(path, version);
	/* Even if none was there: an attempt that failed may have removed it. */
	return rc < 0 ? rc : parent_sync(path);
}

static int sync_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int rc = fd < 0 || fsync(fd) < 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return rc;
}

/* One from an attempt that failed would be in the way, and is no newer. */
static int make_copy(struct store *s, const char *path, int version)
{
	char *copy = copy_path(path, version);
	int rc = -ENOMEM;

	if (!copy)
		return rc;
	unlink(copy);
	rc = store_run(s, "VACUUM INTO ?", "t", copy);
	if (rc == 0)
		rc = sync_file(copy);
	if (rc == 0)
		rc = parent_sync(copy);
	if (rc == 0)
		log_info("%s: bringing version %d to %d; as it was: %s", path,
			 version, VERSION, copy);
	free(copy);
	return rc;
}

static int run_steps(struct store *s, int version)
{
	char text[16];
	int rc = 0;

	for (; rc == 0 && version < VERSION; version++)
		rc = store_execute(s, steps[version]);
	snprintf(text, sizeof(text), "%d", VERSION);
	return rc == 0 ? store_set(s, "schema", text) : rc;
}

static int run_transaction(struct store *s, int version)
{
	int rc = store_begin(s);

	if (rc < 0)
		return rc;
	rc = run_steps(s, version);
	if (rc == 0)
		return store_commit(s);
	store_rollback(s);
	return rc;
}

int store_schema_create(struct store *s)
{
	return run_transaction(s, 0);
}

static int update_from(struct store *s, const char *path, int version)
{
	int rc = make_copy(s, path, version);

	if (rc == 0)
		rc = run_transaction(s, version);
	if (rc < 0)
		log_error("%s: cannot bring version %d to %d; it is unchanged",
			  path, version, VERSION);
	return rc;
}

int store_schema_check(struct store *s, const char *path, bool update)
{
	char *text = NULL;
	int version, rc = store_get(s, "schema", &text);

	if (rc < 0)
		return rc;
	version = atoi(text);
	if (version < 1 || version > VERSION) {
		log_error("%s: database version %s, this program knows %d; use the envelope-kms that wrote it, or a newer one",
			  path, text, VERSION);
		rc = -EIO;
	} else if (version < VERSION && !update) {
		log_error("%s: database version %s, this program needs %d; start this version's server, which brings it up to date",
			  path, text, VERSION);
		rc = -EIO;
	}
	free(text);
	return rc < 0 || version == VERSION ? rc :
	       update_from(s, path, version);
}
