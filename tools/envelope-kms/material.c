// SPDX-License-Identifier: GPL-2.0-or-later
/* The material of KMS keys, in the clear only as long as it is used. */
#include "material.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto.h"
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

static int store_material(struct store *s, const struct secret *root,
			  const struct key_row *key,
			  const struct secret *material)
{
	struct seal_place place;
	uint8_t *sealed = NULL;
	size_t bytes;
	int rc;

	where(key, key->material_id, &place);
	rc = seal_close(root, &place, material, &sealed, &bytes);
	if (rc == 0)
		rc = store_material_add(s, key, key->material_id, sealed,
					bytes, key->created_ms);
	free(sealed);
	return rc;
}

int key_create(struct store *s, const struct secret *root,
	       struct key_row *key)
{
	uint8_t id[BLOB_MATERIAL_ID_BYTES];
	struct secret *material = secret_new(MATERIAL_BYTES);
	int rc = -ENOMEM;

	if (!material)
		goto out;
	rc = crypto_random(secret_bytes(material), MATERIAL_BYTES);
	if (rc < 0)
		goto out;
	/* Random, not computed: it tells nothing about the material. */
	rc = crypto_random(id, sizeof(id));
	if (rc < 0)
		goto out;
	crypto_hex(id, sizeof(id), key->material_id);
	rc = crypto_uuid(key->key_id);
	if (rc < 0)
		goto out;
	strcpy(key->state, "Enabled");
	strcpy(key->usage, "ENCRYPT_DECRYPT");
	strcpy(key->spec, "SYMMETRIC_DEFAULT");
	strcpy(key->origin, "AWS_KMS");
	strcpy(key->manager, "CUSTOMER");
	key->created_ms = server_now_ms();
	key->deletion_ms = 0;
	rc = store_key_add(s, key);
	if (rc < 0)
		goto out;
	rc = store_material(s, root, key, material);
out:
	secret_free(material);
	return rc;
}

int material_get(struct store *s, const struct secret *root,
		 const struct key_row *key, const char *material_id,
		 struct secret **ret)
{
	struct seal_place place;
	uint8_t *sealed = NULL;
	size_t bytes;
	int rc;

	rc = store_material_get(s, key, material_id, &sealed, &bytes);
	if (rc < 0)
		return rc;
	where(key, material_id, &place);
	rc = seal_open(root, &place, sealed, bytes, ret);
	free(sealed);
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
