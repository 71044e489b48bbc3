// SPDX-License-Identifier: GPL-2.0-or-later
/* Blocks that GnuTLS takes for TLS records, wiped and used again. */
#include "tls_memory.h"

#include <gnutls/gnutls.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "process.h"
#include "secret.h"

#define RECORD_BYTES 16384 /* the largest record (RFC 8446, section 5.1) */
#define BLOCK_BYTES (RECORD_BYTES + 512) /* with what GnuTLS adds */
#define SPARE_BLOCKS 8 /* nobody holds one while a request is answered */

/* Wiped blocks of BLOCK_BYTES by malloc(3), the last one used on top. */
static struct {
	pthread_mutex_t lock;
	size_t count;
	void *block[SPARE_BLOCKS];
} spare = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void *take_block(void)
{
	void *block = NULL;

	pthread_mutex_lock(&spare.lock);
	if (spare.count)
		block = spare.block[--spare.count];
	pthread_mutex_unlock(&spare.lock);
	return block ? block : malloc(BLOCK_BYTES);
}

/* False: there are enough. @block is wiped already. */
static bool keep_block(void *block)
{
	bool kept;

	pthread_mutex_lock(&spare.lock);
	kept = spare.count < SPARE_BLOCKS;
	if (kept)
		spare.block[spare.count++] = block;
	pthread_mutex_unlock(&spare.lock);
	return kept;
}

static void *take(size_t bytes)
{
	return bytes >= RECORD_BYTES && bytes <= BLOCK_BYTES ? take_block() :
							       malloc(bytes);
}

/* What is as large as a block is as good as one, wherever it comes from. */
static void give(void *p)
{
	size_t bytes = p ? malloc_usable_size(p) : 0;

	if (bytes < BLOCK_BYTES || bytes >= 2 * BLOCK_BYTES) {
		wiping_free(p);
		return;
	}
	wipe(p, bytes);
	if (!keep_block(p))
		free(p);
}

void tls_memory_use(void)
{
	gnutls_malloc = take;
	gnutls_calloc = wiping_calloc;
	gnutls_realloc = wiping_realloc;
	gnutls_free = give;
}
