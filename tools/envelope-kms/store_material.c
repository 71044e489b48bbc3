// SPDX-License-Identifier: GPL-2.0-or-later
/* Rows of sealed key material. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store.h"
#include "store_kept.h"
#include "store_private.h"

#define COLUMNS "material_id, state, rotation_type, description, seq, " \
	"created_ms, rotated_ms, expires_ms, imported, " \
	"length(sealed) > 0, subkeyed"
#define PLACE " WHERE region = ? AND key_id = ? AND material_id = ?"

static int read_row(sqlite3_stmt *stmt, void *arg)
{
	struct material_row *ret = arg;

	store_text(stmt, 0, ret->material_id, sizeof(ret->material_id));
	store_text(stmt, 1, ret->state, sizeof(ret->state));
	store_text(stmt, 2, ret->rotation_type, sizeof(ret->rotation_type));
	store_text(stmt, 3, ret->description, sizeof(ret->description));
	ret->seq = sqlite3_column_int64(stmt, 4);
	ret->created_ms = sqlite3_column_int64(stmt, 5);
	ret->rotated_ms = sqlite3_column_int64(stmt, 6);
	ret->expires_ms = sqlite3_column_int64(stmt, 7);
	ret->imported = sqlite3_column_int64(stmt, 8);
	ret->present = sqlite3_column_int64(stmt, 9);
	ret->subkeyed = sqlite3_column_int64(stmt, 10);
	return 0;
}

int store_material_put(struct store *s, const struct key_row *key,
		       const struct material_row *row, const uint8_t *sealed,
		       size_t sealed_bytes)
{
	int rc = store_run(s, "INSERT OR REPLACE INTO material (region,"
			   " key_id, material_id, sealed, created_ms)"
			   " VALUES (?, ?, ?, ?, ?)", "tttbi", key->region,
			   key->key_id, row->material_id, sealed,
			   sealed_bytes, row->created_ms);

	return rc < 0 ? rc : store_material_set(s, key, row);
}

int store_material_set(struct store *s, const struct key_row *key,
		       const struct material_row *row)
{
	return store_run(s, "UPDATE material SET state = ?,"
			 " rotation_type = ?, description = ?, seq = ?,"
			 " rotated_ms = ?, expires_ms = ?, imported = ?,"
			 " subkeyed = ?" PLACE, "tttiiiiittt", row->state,
			 row->rotation_type, row->description, row->seq,
			 row->rotated_ms, row->expires_ms,
			 (int64_t)row->imported, (int64_t)row->subkeyed,
			 key->region, key->key_id, row->material_id);
}

int store_material_erase(struct store *s, const struct key_row *key,
			 const char *material_id)
{
	return store_run(s, "UPDATE material SET sealed = x'',"
			 " expires_ms = 0" PLACE, "ttt", key->region,
			 key->key_id, material_id);
}

int store_material_delete(struct store *s, const struct key_row *key,
			  const char *material_id)
{
	return store_run(s, "DELETE FROM material" PLACE, "ttt", key->region,
			 key->key_id, material_id);
}

struct sealed_row {
	struct material_row row;
	uint8_t *sealed; /* malloc(3)ed */
	size_t bytes;
};

static int read_sealed(sqlite3_stmt *stmt, void *arg)
{
	struct sealed_row *ret = arg;

	read_row(stmt, &ret->row);
	return store_bytes(stmt, 11, &ret->sealed, &ret->bytes);
}

static int copy_sealed(const void *from, void *to)
{
	struct sealed_row copy = *(const struct sealed_row *)from;

	copy.sealed = malloc(copy.bytes + 1);
	if (!copy.sealed)
		return -ENOMEM;
	memcpy(copy.sealed, ((const struct sealed_row *)from)->sealed,
	       copy.bytes + 1);
	*(struct sealed_row *)to = copy;
	return 0;
}

static void free_sealed(void *row)
{
	free(((struct sealed_row *)row)->sealed);
}

int store_material_get(struct store *s, const struct key_row *key,
		       const char *material_id, struct material_row *row_ret,
		       uint8_t **ret, size_t *bytes_ret)
{
	static const struct kept_kind kind = {
		sizeof(struct sealed_row), false, read_sealed, copy_sealed,
		free_sealed
	};
	const char *const args[KEPT_ARGS] = { key->region, key->key_id,
					      material_id };
	struct sealed_row found;
	int rc = store_kept_get(s, &kind, &found, "SELECT " COLUMNS
				", sealed FROM material" PLACE
				" AND length(sealed) > 0", args);

	if (rc < 0)
		return rc;
	*row_ret = found.row;
	*ret = found.sealed;
	*bytes_ret = found.bytes;
	return 0;
}

int store_material_find(struct store *s, const struct key_row *key,
			const char *material_id, struct material_row *ret)
{
	return store_first(s, read_row, ret, "SELECT " COLUMNS
			   " FROM material" PLACE, "ttt", key->region,
			   key->key_id, material_id);
}

struct walk {
	store_material_fn *fn;
	void *arg;
};

static int hand_over(sqlite3_stmt *stmt, void *arg)
{
	const struct walk *walk = arg;
	struct material_row row;

	read_row(stmt, &row);
	return walk->fn(&row, walk->arg);
}

int store_material_list(struct store *s, const struct key_row *key,
			bool rotated, int64_t after, int limit,
			store_material_fn *fn, void *arg)
{
	struct walk walk = { fn, arg };

	return store_each(s, hand_over, &walk, "SELECT " COLUMNS
			  " FROM material WHERE region = ? AND key_id = ?"
			  " AND seq > ? AND rotated_ms >= ? ORDER BY seq"
			  " LIMIT ?", "ttiii", key->region, key->key_id,
			  after, (int64_t)rotated, (int64_t)limit);
}

int store_material_count(struct store *s, const struct key_row *key,
			 const char *type, int64_t *ret)
{
	return store_number(s, ret, "SELECT count(*) FROM material"
			    " WHERE region = ? AND key_id = ?"
			    " AND (? = '' OR rotation_type = ?)", "tttt",
			    key->region, key->key_id, type, type);
}
