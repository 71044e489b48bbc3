// SPDX-License-Identifier: GPL-2.0-or-later
/* Stored secrets, each sealed to its own place in the database. */
#include "seal.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "crypto.h"

#define OVERHEAD_BYTES (CRYPTO_NONCE_BYTES + CRYPTO_TAG_BYTES)
#define PARTS 5

/* The place as bytes. NULL: out of memory. */
static uint8_t *place_bytes(const struct seal_place *place, size_t *bytes_ret)
{
	const char *parts[PARTS] = { place->kind, place->account,
				     place->region, place->key_id,
				     place->material_id };
	size_t bytes = 0, i;
	uint8_t *data, *p;

	for (i = 0; i < PARTS; i++)
		bytes += sizeof(uint32_t) + strlen(parts[i]);
	data = malloc(bytes);
	if (!data)
		return NULL;
	p = data;
	for (i = 0; i < PARTS; i++) {
		uint32_t be = htobe32((uint32_t)strlen(parts[i]));

		memcpy(p, &be, sizeof(be));
		memcpy(p + sizeof(be), parts[i], strlen(parts[i]));
		p += sizeof(be) + strlen(parts[i]);
	}
	*bytes_ret = bytes;
	return data;
}

static int row_key(const struct secret *root, const char *kind,
		   const uint8_t n[static CRYPTO_NONCE_BYTES],
		   struct secret **ret)
{
	struct secret *kind_key = NULL;
	int rc;

	rc = crypto_kdf(root, "envelope-kms seal v1", (const uint8_t *)kind,
			strlen(kind), &kind_key);
	if (rc == 0)
		rc = crypto_kdf(kind_key, "envelope-kms row v1", n,
				CRYPTO_NONCE_BYTES, ret);
	secret_free(kind_key);
	return rc;
}

int seal_close(const struct secret *root, const struct seal_place *place,
	       const struct secret *plaintext, uint8_t **ret,
	       size_t *bytes_ret)
{
	size_t bytes = OVERHEAD_BYTES + secret_len(plaintext);
	struct crypto_aad aad[] = { { NULL, 0 }, { NULL, 0 } };
	uint8_t *where = place_bytes(place, &aad[0].bytes);
	uint8_t *sealed = malloc(bytes);
	struct secret *key = NULL;
	int rc = -ENOMEM;

	if (!where || !sealed)
		goto out;
	aad[0].data = where;
	rc = crypto_random(sealed, CRYPTO_NONCE_BYTES);
	if (rc < 0)
		goto out;
	rc = row_key(root, place->kind, sealed, &key);
	if (rc < 0)
		goto out;
	rc = crypto_seal(key, aad, secret_cbytes(plaintext),
			 secret_len(plaintext), sealed + CRYPTO_NONCE_BYTES,
			 sealed + bytes - CRYPTO_TAG_BYTES);
	if (rc < 0)
		goto out;
	*ret = sealed;
	*bytes_ret = bytes;
	sealed = NULL;
out:
	secret_free(key);
	free(sealed);
	free(where);
	return rc;
}

int seal_open(const struct secret *root, const struct seal_place *place,
	      const uint8_t *sealed, size_t bytes, struct secret **ret)
{
	struct crypto_aad aad[] = { { NULL, 0 }, { NULL, 0 } };
	uint8_t *where = NULL;
	struct secret *key = NULL, *plaintext = NULL;
	int rc = -EBADMSG;

	if (bytes <= OVERHEAD_BYTES)
		goto out;
	rc = -ENOMEM;
	where = place_bytes(place, &aad[0].bytes);
	plaintext = secret_new(bytes - OVERHEAD_BYTES);
	if (!where || !plaintext)
		goto out;
	aad[0].data = where;
	rc = row_key(root, place->kind, sealed, &key);
	if (rc < 0)
		goto out;
	rc = crypto_open(key, aad, sealed + CRYPTO_NONCE_BYTES,
			 bytes - OVERHEAD_BYTES, secret_bytes(plaintext),
			 sealed + bytes - CRYPTO_TAG_BYTES);
	if (rc < 0)
		goto out;
	*ret = plaintext;
	plaintext = NULL;
out:
	secret_free(plaintext);
	secret_free(key);
	free(where);
	return rc;
}
