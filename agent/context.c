// SPDX-License-Identifier: GPL-2.0-or-later
/* The one canonical encoding of an encryption context. */
#include "context.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct pair {
	const char *key, *value;
	size_t key_bytes, value_bytes;
};

static int compare_pairs(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;
	size_t common = x->key_bytes < y->key_bytes ? x->key_bytes :
						      y->key_bytes;
	int rc = memcmp(x->key, y->key, common);

	if (rc)
		return rc;
	return (x->key_bytes > y->key_bytes) - (x->key_bytes < y->key_bytes);
}

static uint8_t *put_u32(uint8_t *p, size_t value)
{
	uint32_t be = htobe32((uint32_t)value);

	memcpy(p, &be, sizeof(be));
	return p + sizeof(be);
}

static uint8_t *put_text(uint8_t *p, const char *text, size_t bytes)
{
	p = put_u32(p, bytes);
	memcpy(p, text, bytes);
	return p + bytes;
}

/* The pairs of @map in its own order; *@bytes_ret is the encoded size. */
static int collect(json_t *map, struct pair *pairs, size_t *bytes_ret)
{
	size_t bytes = sizeof(uint32_t);
	const char *key;
	json_t *value;

	json_object_foreach(map, key, value) {
		if (!json_is_string(value))
			return -EINVAL;
		pairs->key = key;
		pairs->key_bytes = strlen(key);
		pairs->value = json_string_value(value);
		pairs->value_bytes = json_string_length(value);
		bytes += 2 * sizeof(uint32_t) + pairs->key_bytes +
			 pairs->value_bytes;
		pairs++;
	}
	*bytes_ret = bytes;
	return 0;
}

int context_encode(const json_t *map, struct context *ret)
{
	size_t count = map ? json_object_size(map) : 0;
	struct pair *pairs = NULL;
	uint8_t *data = NULL;
	size_t bytes, i;
	uint8_t *p;
	int rc = -EINVAL;

	if (map && !json_is_object(map))
		goto out;
	rc = -ENOMEM;
	pairs = calloc(count + 1, sizeof(*pairs));
	if (!pairs)
		goto out;
	rc = collect((json_t *)map, pairs, &bytes);
	if (rc < 0)
		goto out;
	qsort(pairs, count, sizeof(*pairs), compare_pairs);
	rc = -ENOMEM;
	data = malloc(bytes);
	if (!data)
		goto out;
	p = put_u32(data, count);
	for (i = 0; i < count; i++) {
		p = put_text(p, pairs[i].key, pairs[i].key_bytes);
		p = put_text(p, pairs[i].value, pairs[i].value_bytes);
	}
	ret->data = data;
	ret->bytes = bytes;
	rc = 0;
out:
	free(pairs);
	return rc;
}

void context_free(struct context *c)
{
	free(c->data);
	c->data = NULL;
	c->bytes = 0;
}
