// SPDX-License-Identifier: GPL-2.0-or-later
/* Keys that are in several regions, and what is due on a key by its date. */
#include <errno.h>

#include "store.h"
#include "store_private.h"

int store_key_related(struct store *s, const struct key_row *key,
		      store_key_fn *fn, void *arg)
{
	struct key_row row = { .description = NULL };
	sqlite3_stmt *stmt = NULL;
	int rc;

	store_lock(s);
	rc = store_query(s, &stmt, "SELECT " STORE_KEY_COLUMNS " FROM kms_key"
			 " WHERE key_id = ? AND account = ?"
			 " AND primary_region <> '' ORDER BY region", "tt",
			 key->key_id, key->account);
	while (rc == 0 && (rc = store_step(s, stmt)) > 0) {
		rc = store_read_key(stmt, &row);
		if (rc == 0)
			rc = fn(&row, arg);
		key_row_free(&row);
	}
	store_finish(stmt);
	store_unlock(s);
	return rc;
}

int store_key_set_primary(struct store *s, const struct key_row *key,
			  const char *region)
{
	return store_run(s, "UPDATE kms_key SET primary_region = ?"
			 " WHERE key_id = ? AND account = ?"
			 " AND primary_region <> ''", "ttt", region,
			 key->key_id, key->account);
}

int store_key_set_rotation(struct store *s, const struct key_row *key)
{
	return store_run(s, "UPDATE kms_key SET rotation_days = ?,"
			 " rotation_ms = ? WHERE key_id = ? AND account = ?"
			 " AND (region = ? OR primary_region <> '')", "iittt",
			 key->rotation_days, key->rotation_ms, key->key_id,
			 key->account, key->region);
}

int store_key_set_material(struct store *s, const struct key_row *key)
{
	return store_run(s, "UPDATE kms_key SET material_id = ?,"
			 " expires_ms = ? WHERE region = ? AND key_id = ?",
			 "titt", key->material_id, key->expires_ms,
			 key->region, key->key_id);
}

int store_key_unsubkeyed(struct store *s, struct key_row *ret)
{
	sqlite3_stmt *stmt = NULL;
	int rc;

	store_lock(s);
	rc = store_query(s, &stmt, "SELECT " STORE_KEY_COLUMNS " FROM kms_key"
			 " WHERE (region, key_id) IN (SELECT region, key_id"
			 " FROM material WHERE subkeyed = 0"
			 " AND length(sealed) > 0 LIMIT 1)", "");
	if (rc == 0)
		rc = store_first_key(s, stmt, ret);
	store_unlock(s);
	return rc;
}

static int due(struct store *s, const char *sql, int64_t now_ms,
	       struct key_row *ret)
{
	sqlite3_stmt *stmt = NULL;
	int rc;

	store_lock(s);
	rc = store_query(s, &stmt, sql, "i", now_ms);
	if (rc == 0)
		rc = store_first_key(s, stmt, ret);
	store_unlock(s);
	return rc;
}

int store_key_rotation_due(struct store *s, int64_t now_ms,
			   struct key_row *ret)
{
	return due(s, "SELECT " STORE_KEY_COLUMNS " FROM kms_key"
		   " WHERE rotation_ms > 0 AND rotation_ms <= ?"
		   " AND state = 'Enabled' AND primary_region IN ('', region)"
		   " ORDER BY rotation_ms LIMIT 1", now_ms, ret);
}

int store_key_expired(struct store *s, int64_t now_ms, struct key_row *ret)
{
	return due(s, "SELECT " STORE_KEY_COLUMNS " FROM kms_key"
		   " WHERE (region, key_id) IN (SELECT region, key_id"
		   " FROM material WHERE expires_ms > 0"
		   " AND expires_ms <= ? LIMIT 1)", now_ms, ret);
}
