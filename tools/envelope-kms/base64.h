/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Base64 (RFC 4648, section 4) for blobs in JSON. */
#ifndef KMS_BASE64_H
#define KMS_BASE64_H

#include <stddef.h>
#include <stdint.h>

#define BASE64_TEXT_BYTES(n) (((n) + 2) / 3 * 4) /* without a NUL */

/* @ret takes BASE64_TEXT_BYTES(@bytes) + 1, the NUL included. */
void base64_encode(const uint8_t *data, size_t bytes, char *ret);

/*
 * Strict: padded, no white space, no stray bits. @ret takes up to
 * @text_bytes / 4 * 3. Decoded bytes; -EINVAL.
 */
long base64_decode(const char *text, size_t text_bytes, uint8_t *ret);

#endif
