// SPDX-License-Identifier: GPL-2.0-or-later
/* Subkeys of material, in a database of their own, and their end. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store.h"
#include "store_private.h"

#define PLACE " WHERE region = ? AND key_id = ? AND material_id = ?"

static int read_secret(sqlite3_stmt *stmt, void *ret)
{
	const void *data = sqlite3_column_blob(stmt, 0);
	int bytes = sqlite3_column_bytes(stmt, 0);
	struct secret *subkey = bytes > 0 ? secret_new((size_t)bytes) : NULL;

	if (!subkey)
		return bytes > 0 ? -ENOMEM : -EIO;
	memcpy(secret_bytes(subkey), data, (size_t)bytes);
	*(struct secret **)ret = subkey;
	return 0;
}

int store_subkey_get(struct store *s, const struct key_row *key,
		     const char *material_id, struct secret **ret)
{
	struct store *subkeys = store_subkeys(s);
	int rc;

	store_read_begin(subkeys);
	rc = store_first(subkeys, read_secret, ret,
			 "SELECT subkey FROM subkey" PLACE, "ttt",
			 key->region, key->key_id, material_id);
	store_read_end(subkeys);
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

int store_subkeys_copy(const char *from, const char *to)
{
	struct store *s = NULL;
	int rc = store_connect(from, 0, &s);

	if (rc == 0)
		rc = store_run(s, "VACUUM INTO ?", "t", to);
	store_close(s);
	return rc;
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

struct noted {
	struct key_row key;
	char material_id[MATERIAL_ID_BYTES];
};

static int read_noted(sqlite3_stmt *stmt, void *arg)
{
	struct noted *ret = arg;

	store_text(stmt, 0, ret->key.region, sizeof(ret->key.region));
	store_text(stmt, 1, ret->key.key_id, sizeof(ret->key.key_id));
	store_text(stmt, 2, ret->material_id, sizeof(ret->material_id));
	return 0;
}

/* The note goes last: a note without a subkey is harmless. */
int store_shred_one(struct store *s)
{
	struct noted noted = { .material_id = "" };
	int rc;

	/* Nobody is inside a transaction that may yet be taken back. */
	store_write_lock(s);
	rc = store_first(s, read_noted, &noted, "SELECT region, key_id,"
			 " material_id FROM shred LIMIT 1", "");
	if (rc == 0)
		rc = store_run(store_subkeys(s), "DELETE FROM subkey" PLACE,
			       "ttt", noted.key.region, noted.key.key_id,
			       noted.material_id);
	if (rc == 0)
		rc = store_shred_forget(s, &noted.key, noted.material_id);
	store_unlock(s);
	return rc;
}
