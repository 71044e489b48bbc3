// SPDX-License-Identifier: GPL-2.0-or-later
#include "derive.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <string.h>

int derive(const struct secret *secret, const uint8_t *salt, size_t salt_bytes,
	   const char *info, uint8_t ret[DERIVE_BYTES])
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST,
						 "SHA256", 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY,
						  (void *)secret_cbytes(secret),
						  secret_len(secret)),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT,
						  salt ? (void *)salt : "",
						  salt_bytes),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO,
						  (void *)info, strlen(info)),
		OSSL_PARAM_construct_end(),
	};
	int r = -EIO;

	if (ctx && EVP_KDF_derive(ctx, ret, DERIVE_BYTES, params) == 1)
		r = 0;
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return r;
}
