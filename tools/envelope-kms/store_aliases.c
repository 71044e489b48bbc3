// SPDX-License-Identifier: GPL-2.0-or-later
/* Rows of aliases. */
#include <errno.h>

#include "store.h"
#include "store_private.h"

int store_alias_add(struct store *s, const char *account, const char *region,
		    const struct alias_row *alias)
{
	return store_run(s, "INSERT INTO alias VALUES (?, ?, ?, ?, ?, ?)",
			 "ttttii", account, region, alias->name,
			 alias->key_id, alias->created_ms, alias->updated_ms);
}

static void read_alias(sqlite3_stmt *stmt, struct alias_row *ret)
{
	store_text(stmt, 0, ret->name, sizeof(ret->name));
	store_text(stmt, 1, ret->key_id, sizeof(ret->key_id));
	ret->created_ms = sqlite3_column_int64(stmt, 2);
	ret->updated_ms = sqlite3_column_int64(stmt, 3);
}

int store_alias_get(struct store *s, const char *account, const char *region,
		    const char *name, struct alias_row *ret)
{
	sqlite3_stmt *stmt = NULL;
	int rc;

	store_lock(s);
	rc = store_query(s, &stmt, "SELECT name, key_id, created_ms,"
			 " updated_ms FROM alias"
			 " WHERE account = ? AND region = ? AND name = ?",
			 "ttt", account, region, name);
	if (rc == 0)
		rc = store_step(s, stmt);
	if (rc == 0)
		rc = -ENOENT;
	if (rc > 0) {
		read_alias(stmt, ret);
		rc = 0;
	}
	store_finish(stmt);
	store_unlock(s);
	return rc;
}

int store_alias_set_key(struct store *s, const char *account,
			const char *region, const struct alias_row *alias)
{
	return store_run(s, "UPDATE alias SET key_id = ?, updated_ms = ?"
			 " WHERE account = ? AND region = ? AND name = ?",
			 "tittt", alias->key_id, alias->updated_ms, account,
			 region, alias->name);
}

int store_alias_delete(struct store *s, const char *account,
		       const char *region, const char *name)
{
	return store_run(s, "DELETE FROM alias"
			 " WHERE account = ? AND region = ? AND name = ?",
			 "ttt", account, region, name);
}

int store_alias_count(struct store *s, const char *account,
		      const char *region, const char *key_id, int64_t *ret)
{
	sqlite3_stmt *stmt = NULL;
	int rc;

	store_lock(s);
	rc = store_query(s, &stmt, "SELECT count(*) FROM alias"
			 " WHERE account = ? AND region = ? AND key_id = ?",
			 "ttt", account, region, key_id);
	if (rc == 0)
		rc = store_step(s, stmt);
	if (rc > 0) {
		*ret = sqlite3_column_int64(stmt, 0);
		rc = 0;
	}
	store_finish(stmt);
	store_unlock(s);
	return rc;
}

int store_alias_list(struct store *s, const char *account, const char *region,
		     const char *key_id, const char *after, int limit,
		     store_alias_fn *fn, void *arg)
{
	sqlite3_stmt *stmt = NULL;
	struct alias_row alias;
	int rc;

	store_lock(s);
	rc = store_query(s, &stmt, "SELECT name, key_id, created_ms,"
			 " updated_ms FROM alias"
			 " WHERE account = ? AND region = ? AND name > ?"
			 " AND (? = '' OR key_id = ?) ORDER BY name LIMIT ?",
			 "ttttti", account, region, after,
			 key_id ? key_id : "", key_id ? key_id : "",
			 (int64_t)limit);
	while (rc == 0 && (rc = store_step(s, stmt)) > 0) {
		read_alias(stmt, &alias);
		rc = fn(&alias, arg);
	}
	store_finish(stmt);
	store_unlock(s);
	return rc;
}
