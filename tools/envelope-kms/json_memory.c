// SPDX-License-Identifier: GPL-2.0-or-later
/* Blocks that the JSON of requests is laid into. */
#include "json_memory.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "process.h"
#include "secret.h"

#define BLOCK_BYTES (8 * 1024) /* a Decrypt takes half of it */
#define SPARE_BLOCKS 128 /* requests wait for the disk with theirs */
#define ALIGNMENT 16 /* as malloc(3) */

struct block {
	size_t used;
	_Alignas(ALIGNMENT) uint8_t bytes[BLOCK_BYTES];
};

/* Wiped ones, the last one used on top. */
static struct {
	pthread_mutex_t lock;
	size_t count;
	struct block *block[SPARE_BLOCKS];
} spare = { .lock = PTHREAD_MUTEX_INITIALIZER };

static _Thread_local struct block *mine; /* NULL: no request, or no memory */

static void *take(size_t bytes)
{
	struct block *b = mine;
	void *p;

	if (!b || bytes > sizeof(b->bytes) - b->used)
		return wiping_malloc(bytes);
	p = b->bytes + b->used;
	/* never beyond the end: the size of a block is aligned, too */
	b->used += (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
	return p;
}

static void give(void *p)
{
	uintptr_t at = (uintptr_t)p, begin = mine ? (uintptr_t)mine->bytes : 0;

	if (!mine || at < begin || at >= begin + sizeof(mine->bytes))
		wiping_free(p);
}

void json_memory_use(void)
{
	json_set_alloc_funcs(take, give);
}

void json_memory_begin(void)
{
	struct block *b = NULL;

	pthread_mutex_lock(&spare.lock);
	if (spare.count)
		b = spare.block[--spare.count];
	pthread_mutex_unlock(&spare.lock);
	mine = b ? b : calloc(1, sizeof(*b));
}

void json_memory_end(void)
{
	struct block *b = mine;

	mine = NULL;
	if (!b)
		return;
	wipe(b->bytes, b->used);
	b->used = 0;
	pthread_mutex_lock(&spare.lock);
	if (spare.count < SPARE_BLOCKS) {
		spare.block[spare.count++] = b;
		b = NULL;
	}
	pthread_mutex_unlock(&spare.lock);
	free(b);
}

char *json_memory_text(const json_t *value, size_t flags)
{
	struct block *b = mine;
	char *text;

	mine = NULL;
	text = json_dumps(value, flags);
	mine = b;
	return text;
}
