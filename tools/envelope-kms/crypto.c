// SPDX-License-Identifier: GPL-2.0-or-later
/* The only file that calls OpenSSL for keys, sealing and digests. */
#include "crypto.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

static EVP_KDF_CTX *new_kbkdf(void)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "KBKDF", NULL);
	EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;

	EVP_KDF_free(kdf);
	return ctx;
}

int crypto_kdf(const struct secret *key, const char *label,
	       const uint8_t *context, size_t context_bytes,
	       struct secret **ret)
{
	EVP_KDF_CTX *ctx = new_kbkdf();
	struct secret *out = secret_new(CRYPTO_KEY_BYTES);
	OSSL_PARAM params[] = {
		OSSL_PARAM_utf8_string(OSSL_KDF_PARAM_MODE, "counter", 0),
		OSSL_PARAM_utf8_string(OSSL_KDF_PARAM_MAC, "HMAC", 0),
		OSSL_PARAM_utf8_string(OSSL_KDF_PARAM_DIGEST, "SHA256", 0),
		OSSL_PARAM_octet_string(OSSL_KDF_PARAM_KEY,
					(void *)secret_cbytes(key),
					secret_len(key)),
		OSSL_PARAM_octet_string(OSSL_KDF_PARAM_SALT, (void *)label,
					strlen(label)),
		OSSL_PARAM_octet_string(OSSL_KDF_PARAM_INFO, (void *)context,
					context_bytes),
		OSSL_PARAM_END
	};
	int rc = -ENOMEM;

	if (!ctx || !out)
		goto out;
	rc = -EIO;
	if (EVP_KDF_derive(ctx, secret_bytes(out), CRYPTO_KEY_BYTES,
			   params) != 1)
		goto out;
	*ret = out;
	out = NULL;
	rc = 0;
out:
	secret_free(out);
	EVP_KDF_CTX_free(ctx);
	return rc;
}

/* Key, zero IV and the additional data, for either direction. */
static int begin_gcm(EVP_CIPHER_CTX *ctx, const struct secret *key,
		     const struct crypto_aad *aad, int encrypt)
{
	static const uint8_t iv[12];
	int n;

	if (secret_len(key) != CRYPTO_KEY_BYTES)
		return -EIO;
	if (EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL,
			      secret_cbytes(key), iv, encrypt) != 1)
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
	unsigned int n;

	if (!HMAC(EVP_sha256(), key, (int)key_bytes, data, bytes, ret, &n))
		return -EIO;
	return 0;
}

int crypto_sha256(const void *data, size_t bytes,
		  uint8_t ret[static CRYPTO_SHA256_BYTES])
{
	if (EVP_Digest(data, bytes, ret, NULL, EVP_sha256(), NULL) != 1)
		return -EIO;
	return 0;
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

int crypto_uuid(char ret[static CRYPTO_UUID_BYTES])
{
	uint8_t r[16];
	char hex[33];
	int rc = crypto_random(r, sizeof(r));

	if (rc < 0)
		return rc;
	/* RFC 4122, section 4.4: version and variant. */
	r[6] = (r[6] & 0x0f) | 0x40;
	r[8] = (r[8] & 0x3f) | 0x80;
	crypto_hex(r, sizeof(r), hex);
	snprintf(ret, CRYPTO_UUID_BYTES, "%.8s-%.4s-%.4s-%.4s-%.12s", hex,
		 hex + 8, hex + 12, hex + 16, hex + 20);
	return 0;
}
