// SPDX-License-Identifier: GPL-2.0-or-later
/* Keys that are in several regions, and what is due on a key by its date. */
#include "store.h"
#include "store_private.h"

struct walk {
	store_key_fn *fn;
	void *arg;
};

static int hand_over(sqlite3_stmt *stmt, void *arg)
{
	const struct walk *walk = arg;
	struct key_row row = { .description = NULL };
	int rc = store_read_key(stmt, &row);

	if (rc == 0)
		rc = walk->fn(&row, walk->arg);
	key_row_free(&row);
	return rc;
}

int store_key_related(struct store *s, const struct key_row *key,
		      store_key_fn *fn, void *arg)
{
	struct walk walk = { fn, arg };

	return store_each(s, hand_over, &walk, "SELECT " STORE_KEY_COLUMNS
			  " FROM kms_key WHERE key_id = ? AND account = ?"
			  " AND primary_region <> '' ORDER BY region", "tt",
			  key->key_id, key->account);
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
	return store_first(s, store_read_key, ret, "SELECT " STORE_KEY_COLUMNS
			   " FROM kms_key WHERE (region, key_id) IN"
			   " (SELECT region, key_id FROM material"
			   " WHERE subkeyed = 0 AND length(sealed) > 0"
			   " LIMIT 1)", "");
}

int store_key_rotation_due(struct store *s, int64_t now_ms,
			   struct key_row *ret)
{
	return store_first(s, store_read_key, ret, "SELECT " STORE_KEY_COLUMNS
			   " FROM kms_key WHERE rotation_ms > 0"
			   " AND rotation_ms <= ? AND state = 'Enabled'"
			   " AND primary_region IN ('', region)"
			   " ORDER BY rotation_ms LIMIT 1", "i", now_ms);
}

int store_key_expired(struct store *s, int64_t now_ms, struct key_row *ret)
{
	return store_first(s, store_read_key, ret, "SELECT " STORE_KEY_COLUMNS
			   " FROM kms_key WHERE (region, key_id) IN"
			   " (SELECT region, key_id FROM material"
			   " WHERE expires_ms > 0 AND expires_ms <= ? LIMIT 1)",
			   "i", now_ms);
}
