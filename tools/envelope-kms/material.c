// SPDX-License-Identifier: GPL-2.0-or-later
/* The material of KMS keys, in the clear only as long as it is used. */
#include "material.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto.h"
#include "log.h"
#include "seal.h"
#include "server.h"

static void where(const struct key_row *key, const char *material_id,
		  struct seal_place *ret)
{
	ret->kind = SEAL_MATERIAL;
	ret->account = key->account;
	ret->region = key->region;
	ret->key_id = key->key_id;
	ret->material_id = material_id;
}

/* The key that seals one material: of no use without either part. */
static int sealing_key(const struct secret *root, const struct secret *subkey,
		       struct secret **ret)
{
	return crypto_kdf(root, "envelope-kms material v1",
			  secret_cbytes(subkey), secret_len(subkey), ret);
}

/* The subkey of a material, made if there is none. */
static int own_subkey(struct store *s, const struct key_row *key,
		      const char *material_id, struct secret **ret)
{
	struct secret *fresh = NULL;
	int rc = store_subkey_get(s, key, material_id, ret);

	if (rc != -ENOENT)
		return rc;
	fresh = secret_new(CRYPTO_KEY_BYTES);
	if (!fresh)
		return -ENOMEM;
	rc = crypto_random(secret_bytes(fresh), CRYPTO_KEY_BYTES);
	if (rc == 0)
		rc = store_subkey_add(s, key, material_id, fresh);
	if (rc == 0)
		*ret = fresh;
	else
		secret_free(fresh);
	return rc;
}

int material_put(struct store *s, const struct secret *root,
		 const struct key_row *key, struct material_row *row,
		 const struct secret *material)
{
	struct secret *subkey = NULL, *own = NULL;
	struct seal_place place;
	uint8_t *sealed = NULL;
	size_t bytes;
	int rc;

	where(key, row->material_id, &place);
	rc = own_subkey(s, key, row->material_id, &subkey);
	if (rc == 0)
		rc = sealing_key(root, subkey, &own);
	if (rc == 0)
		rc = seal_close(own, &place, material, &sealed, &bytes);
	row->subkeyed = true;
	if (rc == 0)
		rc = store_material_put(s, key, row, sealed, bytes);
	if (rc == 0)
		rc = store_shred_forget(s, key, row->material_id);
	free(sealed);
	secret_free(own);
	secret_free(subkey);
	return rc;
}

int material_new_id(char ret[static MATERIAL_ID_BYTES])
{
	uint8_t id[BLOB_MATERIAL_ID_BYTES];
	int rc = crypto_random(id, sizeof(id));

	if (rc == 0)
		crypto_hex(id, sizeof(id), ret);
	return rc;
}

static int first_material(struct store *s, const struct secret *root,
			  const struct key_row *key,
			  const struct secret *material)
{
	struct material_row row = { .state = MATERIAL_CURRENT,
				    .created_ms = key->created_ms };

	strcpy(row.material_id, key->material_id);
	return material_put(s, root, key, &row, material);
}

static int fresh_material(struct store *s, const struct secret *root,
			  const struct key_row *key)
{
	struct secret *material = secret_new(MATERIAL_BYTES);
	int rc = -ENOMEM;

	if (!material)
		return rc;
	rc = crypto_random(secret_bytes(material), MATERIAL_BYTES);
	if (rc == 0)
		rc = first_material(s, root, key, material);
	secret_free(material);
	return rc;
}

/* mrk- and 32 digits, or a UUID. */
static int new_key_id(struct key_row *key)
{
	uint8_t id[16];
	int rc;

	if (!key->primary_region[0])
		return crypto_uuid(key->key_id);
	rc = crypto_random(id, sizeof(id));
	strcpy(key->key_id, "mrk-");
	crypto_hex(id, sizeof(id), key->key_id + 4);
	return rc;
}

int key_create(struct store *s, const struct secret *root,
	       struct key_row *key)
{
	int rc = new_key_id(key);

	return rc < 0 ? rc : key_create_as(s, root, key, NULL);
}

int key_create_as(struct store *s, const struct secret *root,
		  struct key_row *key, const struct secret *material)
{
	bool imported = strcmp(key->origin, "EXTERNAL") == 0;
	int rc = 0;

	if (!imported && !material)
		rc = material_new_id(key->material_id);
	if (rc < 0)
		return rc;
	strcpy(key->state, imported ? "PendingImport" : "Enabled");
	strcpy(key->usage, "ENCRYPT_DECRYPT");
	strcpy(key->spec, "SYMMETRIC_DEFAULT");
	if (!key->origin[0])
		strcpy(key->origin, "AWS_KMS");
	if (!key->manager[0])
		strcpy(key->manager, "CUSTOMER");
	key->created_ms = server_now_ms();
	rc = store_key_add(s, key);
	if (rc < 0 || imported)
		return rc;
	return material ? first_material(s, root, key, material) :
			  fresh_material(s, root, key);
}

int material_get(struct store *s, const struct secret *root,
		 const struct key_row *key, const char *material_id,
		 struct secret **ret)
{
	struct secret *subkey = NULL, *own = NULL;
	struct seal_place place;
	struct material_row row;
	uint8_t *sealed = NULL;
	size_t bytes;
	int rc;

	rc = store_material_get(s, key, material_id, &row, &sealed, &bytes);
	if (rc < 0)
		return rc;
	where(key, material_id, &place);
	if (row.subkeyed) {
		rc = store_subkey_get(s, key, material_id, &subkey);
		if (rc == 0)
			rc = sealing_key(root, subkey, &own);
	}
	if (rc == 0)
		rc = seal_open(own ? own : root, &place, sealed, bytes, ret);
	free(sealed);
	secret_free(own);
	secret_free(subkey);
	return rc;
}

int material_erase(struct store *s, const struct key_row *key,
		   const char *material_id, bool forget)
{
	int rc = store_shred_note(s, key, material_id);

	if (rc == 0)
		rc = store_forget_copies(s);
	if (rc < 0)
		return rc;
	return forget ? store_material_delete(s, key, material_id) :
			store_material_erase(s, key, material_id);
}

/* Rows that are to be worked on, out of the way of the query. */
struct rows {
	struct material_row *row;
	size_t count;
};

static int take_row(const struct material_row *row, void *arg)
{
	struct rows *rows = arg;
	struct material_row *more = realloc(rows->row, (rows->count + 1) *
					    sizeof(*more));

	if (!more)
		return -ENOMEM;
	rows->row = more;
	rows->row[rows->count++] = *row;
	return 0;
}

/* One row of @from as one of @to, unless its material is gone. */
static int copy_one(struct store *s, const struct secret *root,
		    const struct key_row *from, const struct key_row *to,
		    struct material_row *row)
{
	struct secret *material = NULL;
	int rc;

	if (!row->present)
		return 0;
	rc = material_get(s, root, from, row->material_id, &material);
	if (rc == 0)
		rc = material_put(s, root, to, row, material);
	secret_free(material);
	return rc;
}

int material_copy_all(struct store *s, const struct secret *root,
		      const struct key_row *from, const struct key_row *to)
{
	struct rows rows = { .row = NULL };
	int rc = store_material_list(s, from, false, -1, -1, take_row, &rows);
	size_t i;

	for (i = 0; rc == 0 && i < rows.count; i++)
		rc = copy_one(s, root, from, to, &rows.row[i]);
	free(rows.row);
	return rc;
}

int material_upgrade(struct store *s, const struct secret *root)
{
	struct key_row key = { .description = NULL };
	int rc = store_begin(s);

	if (rc < 0)
		return rc;
	while ((rc = store_key_unsubkeyed(s, &key)) == 0 &&
	       (rc = material_copy_all(s, root, &key, &key)) == 0)
		key_row_free(&key);
	key_row_free(&key);
	if (rc == -ENOENT)
		return store_commit(s);
	log_error("cannot give the material of older keys its subkeys: %s",
		  strerror(-rc));
	store_rollback(s);
	return rc;
}

void material_blob_key(const struct key_row *key, struct blob_key *ret)
{
	size_t i;

	memcpy(ret->key_id, key->key_id, sizeof(ret->key_id));
	for (i = 0; i < sizeof(ret->material_id); i++) {
		unsigned int byte = 0;

		sscanf(key->material_id + 2 * i, "%2x", &byte);
		ret->material_id[i] = (uint8_t)byte;
	}
}
