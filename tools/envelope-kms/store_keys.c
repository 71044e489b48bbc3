// SPDX-License-Identifier: GPL-2.0-or-later
/* Rows of KMS keys. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "related.h"
#include "store.h"
#include "store_kept.h"
#include "store_private.h"

void key_row_free(struct key_row *key)
{
	free(key->description);
	key->description = NULL;
	free(key->policy);
	key->policy = NULL;
	free(key->principals);
	key->principals = NULL;
}

int store_read_key(sqlite3_stmt *stmt, void *ret)
{
	struct key_row key = { .description = NULL };
	const unsigned char *description = sqlite3_column_text(stmt, 9);

	store_text(stmt, 0, key.account, sizeof(key.account));
	store_text(stmt, 1, key.region, sizeof(key.region));
	store_text(stmt, 2, key.key_id, sizeof(key.key_id));
	store_text(stmt, 3, key.state, sizeof(key.state));
	store_text(stmt, 4, key.usage, sizeof(key.usage));
	store_text(stmt, 5, key.spec, sizeof(key.spec));
	store_text(stmt, 6, key.origin, sizeof(key.origin));
	store_text(stmt, 7, key.manager, sizeof(key.manager));
	store_text(stmt, 8, key.material_id, sizeof(key.material_id));
	key.description = strdup(description ? (const char *)description : "");
	key.created_ms = sqlite3_column_int64(stmt, 10);
	key.deletion_ms = sqlite3_column_int64(stmt, 11);
	store_text(stmt, 12, key.primary_region, sizeof(key.primary_region));
	key.rotation_days = sqlite3_column_int64(stmt, 13);
	key.rotation_ms = sqlite3_column_int64(stmt, 14);
	key.window_days = sqlite3_column_int64(stmt, 15);
	key.expires_ms = sqlite3_column_int64(stmt, 16);
	key.policy = strdup((const char *)sqlite3_column_text(stmt, 17));
	key.principals = strdup((const char *)sqlite3_column_text(stmt, 18));
	if (!key.description || !key.policy || !key.principals) {
		key_row_free(&key);
		return -ENOMEM;
	}
	*(struct key_row *)ret = key;
	return 0;
}

int store_key_add(struct store *s, const struct key_row *key)
{
	return store_run(s, "INSERT INTO kms_key (" STORE_KEY_COLUMNS ") VALUES"
			 " (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
			 " ?, ?)", "ttttttttttiitiiiitt", key->account, key->region,
			 key->key_id, key->state, key->usage, key->spec,
			 key->origin, key->manager, key->material_id,
			 key->description, key->created_ms, key->deletion_ms,
			 key->primary_region, key->rotation_days,
			 key->rotation_ms, key->window_days, key->expires_ms,
			 key->policy ? key->policy : "",
			 key->principals ? key->principals : "");
}

static int copy_key(const void *from, void *to)
{
	return key_row_copy(from, to);
}

static void free_key(void *key)
{
	key_row_free(key);
}

int store_key_get(struct store *s, const char *region, const char *key_id,
		  struct key_row *ret)
{
	static const struct kept_kind keys = {
		sizeof(struct key_row), false, store_read_key, copy_key,
		free_key
	};
	const char *const args[KEPT_ARGS] = { region, key_id };

	return store_kept_get(s, &keys, ret, "SELECT " STORE_KEY_COLUMNS
			      " FROM kms_key WHERE region = ? AND key_id = ?",
			      args);
}

int store_key_set_state(struct store *s, const struct key_row *key)
{
	return store_run(s, "UPDATE kms_key SET state = ?, deletion_ms = ?,"
			 " window_days = ? WHERE region = ? AND key_id = ?",
			 "tiitt", key->state, key->deletion_ms,
			 key->window_days, key->region, key->key_id);
}

int store_key_set_policy(struct store *s, const struct key_row *key)
{
	return store_run(s, "UPDATE kms_key SET policy = ?, principals = ?"
			 " WHERE region = ? AND key_id = ?", "tttt",
			 key->policy, key->principals, key->region,
			 key->key_id);
}

int store_key_count(struct store *s, const char *account, const char *region,
		    int64_t *ret)
{
	return store_number(s, ret, "SELECT count(*) FROM kms_key"
			    " WHERE account = ? AND region = ?", "tt", account,
			    region);
}

int store_key_next(struct store *s, const char *region, const char *key_id,
		   struct key_row *ret)
{
	return store_first(s, store_read_key, ret, "SELECT " STORE_KEY_COLUMNS
			   " FROM kms_key WHERE (region, key_id) > (?, ?)"
			   " ORDER BY region, key_id LIMIT 1", "tt", region,
			   key_id);
}

int store_key_total(struct store *s, int64_t *ret)
{
	return store_number(s, ret, "SELECT count(*) FROM kms_key", "");
}

struct walk {
	struct key_row key; /* what all of them have in common */
	store_key_fn *fn;
	void *arg;
};

static int hand_over(sqlite3_stmt *stmt, void *arg)
{
	struct walk *walk = arg;

	store_text(stmt, 0, walk->key.key_id, sizeof(walk->key.key_id));
	return walk->fn(&walk->key, walk->arg);
}

int store_key_list(struct store *s, const char *account, const char *region,
		   const char *after, int limit, store_key_fn *fn, void *arg)
{
	struct walk walk = { .fn = fn, .arg = arg };

	strncat(walk.key.account, account, sizeof(walk.key.account) - 1);
	strncat(walk.key.region, region, sizeof(walk.key.region) - 1);
	return store_each(s, hand_over, &walk, "SELECT key_id FROM kms_key"
			  " WHERE account = ? AND region = ? AND key_id > ?"
			  " ORDER BY key_id LIMIT ?", "ttti", account, region,
			  after, (int64_t)limit);
}

int store_key_due(struct store *s, int64_t now_ms, struct key_row *ret)
{
	return store_first(s, store_read_key, ret, "SELECT " STORE_KEY_COLUMNS
			   " FROM kms_key WHERE deletion_ms > 0"
			   " AND deletion_ms <= ? ORDER BY deletion_ms LIMIT 1",
			   "i", now_ms);
}

int store_key_purge(struct store *s, const struct key_row *key)
{
	static const char *const sql[] = {
		"DELETE FROM kms_grant_count WHERE region = ? AND key_id = ?",
		"DELETE FROM kms_grant WHERE region = ? AND key_id = ?",
		"DELETE FROM tag WHERE region = ? AND key_id = ?",
		"DELETE FROM alias WHERE region = ? AND key_id = ?",
		"DELETE FROM material WHERE region = ? AND key_id = ?",
		"DELETE FROM kms_key WHERE region = ? AND key_id = ?",
	};
	size_t i;
	int rc = store_shred_note(s, key, "");

	if (rc == 0)
		rc = store_forget_copies(s);
	for (i = 0; rc == 0 && i < sizeof(sql) / sizeof(sql[0]); i++)
		rc = store_run(s, sql[i], "tt", key->region, key->key_id);
	return rc;
}
