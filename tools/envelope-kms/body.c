// SPDX-License-Identifier: GPL-2.0-or-later
/* Gathers the bodies of requests, and counts what they take together. */
#include "body.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

/* Sizes of all bodies above BODY_SMALL_BYTES, and of those of each source. */
static atomic_size_t large_total, source_total[BODY_SOURCES];

/* FNV-1a, 32 bits. */
unsigned int body_source(const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	return h % BODY_SOURCES;
}

static size_t counted(size_t size)
{
	return size > BODY_SMALL_BYTES ? size : 0;
}

static void uncount(unsigned int source, size_t large)
{
	atomic_fetch_sub(&large_total, large);
	atomic_fetch_sub(&source_total[source], large);
}

static int take_room(unsigned int source, size_t size, struct secret **ret)
{
	size_t large = counted(size);
	size_t all = atomic_fetch_add(&large_total, large) + large;
	size_t own = atomic_fetch_add(&source_total[source], large) + large;
	int rc = large && (all > BODY_LARGE_TOTAL_BYTES ||
			   own > BODY_LARGE_SOURCE_BYTES) ? -EBUSY : 0;

	if (rc == 0) {
		*ret = secret_new(size);
		rc = *ret ? 0 : -ENOMEM;
	}
	if (rc < 0)
		uncount(source, large);
	return rc;
}

static void give_room(unsigned int source, struct secret *data)
{
	size_t large = data ? counted(secret_len(data)) : 0;

	secret_free(data);
	uncount(source, large);
}

static int grow(struct body *b, size_t need)
{
	size_t size = b->data ? secret_len(b->data) : BODY_SMALL_BYTES;
	struct secret *bigger = NULL;
	int rc;

	if (b->data && size >= need)
		return 0;
	while (size < need)
		size *= 2;
	if (size > BODY_MAX_BYTES)
		size = BODY_MAX_BYTES;
	rc = take_room(b->source, size, &bigger);
	if (rc < 0)
		return rc;
	memcpy(secret_bytes(bigger), body_bytes(b), b->used);
	give_room(b->source, b->data);
	b->data = bigger;
	return 0;
}

int body_append(struct body *b, const char *data, size_t bytes)
{
	int rc;

	if (bytes > BODY_MAX_BYTES - b->used)
		return -EFBIG;
	rc = grow(b, b->used + bytes);
	if (rc < 0)
		return rc;
	memcpy(secret_bytes(b->data) + b->used, data, bytes);
	b->used += bytes;
	return 0;
}

void body_clear(struct body *b)
{
	give_room(b->source, b->data);
	b->data = NULL;
	b->used = 0;
}

const uint8_t *body_bytes(const struct body *b)
{
	return b->data ? secret_cbytes(b->data) : (const uint8_t *)"";
}
