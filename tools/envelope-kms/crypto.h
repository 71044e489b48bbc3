/* SPDX-License-Identifier: GPL-2.0-or-later */
/* OpenSSL in this server's terms: keys from keys, sealing, digests, random. */
#ifndef KMS_CRYPTO_H
#define KMS_CRYPTO_H

#include <stddef.h>
#include <stdint.h>

#include "secret.h"

#define CRYPTO_KEY_BYTES 32
#define CRYPTO_TAG_BYTES 16
#define CRYPTO_SHA256_BYTES 32
#define CRYPTO_NONCE_BYTES 32 /* the random N that makes a key single-use */
#define CRYPTO_UUID_BYTES 37  /* text with its NUL */

/*
 * A key of CRYPTO_KEY_BYTES derived from @key: the counter-mode KDF of NIST
 * SP 800-108 with HMAC-SHA-256, @label and @context as there.
 *
 * 0 with a secret the caller owns in *@ret; -ENOMEM; -EIO.
 */
int crypto_kdf(const struct secret *key, const char *label,
	       const uint8_t *context, size_t context_bytes,
	       struct secret **ret);

/* One piece of additional authenticated data. */
struct crypto_aad {
	const uint8_t *data;
	size_t bytes;
};

/*
 * AES-256-GCM under a key that seals exactly one message in its life, so the
 * 96-bit IV is zero. @out takes @bytes of ciphertext, @tag the tag; @aad ends
 * with an entry whose data is NULL.
 *
 * 0; -ENOMEM; -EIO. crypto_open(): also -EBADMSG (not authentic), and then
 * nothing of the plaintext is left in @out.
 */
int crypto_seal(const struct secret *key, const struct crypto_aad *aad,
		const uint8_t *in, size_t bytes, uint8_t *out,
		uint8_t tag[static CRYPTO_TAG_BYTES]);
int crypto_open(const struct secret *key, const struct crypto_aad *aad,
		const uint8_t *in, size_t bytes, uint8_t *out,
		const uint8_t tag[static CRYPTO_TAG_BYTES]);

/* 0; -EIO. @ret: CRYPTO_SHA256_BYTES. */
int crypto_hmac(const uint8_t *key, size_t key_bytes, const void *data,
		size_t bytes, uint8_t ret[static CRYPTO_SHA256_BYTES]);
int crypto_sha256(const void *data, size_t bytes,
		  uint8_t ret[static CRYPTO_SHA256_BYTES]);

/* Lower-case hexadecimal with its NUL: @ret takes 2 * @bytes + 1. */
void crypto_hex(const uint8_t *data, size_t bytes, char *ret);

/* Cryptographically strong. 0; -EIO. */
int crypto_random(void *ret, size_t bytes);

/* A random version 4 UUID in lower case. 0; -EIO. */
int crypto_uuid(char ret[static CRYPTO_UUID_BYTES]);

#endif
