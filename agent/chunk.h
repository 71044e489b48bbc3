/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Part of a volume's data at once, block by block: holes stay holes, all else
 * goes through the cipher.
 */
#ifndef ENVELOPE_CHUNK_H
#define ENVELOPE_CHUNK_H

#include <stddef.h>
#include <stdint.h>

#include "header.h"
#include "secret.h"

/*
 * How many bytes from the start of @p, of @bytes, are holes, or are none: whole
 * blocks of @block bytes.
 */
size_t chunk_run(const uint8_t *p, size_t bytes, size_t block, bool *hole_ret);

/*
 * Decrypt @bytes, whole blocks of the volume @core that begin at byte @at of
 * its data, from @in to @out, which may be the same. With the flag "holes" a
 * block of zeros is what it seems. -EIO, with a message.
 */
int chunk_decrypt(const struct header_core *core, const struct secret *dek,
		  uint64_t at, const uint8_t *in, uint8_t *out, size_t bytes);

/* The other way round: with the flag "holes" a block of zeros becomes one. */
int chunk_encrypt(const struct header_core *core, const struct secret *dek,
		  uint64_t at, const uint8_t *in, uint8_t *out, size_t bytes);

/*
 * Encrypt @plain, which chunk_decrypt() made of @in, to @out: what was a hole
 * in @in is one in @out, and all else is none, whatever it says.
 */
int chunk_encrypt_as(const struct header_core *core, const struct secret *dek,
		     uint64_t at, const uint8_t *in, const uint8_t *plain,
		     uint8_t *out, size_t bytes);

#endif
