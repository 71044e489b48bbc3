/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The body of a request while it arrives: in locked memory, of which
 * strangers must not get all, as they send bodies before they sign anything.
 */
#ifndef KMS_BODY_H
#define KMS_BODY_H

#include <stddef.h>

#include "secret.h"

#define BODY_MAX_BYTES (96 * 1024)
/* Every connection has room for a body that fits into a page... */
#define BODY_SMALL_BYTES (4096 - 64)
/* ...the larger ones of all connections share so much... */
#define BODY_LARGE_TOTAL_BYTES (2 * 1024 * 1024)
/* ...of which one source has a quarter. */
#define BODY_LARGE_SOURCE_BYTES (BODY_LARGE_TOTAL_BYTES / 4)
#define BODY_SOURCES 64 /* those that share a number share that quarter */

/* All zero: empty. */
struct body {
	struct secret *data; /* may hold a plaintext; NULL: nothing yet */
	size_t used;         /* bytes of it that have come */
	unsigned int source; /* below BODY_SOURCES; set before the first byte */
};

/* The number of the source @name, an address. */
unsigned int body_source(const char *name);

/*
 * Copies @bytes of @data behind what has come. 0; -EFBIG (larger than
 * BODY_MAX_BYTES); -EBUSY (the room for large ones, or what of it its source
 * may have, is taken at present); -ENOMEM. Any thread, each with its own body.
 */
int body_append(struct body *b, const char *data, size_t bytes);

/* Wipes it and gives its room back; it is empty then. */
void body_clear(struct body *b);

/* Its first byte; "" when it is empty. */
const uint8_t *body_bytes(const struct body *b);

#endif
