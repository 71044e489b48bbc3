/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The encryption context as bytes, the same for every map with the same pairs
 * and different for any two maps that differ:
 *
 *   u32 number of pairs
 *   for each pair, sorted by the raw UTF-8 bytes of its key:
 *     u32 length, key, u32 length, value
 *
 * Numbers are big-endian, lengths in bytes. The lengths are what keeps
 * {"a":"bc"} and {"ab":"c"} apart. No context is the empty map.
 */
#ifndef ENVELOPE_CONTEXT_H
#define ENVELOPE_CONTEXT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct context {
	uint8_t *data; /* NULL until context_encode() */
	size_t bytes;
};

/*
 * @map: an object whose values are strings, or NULL for none.
 * 0 with context_free() owed for @ret; -EINVAL (not such a map); -ENOMEM.
 */
int context_encode(const json_t *map, struct context *ret);

void context_free(struct context *c);

#endif
