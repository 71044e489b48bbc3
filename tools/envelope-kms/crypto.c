// SPDX-License-Identifier: GPL-2.0-or-later
/* The only file that calls OpenSSL for keys, sealing and digests. */
#include "crypto.h"

/*
 * For SHA256_*(): each digest by EVP of OpenSSL 3.0 allocates, and wipes, its
 * state anew, which costs several times the digest of one block.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#define BLOCK_BYTES 64 /* of SHA-256 */
#define UUID_RAW_BYTES 16

static EVP_CIPHER *aes_gcm;

/* An implicit fetch each time would cost as much as what it is for. */
static void fetch_cipher(void)
{
	aes_gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
}

static int fetch(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, fetch_cipher);
	return aes_gcm ? 0 : -EIO;
}

/* One half of HMAC (RFC 2104): a digest of the padded key and @parts. */
static int keyed_digest(const uint8_t *key, size_t key_bytes, uint8_t pad,
			const struct crypto_aad *parts, uint8_t *ret)
{
	uint8_t block[BLOCK_BYTES];
	SHA256_CTX ctx;
	bool ok;
	size_t i;

	memset(block, pad, sizeof(block));
	for (i = 0; i < key_bytes; i++)
		block[i] ^= key[i];
	ok = SHA256_Init(&ctx) && SHA256_Update(&ctx, block, sizeof(block));
	for (; ok && parts->data; parts++)
		ok = SHA256_Update(&ctx, parts->data, parts->bytes);
	ok = ok && SHA256_Final(ret, &ctx);
	wipe(block, sizeof(block));
	wipe(&ctx, sizeof(ctx));
	return ok ? 0 : -EIO;
}

/* HMAC-SHA-256 of @parts, which an entry without data ends. */
static int hmac_parts(const uint8_t *key, size_t key_bytes,
		      const struct crypto_aad *parts, uint8_t *ret)
{
	uint8_t inner[CRYPTO_SHA256_BYTES], hashed[CRYPTO_SHA256_BYTES];
	const struct crypto_aad outer[] = { { inner, sizeof(inner) },
					    { NULL, 0 } };
	int rc = 0;

	if (key_bytes > BLOCK_BYTES) {
		rc = crypto_sha256(key, key_bytes, hashed);
		key = hashed;
		key_bytes = sizeof(hashed);
	}
	if (rc == 0)
		rc = keyed_digest(key, key_bytes, 0x36, parts, inner);
	if (rc == 0)
		rc = keyed_digest(key, key_bytes, 0x5c, outer, ret);
	wipe(inner, sizeof(inner));
	wipe(hashed, sizeof(hashed));
	return rc;
}

/* NIST SP 800-108, section 4.1: one round, as the key is one block. */
int crypto_kdf(const struct secret *key, const char *label,
	       const uint8_t *context, size_t context_bytes,
	       struct secret **ret)
{
	static const uint8_t round[] = { 0, 0, 0, 1 };
	static const uint8_t bits[] = { 0, 0, 1, 0 };
	const struct crypto_aad parts[] = {
		{ round, sizeof(round) },
		{ (const uint8_t *)label, strlen(label) + 1 },
		{ context, context_bytes },
		{ bits, sizeof(bits) },
		{ NULL, 0 }
	};
	struct secret *out = secret_new(CRYPTO_KEY_BYTES);
	int rc = -ENOMEM;

	if (!out)
		return rc;
	rc = hmac_parts(secret_cbytes(key), secret_len(key), parts,
			secret_bytes(out));
	if (rc < 0) {
		secret_free(out);
		return rc;
	}
	*ret = out;
	return 0;
}

/* Key, zero IV and the additional data, for either direction. */
static int begin_gcm(EVP_CIPHER_CTX *ctx, const struct secret *key,
		     const struct crypto_aad *aad, int encrypt)
{
	static const uint8_t iv[12];
	int n;

	if (secret_len(key) != CRYPTO_KEY_BYTES || fetch() < 0)
		return -EIO;
	if (EVP_CipherInit_ex(ctx, aes_gcm, NULL, secret_cbytes(key), iv,
			      encrypt) != 1)
		return -EIO;
	for (; aad->data; aad++)
		if (EVP_CipherUpdate(ctx, NULL, &n, aad->data,
				     (int)aad->bytes) != 1)
			return -EIO;
	return 0;
}

int crypto_seal(const struct secret *key, const struct crypto_aad *aad,
		const uint8_t *in, size_t bytes, uint8_t *out,
		uint8_t tag[static CRYPTO_TAG_BYTES])
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int rc = -ENOMEM;
	int n;

	if (!ctx)
		return rc;
	rc = begin_gcm(ctx, key, aad, 1);
	if (rc < 0)
		goto out;
	rc = -EIO;
	if (EVP_CipherUpdate(ctx, out, &n, in, (int)bytes) != 1 ||
	    EVP_CipherFinal_ex(ctx, out + n, &n) != 1 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, CRYPTO_TAG_BYTES,
				tag) != 1)
		goto out;
	rc = 0;
out:
	EVP_CIPHER_CTX_free(ctx);
	return rc;
}

int crypto_open(const struct secret *key, const struct crypto_aad *aad,
		const uint8_t *in, size_t bytes, uint8_t *out,
		const uint8_t tag[static CRYPTO_TAG_BYTES])
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int rc = -ENOMEM;
	int n;

	if (!ctx)
		return rc;
	rc = begin_gcm(ctx, key, aad, 0);
	if (rc < 0)
		goto out;
	rc = -EIO;
	if (EVP_CipherUpdate(ctx, out, &n, in, (int)bytes) != 1 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, CRYPTO_TAG_BYTES,
				(void *)tag) != 1)
		goto out;
	rc = -EBADMSG;
	if (EVP_CipherFinal_ex(ctx, out + n, &n) != 1)
		goto out;
	rc = 0;
out:
	if (rc < 0)
		wipe(out, bytes);
	EVP_CIPHER_CTX_free(ctx);
	return rc;
}

int crypto_hmac(const uint8_t *key, size_t key_bytes, const void *data,
		size_t bytes, uint8_t ret[static CRYPTO_SHA256_BYTES])
{
	const struct crypto_aad parts[] = { { data, bytes }, { NULL, 0 } };

	return hmac_parts(key, key_bytes, parts, ret);
}

int crypto_sha256(const void *data, size_t bytes,
		  uint8_t ret[static CRYPTO_SHA256_BYTES])
{
	SHA256_CTX ctx;
	bool ok = SHA256_Init(&ctx) && SHA256_Update(&ctx, data, bytes) &&
		  SHA256_Final(ret, &ctx);

	wipe(&ctx, sizeof(ctx));
	return ok ? 0 : -EIO;
}

void crypto_hex(const uint8_t *data, size_t bytes, char *ret)
{
	static const char digits[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < bytes; i++) {
		ret[2 * i] = digits[data[i] >> 4];
		ret[2 * i + 1] = digits[data[i] & 15];
	}
	ret[2 * bytes] = '\0';
}

int crypto_random(void *ret, size_t bytes)
{
	return RAND_bytes(ret, (int)bytes) == 1 ? 0 : -EIO;
}

/*
 * Names are no secrets: the random bytes of a thread's next ones wait in the
 * open, as each call of the generator costs more than many bytes of it.
 */
static int name_bytes(uint8_t ret[static UUID_RAW_BYTES])
{
	static _Thread_local uint8_t bytes[16 * UUID_RAW_BYTES];
	static _Thread_local size_t left;
	int rc = left ? 0 : crypto_random(bytes, sizeof(bytes));

	if (rc < 0)
		return rc;
	if (!left)
		left = sizeof(bytes);
	left -= UUID_RAW_BYTES;
	memcpy(ret, bytes + left, UUID_RAW_BYTES);
	return 0;
}

int crypto_uuid(char ret[static CRYPTO_UUID_BYTES])
{
	static const uint8_t ends[] = { 4, 6, 8, 10, 16 }; /* of groups */
	uint8_t r[UUID_RAW_BYTES];
	int rc = name_bytes(r);
	size_t i, from = 0;

	if (rc < 0)
		return rc;
	/* RFC 4122, section 4.4: version and variant. */
	r[6] = (r[6] & 0x0f) | 0x40;
	r[8] = (r[8] & 0x3f) | 0x80;
	for (i = 0; i < sizeof(ends); i++) {
		crypto_hex(r + from, ends[i] - from, ret);
		ret += 2 * (ends[i] - from);
		from = ends[i];
		if (i < sizeof(ends) - 1)
			*ret++ = '-';
	}
	return 0;
}
