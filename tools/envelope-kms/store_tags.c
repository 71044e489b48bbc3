// SPDX-License-Identifier: GPL-2.0-or-later
/* SQL of what people write on a key: its tags and its description. */
#include "store_tags.h"

#include <errno.h>
#include <string.h>

#include "store_private.h"

int store_tag_set(struct store *s, const struct key_row *key,
		  const char *name, const char *value)
{
	return store_run(s, "INSERT OR REPLACE INTO tag VALUES (?, ?, ?, ?)",
			 "tttt", key->region, key->key_id, name, value);
}

int store_tag_delete(struct store *s, const struct key_row *key,
		     const char *name)
{
	return store_run(s, "DELETE FROM tag"
			 " WHERE region = ? AND key_id = ? AND name = ?",
			 "ttt", key->region, key->key_id, name);
}

int store_tag_get(struct store *s, const struct key_row *key,
		  const char *name, char **ret)
{
	sqlite3_stmt *stmt = NULL;
	int rc;

	store_lock(s);
	rc = store_query(s, &stmt, "SELECT value FROM tag WHERE region = ?"
			 " AND key_id = ? AND name = ? COLLATE NOCASE"
			 " ORDER BY name = ? DESC, name LIMIT 1", "tttt",
			 key->region, key->key_id, name, name);
	if (rc == 0)
		rc = store_step(s, stmt);
	if (rc == 0)
		rc = -ENOENT;
	if (rc > 0) {
		*ret = strdup((const char *)sqlite3_column_text(stmt, 0));
		rc = *ret ? 0 : -ENOMEM;
	}
	store_finish(stmt);
	store_unlock(s);
	return rc;
}

int store_tag_count(struct store *s, const struct key_row *key,
		    int64_t *ret)
{
	sqlite3_stmt *stmt = NULL;
	int rc;

	store_lock(s);
	rc = store_query(s, &stmt, "SELECT count(*) FROM tag"
			 " WHERE region = ? AND key_id = ?", "tt",
			 key->region, key->key_id);
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

int store_tag_list(struct store *s, const struct key_row *key,
		   const char *after, int limit, store_tag_fn *fn, void *arg)
{
	sqlite3_stmt *stmt = NULL;
	int rc;

	store_lock(s);
	rc = store_query(s, &stmt, "SELECT name, value FROM tag"
			 " WHERE region = ? AND key_id = ? AND name > ?"
			 " ORDER BY name LIMIT ?", "ttti", key->region,
			 key->key_id, after, (int64_t)limit);
	while (rc == 0 && (rc = store_step(s, stmt)) > 0)
		rc = fn((const char *)sqlite3_column_text(stmt, 0),
			(const char *)sqlite3_column_text(stmt, 1), arg);
	store_finish(stmt);
	store_unlock(s);
	return rc;
}

int store_key_set_description(struct store *s, const struct key_row *key,
			      const char *description)
{
	return store_run(s, "UPDATE kms_key SET description = ?"
			 " WHERE region = ? AND key_id = ?", "ttt",
			 description, key->region, key->key_id);
}
