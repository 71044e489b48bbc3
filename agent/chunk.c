// SPDX-License-Identifier: GPL-2.0-or-later
/* Blocks through the cipher, and holes around it. */
#include "chunk.h"

#include <string.h>

#include "cipher.h"
#include "log.h"

#define SECTOR_BYTES 512

size_t chunk_run(const uint8_t *p, size_t bytes, size_t block, bool *hole_ret)
{
	bool hole = cipher_all_zero(p, block);
	size_t n = block;

	while (n < bytes && cipher_all_zero(p + n, block) == hole)
		n += block;
	*hole_ret = hole;
	return n;
}

/* @marks: where a block of zeros is a hole. */
static int crypt(bool encrypt, const struct header_core *core,
		 const struct secret *dek, uint64_t at, const uint8_t *marks,
		 const uint8_t *in, uint8_t *out, size_t bytes)
{
	size_t done, n;
	int r = 0;

	for (done = 0; done < bytes && r == 0; done += n) {
		bool hole = false;

		n = bytes - done;
		if (core->holes)
			n = chunk_run(marks + done, n, core->sector_size,
				      &hole);
		if (hole)
			memset(out + done, 0, n);
		else
			r = cipher_xts(encrypt, dek, core->sector_size,
				       core->iv_large_sectors,
				       (at + done) / SECTOR_BYTES, in + done,
				       out + done, n);
	}
	if (r < 0)
		log_error("OpenSSL refused to %s: %s",
			  encrypt ? "encrypt" : "decrypt", strerror(-r));
	return r;
}

int chunk_decrypt(const struct header_core *core, const struct secret *dek,
		  uint64_t at, const uint8_t *in, uint8_t *out, size_t bytes)
{
	return crypt(false, core, dek, at, in, in, out, bytes);
}

int chunk_encrypt(const struct header_core *core, const struct secret *dek,
		  uint64_t at, const uint8_t *in, uint8_t *out, size_t bytes)
{
	return crypt(true, core, dek, at, in, in, out, bytes);
}

int chunk_encrypt_as(const struct header_core *core, const struct secret *dek,
		     uint64_t at, const uint8_t *in, const uint8_t *plain,
		     uint8_t *out, size_t bytes)
{
	return crypt(true, core, dek, at, in, plain, out, bytes);
}
