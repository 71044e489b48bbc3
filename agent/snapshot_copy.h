/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the two kinds of copies share; nobody else's. */
#ifndef ENVELOPE_SNAPSHOT_COPY_H
#define ENVELOPE_SNAPSHOT_COPY_H

#include "key_name.h"
#include "snapshot_key.h"
#include "snapshot_ops.h"

struct copy {
	const struct snapshot_copy_options *o;
	struct snapshot *s;		/* the source */
	uint8_t *body;
	size_t body_bytes;
	size_t slot;			/* of the source, that it is gone by */
	/* Of a copy under another data key. */
	struct snapshot *before;	/* the earlier copy, or NULL */
	uint8_t *before_body;
	size_t before_bytes;
	struct snapshot *before_source;	/* what that was made of */
	struct snapshot *copy;
	struct secret *dek;		/* of the source */
	struct secret *new_dek;
};

/*
 * snapshot_rekey.c
 *
 * What there is of an earlier copy under @plan->key_id, to *@c and @plan.
 */
int snapshot_rekey_plan(struct copy *c, struct snapshot_copied *plan);

/* As planned. */
int snapshot_rekey(struct copy *c, struct snapshot_copied *ret);

/* What these two have left in @c, also where they were not called. */
void snapshot_rekey_end(struct copy *c);

#endif
