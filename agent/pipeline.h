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

/* How far a pipeline is. */
struct pipeline_progress {
	const char *what;	/* what is done, in a word */
	uint64_t done_bytes;	/* of total_bytes, holes counted */
	uint64_t total_bytes;
	uint64_t moved_bytes;	/* that were really worked on */
};

struct pipeline {
	const char *what;	/* for progress */
	uint64_t chunks;
	uint64_t size_bytes;	/* of all of them */
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
	 * Called by one thread at a time, after each chunk, and when all of it
	 * is done. NULL: nobody asks.
	 */
	void (*progress)(const struct pipeline_progress *now);
	void *user;
};

/*
 * 0 when every chunk was worked on; else the first error. -ENOMEM, with a
 * message: memory, or the limit of locked memory.
 */
int pipeline_run(const struct pipeline *p);

#endif
