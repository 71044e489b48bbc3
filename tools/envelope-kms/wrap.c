// SPDX-License-Identifier: GPL-2.0-or-later
/* RSA-OAEP and AES key wrap with padding (RFC 5649), by OpenSSL. */
#include "wrap.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "crypto.h"

/* @bytes of @s as a secret of just that size. NULL: no memory. */
static struct secret *exact(const struct secret *s, size_t bytes)
{
	struct secret *copy = bytes ? secret_new(bytes) : NULL;

	if (copy)
		memcpy(secret_bytes(copy), secret_cbytes(s), bytes);
	return copy;
}

static int private_der(EVP_PKEY *key, struct secret **ret)
{
	int bytes = i2d_PrivateKey(key, NULL);
	struct secret *der = bytes > 0 ? secret_new((size_t)bytes) : NULL;
	unsigned char *p;

	if (!der)
		return bytes > 0 ? -ENOMEM : -EIO;
	p = secret_bytes(der);
	if (i2d_PrivateKey(key, &p) != bytes) {
		secret_free(der);
		return -EIO;
	}
	*ret = der;
	return 0;
}

static int public_der(EVP_PKEY *key, uint8_t **ret, size_t *bytes_ret)
{
	int bytes = i2d_PUBKEY(key, NULL);
	uint8_t *der = bytes > 0 ? malloc((size_t)bytes) : NULL;
	unsigned char *p = der;

	if (!der)
		return bytes > 0 ? -ENOMEM : -EIO;
	if (i2d_PUBKEY(key, &p) != bytes) {
		free(der);
		return -EIO;
	}
	*ret = der;
	*bytes_ret = (size_t)bytes;
	return 0;
}

int wrap_new_key(unsigned int bits, struct secret **private_ret,
		 uint8_t **public_ret, size_t *public_bytes_ret)
{
	EVP_PKEY *key = EVP_RSA_gen(bits);
	struct secret *der = NULL;
	int rc = key ? private_der(key, &der) : -EIO;

	if (rc == 0)
		rc = public_der(key, public_ret, public_bytes_ret);
	if (rc == 0)
		*private_ret = der;
	else
		secret_free(der);
	EVP_PKEY_free(key);
	return rc;
}

static int oaep_setup(EVP_PKEY_CTX *ctx, bool sha1)
{
	const EVP_MD *md = sha1 ? EVP_sha1() : EVP_sha256();

	if (EVP_PKEY_decrypt_init(ctx) != 1 ||
	    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) != 1 ||
	    EVP_PKEY_CTX_set_rsa_oaep_md(ctx, md) != 1 ||
	    EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, md) != 1)
		return -EIO;
	return 0;
}

static int oaep_open(EVP_PKEY *key, bool sha1, const uint8_t *in,
		     size_t bytes, struct secret **ret)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	size_t n = (size_t)EVP_PKEY_get_size(key);
	struct secret *out = secret_new(n);
	int rc = ctx && out ? oaep_setup(ctx, sha1) : -ENOMEM;

	if (rc == 0 && EVP_PKEY_decrypt(ctx, secret_bytes(out), &n, in,
					bytes) != 1)
		rc = -EBADMSG;
	if (rc == 0 && n == 0)
		rc = -EBADMSG;
	if (rc == 0) {
		*ret = exact(out, n);
		rc = *ret ? 0 : -ENOMEM;
	}
	secret_free(out);
	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	return rc;
}

static int kwp_open(const struct secret *key, const uint8_t *in, size_t bytes,
		    struct secret **ret)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	struct secret *out = secret_new(bytes + 16);
	int n = 0, rc = ctx && out ? 0 : -ENOMEM;

	if (rc < 0)
		goto out;
	EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	if (EVP_DecryptInit_ex(ctx, EVP_aes_256_wrap_pad(), NULL,
			       secret_cbytes(key), NULL) != 1)
		rc = -EIO;
	else if (EVP_DecryptUpdate(ctx, secret_bytes(out), &n, in,
				   (int)bytes) != 1 || n <= 0)
		rc = -EBADMSG;
	if (rc == 0) {
		*ret = exact(out, (size_t)n);
		rc = *ret ? 0 : -ENOMEM;
	}
out:
	secret_free(out);
	EVP_CIPHER_CTX_free(ctx);
	ERR_clear_error();
	return rc;
}

/*
 * An AES key that does not open goes on as a random one: how long a refusal
 * takes must not say which layer was wrong.
 */
static int aes_open(EVP_PKEY *key, bool sha1, const uint8_t *in, size_t bytes,
		    struct secret **ret)
{
	size_t head = (size_t)EVP_PKEY_get_size(key);
	struct secret *aes = NULL;
	int rc;

	if (bytes <= head)
		return -EBADMSG;
	rc = oaep_open(key, sha1, in, head, &aes);
	if (rc == -EBADMSG ||
	    (rc == 0 && secret_len(aes) != CRYPTO_KEY_BYTES)) {
		secret_free(aes);
		aes = secret_new(CRYPTO_KEY_BYTES);
		rc = aes ? crypto_random(secret_bytes(aes), CRYPTO_KEY_BYTES) :
			   -ENOMEM;
	}
	if (rc == 0)
		rc = kwp_open(aes, in + head, bytes - head, ret);
	secret_free(aes);
	return rc;
}

int wrap_open(const uint8_t *private_der, size_t private_bytes,
	      enum wrap_algorithm algorithm, const uint8_t *wrapped,
	      size_t bytes, struct secret **ret)
{
	const unsigned char *p = private_der;
	EVP_PKEY *key = d2i_PrivateKey(EVP_PKEY_RSA, NULL, &p,
				       (long)private_bytes);
	int rc = -EBADMSG;

	if (!key)
		return -EIO;
	switch (algorithm) {
	case WRAP_OAEP_SHA_1:
	case WRAP_OAEP_SHA_256:
		rc = oaep_open(key, algorithm == WRAP_OAEP_SHA_1, wrapped,
			       bytes, ret);
		break;
	case WRAP_AES_SHA_1:
	case WRAP_AES_SHA_256:
		rc = aes_open(key, algorithm == WRAP_AES_SHA_1, wrapped,
			      bytes, ret);
		break;
	}
	EVP_PKEY_free(key);
	return rc;
}
