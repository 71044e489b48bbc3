/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keys that are made of the DEK or of another secret. */
#ifndef ENVELOPE_DERIVE_H
#define ENVELOPE_DERIVE_H

#include <stddef.h>
#include <stdint.h>

#include "secret.h"

#define DERIVE_BYTES 32

/*
 * HKDF-SHA-256 (RFC 5869) of @secret, with @salt (0 bytes: none) and the text
 * @info. What may be known of the result, a fingerprint, need not be a secret.
 * -EIO, silent.
 */
int derive(const struct secret *secret, const uint8_t *salt, size_t salt_bytes,
	   const char *info, uint8_t ret[DERIVE_BYTES]);

#endif
