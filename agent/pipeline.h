/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Work on the chunks of a volume by several threads, in bounded memory: each
 * has buffers of its own and takes one chunk after the other through all of its
 * stages.
 */
#ifndef ENVELOPE_PIPELINE_H
#define ENVELOPE_PIPELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "secret.h"

#define PIPELINE_MAX_JOBS 64

/* What a thread has; a chunk fits into each, aligned for direct I/O. */
struct pipeline_buffers {
	uint8_t *in;
	uint8_t *out;
	struct secret *plain;	/* NULL unless asked for */
};

struct pipeline {
	uint64_t chunks;
	unsigned int jobs;	/* threads; 0: as many as processors, to 8 */
	bool plaintext;		/* the threads want locked memory */
	uint64_t bytes_per_second; /* of all threads; 0: no limit */
	/*
	 * The first chunk from @index on that there is something to do about,
	 * or @chunks. Called by one thread at a time. NULL: every chunk.
	 */
	uint64_t (*next)(void *user, uint64_t index);
	/*
	 * All stages of chunk @index; the bytes that it moved, for the limit and
	 * for progress. -errno with a message ends it all.
	 */
	int64_t (*work)(void *user, struct pipeline_buffers *b,
			uint64_t index);
	/*
	 * How far it is: the chunks before @index are begun, and @bytes were
	 * moved. Called by one thread at a time. NULL: nobody asks.
	 */
	void (*progress)(void *user, uint64_t index, uint64_t bytes);
	void *user;
};

/*
 * 0 when every chunk was worked on; else the first error. -ENOMEM, with a
 * message: memory, or the limit of locked memory.
 */
int pipeline_run(const struct pipeline *p);

#endif
