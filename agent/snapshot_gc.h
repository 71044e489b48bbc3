/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Removing what no snapshot of a store needs. */
#ifndef ENVELOPE_SNAPSHOT_GC_H
#define ENVELOPE_SNAPSHOT_GC_H

#include "snapshot_store.h"

#define SNAPSHOT_GC_AGE_MS (24 * 3600 * 1000ull)
/* After that long a record of what was begun counts no more. */
#define SNAPSHOT_PENDING_SECONDS (7 * 24 * 3600)

struct snapshot_gc_options {
	uint64_t min_age_ms;	/* younger objects stay */
	bool dry_run;
};

struct snapshot_gc_result {
	uint64_t blocks;	/* removed */
	uint64_t bytes;		/* of them */
	uint64_t bodies;	/* removed */
	uint64_t parts;		/* of objects that were never whole, removed */
	uint64_t pending;	/* records that have expired, removed */
	uint64_t kept;		/* blocks that a snapshot needs */
	uint64_t young;		/* blocks that none needs, but are too young, or
				 * of a lineage that is written to */
};

/*
 * Remove blocks and bodies that nobody needs. A writer that is at work is not
 * disturbed: before its first block it has said so (pending/ID), and all of that
 * lineage is left alone until the record is removed or a week old; a block that
 * it takes over instead of writing it becomes young again; and before it
 * publishes it looks whether all of them are there. Of a lineage of which a
 * snapshot cannot be read nothing is removed; where not even its lineage can be
 * told, of none: -EBADMSG then, when all else is done.
 *
 * -EIO, -ENOMEM.
 */
int snapshot_gc(struct snapshot_store *st, const struct snapshot_gc_options *o,
		struct snapshot_gc_result *ret);

#endif
