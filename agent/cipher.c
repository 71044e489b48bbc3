// SPDX-License-Identifier: GPL-2.0-or-later
/* aes-xts-plain64 through OpenSSL. */
#include "cipher.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

#define DEK_BYTES 64
#define IV_BYTES 16
#define SECTOR_SHIFT 9

static bool arguments_valid(const struct secret *dek, uint32_t sector_size,
			    bool iv_large, uint64_t first_sector, size_t bytes)
{
	if (sector_size < 512 || sector_size > 4096 ||
	    (sector_size & (sector_size - 1)))
		return false;
	if (secret_len(dek) != DEK_BYTES || bytes % sector_size)
		return false;
	return !iv_large || first_sector % (sector_size >> SECTOR_SHIFT) == 0;
}

/* plain64 of dm-crypt: 64 bit little-endian, the rest zero. */
static void make_iv(uint64_t number, uint8_t iv[IV_BYTES])
{
	int i;

	memset(iv, 0, IV_BYTES);
	for (i = 0; i < 8; i++)
		iv[i] = number >> 8 * i;
}

static int crypt_block(EVP_CIPHER_CTX *ctx, uint64_t number, const uint8_t *in,
		       uint8_t *out, uint32_t bytes)
{
	uint8_t iv[IV_BYTES];
	int n = 0;

	make_iv(number, iv);
	/* Key and direction stay as they were set. */
	if (!EVP_CipherInit_ex(ctx, NULL, NULL, NULL, iv, -1) ||
	    !EVP_CipherUpdate(ctx, out, &n, in, bytes) || n != (int)bytes)
		return -EIO;
	return 0;
}

int cipher_xts(bool encrypt, const struct secret *dek, uint32_t sector_size,
	       bool iv_large, uint64_t first_sector, const uint8_t *in,
	       uint8_t *out, size_t bytes)
{
	const uint32_t sectors = sector_size >> SECTOR_SHIFT;
	uint64_t number, step;
	EVP_CIPHER_CTX *ctx;
	size_t at;
	int r = -EIO;

	if (!arguments_valid(dek, sector_size, iv_large, first_sector, bytes))
		return -EINVAL;
	number = iv_large ? first_sector / sectors : first_sector;
	step = iv_large ? 1 : sectors;
	ctx = EVP_CIPHER_CTX_new();
	/* OpenSSL refuses equal halves here. */
	if (!ctx || !EVP_CipherInit_ex(ctx, EVP_aes_256_xts(), NULL,
				       secret_cbytes(dek), NULL, encrypt))
		goto out;
	r = 0;
	for (at = 0; at < bytes && r == 0; at += sector_size) {
		r = crypt_block(ctx, number, in + at, out + at, sector_size);
		number += step;
	}
out:
	EVP_CIPHER_CTX_free(ctx);
	return r;
}

bool cipher_all_zero(const uint8_t *p, size_t bytes)
{
	/* Equal to itself shifted by one, and the first one is zero. */
	return bytes == 0 || (p[0] == 0 && memcmp(p, p + 1, bytes - 1) == 0);
}
