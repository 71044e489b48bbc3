// SPDX-License-Identifier: GPL-2.0-or-later
/* Subkeys of material, in a database of their own, and their end. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store.h"
#include "store_private.h"

#define PLACE " WHERE region = ? AND key_id = ? AND material_id = ?"

int store_subkey_get(struct store *s, const struct key_row *key,
		     const char *material_id, struct secret **ret)
{
	struct store *sub = store_subkeys(s);
	struct secret *subkey = NULL;
	sqlite3_stmt *stmt = NULL;
	int rc;

	store_lock(sub);
	rc = store_query(sub, &stmt, "SELECT subkey FROM subkey" PLACE, "ttt",
			 key->region, key->key_id, material_id);
	if (rc == 0)
		rc = store_step(sub, stmt);
	if (rc == 0)
		rc = -ENOENT;
	if (rc > 0) {
		const void *data = sqlite3_column_blob(stmt, 0);
		int bytes = sqlite3_column_bytes(stmt, 0);

		subkey = bytes > 0 ? secret_new((size_t)bytes) : NULL;
		if (subkey)
			memcpy(secret_bytes(subkey), data, (size_t)bytes);
		rc = subkey ? 0 : bytes > 0 ? -ENOMEM : -EIO;
	}
	store_finish(stmt);
	store_unlock(sub);
	if (rc == 0)
		*ret = subkey;
	return rc;
}

int store_subkey_add(struct store *s, const struct key_row *key,
		     const char *material_id, const struct secret *subkey)
{
	return store_run(store_subkeys(s), "INSERT INTO subkey VALUES"
			 " (?, ?, ?, ?)", "tttb", key->region, key->key_id,
			 material_id, secret_cbytes(subkey),
			 secret_len(subkey));
}

int store_shred_note(struct store *s, const struct key_row *key,
		     const char *material_id)
{
	return store_run(s, "INSERT OR IGNORE INTO shred SELECT region,"
			 " key_id, material_id FROM material WHERE region = ?"
			 " AND key_id = ? AND (material_id = ? OR ? = '')",
			 "tttt", key->region, key->key_id, material_id,
			 material_id);
}

int store_shred_forget(struct store *s, const struct key_row *key,
		       const char *material_id)
{
	return store_run(s, "DELETE FROM shred" PLACE, "ttt", key->region,
			 key->key_id, material_id);
}

/* One that is noted. -ENOENT: none. */
static int next_noted(struct store *s, struct key_row *key, char *material_id)
{
	sqlite3_stmt *stmt = NULL;
	int rc;

	rc = store_query(s, &stmt, "SELECT region, key_id, material_id"
			 " FROM shred LIMIT 1", "");
	if (rc == 0)
		rc = store_step(s, stmt);
	if (rc == 0)
		rc = -ENOENT;
	if (rc > 0) {
		store_text(stmt, 0, key->region, sizeof(key->region));
		store_text(stmt, 1, key->key_id, sizeof(key->key_id));
		store_text(stmt, 2, material_id, MATERIAL_ID_BYTES);
		rc = 0;
	}
	store_finish(stmt);
	return rc;
}

/* The note goes last: a note without a subkey is harmless. */
int store_shred_one(struct store *s)
{
	struct key_row key = { .description = NULL };
	char material_id[MATERIAL_ID_BYTES];
	int rc;

	/* Nobody is inside a transaction that may yet be taken back. */
	store_write_lock(s);
	rc = next_noted(s, &key, material_id);
	if (rc == 0)
		rc = store_run(store_subkeys(s), "DELETE FROM subkey" PLACE,
			       "ttt", key.region, key.key_id, material_id);
	if (rc == 0)
		rc = store_shred_forget(s, &key, material_id);
	store_unlock(s);
	return rc;
}
