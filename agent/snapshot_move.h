/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Chunks from one place to another, which is what all that is done with
 * snapshots comes to: read and verified, decrypted, encrypted, hashed and
 * written, each stage only where it is wanted.
 */
#ifndef ENVELOPE_SNAPSHOT_MOVE_H
#define ENVELOPE_SNAPSHOT_MOVE_H

#include "pipeline.h"
#include "snapshot_store.h"

/* How it is done; zeros are the defaults. */
struct snapshot_work {
	unsigned int jobs;
	uint64_t bytes_per_second;
	/* As that of a pipeline. */
	void (*progress)(const struct pipeline_progress *now);
};

/* Bytes of a device or file, from @offset_bytes on. */
struct snapshot_bytes {
	int fd;			/* -1: not here */
	const char *name;	/* in messages */
	uint64_t offset_bytes;
};

struct snapshot_move {
	const char *what;		/* for progress */
	const struct header_core *core;	/* of what is moved: size, blocks */

	/* From: a snapshot, or (NULL) bytes. */
	struct snapshot_store *from;
	const struct snapshot *source;
	struct snapshot_bytes in;

	const struct secret *decrypt;	/* DEK of what comes in; NULL: none */
	const struct secret *encrypt;	/* DEK of what goes out; NULL: none */

	/* To: a store, under @lineage; or bytes; or neither. */
	struct snapshot_store *to;
	const char *lineage;
	struct snapshot_bytes out;
	bool sparse;			/* zeros need not be written */
	bool hash;			/* to no store: digests all the same */

	/*
	 * Chunks of zeros are passed over although the volume has no holes, in
	 * which they are ciphertext like any other.
	 */
	bool keep_holes;

	/*
	 * One that was moved the same way before, for the same chunk in the
	 * same place: what has not changed since @before_source is as in
	 * @before. NULL: none.
	 */
	const struct snapshot *before_source;
	const struct snapshot *before;

	/*
	 * CRC-32C of the plaintext of each chunk, one a chunk: computed where
	 * both keys are there; with @check, and @decrypt alone, compared with
	 * what is decrypted. 0: of one that was not moved. NULL: neither.
	 */
	uint32_t *crcs;
	bool check;

	/* What came of it. */
	uint8_t *digests;	/* of a store: one a chunk, zeros for holes */
	uint64_t moved;		/* chunks */
	uint64_t kept;		/* that were there before */
};

/*
 * Move all chunks. @m->digests is allocated where @m->to is set, and is the
 * caller's, also on failure. Holes of a volume with holes are not visited: what
 * they need is the caller's business. -EBADMSG: a chunk is not what it should be, or
 * a plaintext did not stay the same between the stages. Prints are done.
 */
int snapshot_move(struct snapshot_move *m, const struct snapshot_work *w);

/* Tell @s the chunks of @m, in their order. -ENOMEM. */
int snapshot_move_tell(const struct snapshot_move *m, struct snapshot *s);

#endif
