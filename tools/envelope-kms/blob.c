// SPDX-License-Identifier: GPL-2.0-or-later
/* The ciphertext blob: layout, per-blob key, sealing and opening. */
#include "blob.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC "EKMS\x01" /* its NUL is the zero byte at offset 5 */
#define MAGIC_BYTES 6
#define MATERIAL_AT (MAGIC_BYTES + BLOB_KEY_ID_BYTES)
#define NONCE_AT (MATERIAL_AT + BLOB_MATERIAL_ID_BYTES)
#define DIGEST_AT (NONCE_AT + CRYPTO_NONCE_BYTES)
#define DIGEST_BYTES (BLOB_HEADER_BYTES - DIGEST_AT)
#define LABEL "envelope-kms blob v1"

int blob_read_key(const uint8_t *blob, size_t bytes, struct blob_key *ret)
{
	uint8_t digest[CRYPTO_SHA256_BYTES];

	if (bytes <= BLOB_OVERHEAD_BYTES || bytes > BLOB_MAX_BYTES ||
	    memcmp(blob, MAGIC, MAGIC_BYTES) != 0)
		return -EBADMSG;
	if (crypto_sha256(blob, DIGEST_AT, digest) < 0 ||
	    memcmp(blob + DIGEST_AT, digest, DIGEST_BYTES) != 0)
		return -EBADMSG;
	memcpy(ret->key_id, blob + MAGIC_BYTES, BLOB_KEY_ID_BYTES);
	ret->key_id[BLOB_KEY_ID_BYTES] = '\0';
	memcpy(ret->material_id, blob + MATERIAL_AT, BLOB_MATERIAL_ID_BYTES);
	return 0;
}

static int write_header(uint8_t *blob, const struct blob_key *key)
{
	uint8_t digest[CRYPTO_SHA256_BYTES];
	int rc;

	memcpy(blob, MAGIC, MAGIC_BYTES);
	memcpy(blob + MAGIC_BYTES, key->key_id, BLOB_KEY_ID_BYTES);
	memcpy(blob + MATERIAL_AT, key->material_id, BLOB_MATERIAL_ID_BYTES);
	rc = crypto_random(blob + NONCE_AT, CRYPTO_NONCE_BYTES);
	if (rc < 0)
		return rc;
	rc = crypto_sha256(blob, DIGEST_AT, digest);
	if (rc < 0)
		return rc;
	memcpy(blob + DIGEST_AT, digest, DIGEST_BYTES);
	return 0;
}

int blob_seal(const struct secret *material, const struct blob_key *key,
	      const struct context *context, const struct secret *plaintext,
	      uint8_t **ret, size_t *bytes_ret)
{
	size_t bytes = BLOB_OVERHEAD_BYTES + secret_len(plaintext);
	struct secret *own = NULL;
	uint8_t *blob = malloc(bytes);
	struct crypto_aad aad[] = {
		{ blob, BLOB_HEADER_BYTES },
		{ context->data, context->bytes },
		{ NULL, 0 },
	};
	int rc = -ENOMEM;

	if (!blob)
		goto out;
	rc = write_header(blob, key);
	if (rc < 0)
		goto out;
	rc = crypto_kdf(material, LABEL, blob + NONCE_AT, CRYPTO_NONCE_BYTES,
			&own);
	if (rc < 0)
		goto out;
	rc = crypto_seal(own, aad, secret_cbytes(plaintext),
			 secret_len(plaintext), blob + BLOB_HEADER_BYTES,
			 blob + bytes - CRYPTO_TAG_BYTES);
	if (rc < 0)
		goto out;
	*ret = blob;
	*bytes_ret = bytes;
	blob = NULL;
out:
	secret_free(own);
	free(blob);
	return rc;
}

int blob_open(const struct secret *material, const struct context *context,
	      const uint8_t *blob, size_t bytes, struct secret **ret)
{
	size_t plain_bytes = bytes - BLOB_OVERHEAD_BYTES;
	struct secret *own = NULL, *plaintext = NULL;
	struct crypto_aad aad[] = {
		{ blob, BLOB_HEADER_BYTES },
		{ context->data, context->bytes },
		{ NULL, 0 },
	};
	int rc;

	rc = crypto_kdf(material, LABEL, blob + NONCE_AT, CRYPTO_NONCE_BYTES,
			&own);
	if (rc < 0)
		goto out;
	rc = -ENOMEM;
	plaintext = secret_new(plain_bytes);
	if (!plaintext)
		goto out;
	rc = crypto_open(own, aad, blob + BLOB_HEADER_BYTES, plain_bytes,
			 secret_bytes(plaintext),
			 blob + bytes - CRYPTO_TAG_BYTES);
	if (rc < 0)
		goto out;
	*ret = plaintext;
	plaintext = NULL;
out:
	secret_free(plaintext);
	secret_free(own);
	return rc;
}
