/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * aes-xts-plain64 in user space, byte for byte what the target and dm-crypt
 * do: the rescue path's cipher, and a second opinion for tests.
 */
#ifndef ENVELOPE_CIPHER_H
#define ENVELOPE_CIPHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "secret.h"

/*
 * Encrypt or decrypt @bytes (a multiple of @sector_size) from @in to @out,
 * which may be the same.
 *
 * @dek: 64 bytes, two different halves. @sector_size: 512, 1024, 2048 or 4096.
 * @first_sector: number of the first 512-byte sector of @in within the volume,
 * IV offset added; a multiple of @sector_size / 512 if @iv_large. The IV of a
 * block is its first sector, or with @iv_large its index in units of
 * @sector_size, as 64 bit little-endian and eight zero bytes.
 *
 * -EINVAL: an argument as above. -EIO: OpenSSL refused. No message.
 */
int cipher_xts(bool encrypt, const struct secret *dek, uint32_t sector_size,
	       bool iv_large, uint64_t first_sector, const uint8_t *in,
	       uint8_t *out, size_t bytes);

/* Are the @bytes at @p all zero? What `holes` calls a hole. */
bool cipher_all_zero(const uint8_t *p, size_t bytes);

#endif
