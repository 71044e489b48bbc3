// SPDX-License-Identifier: GPL-2.0-or-later
/* From the stored bytes of a volume to a snapshot. */
#include "snapshot_ops.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

/* Which of a store's snapshots is looked for. */
struct wanted {
	const char *volume_id;	/* NULL: any; else no copies */
	const char *lineage;	/* NULL: any */
	bool oldest;		/* else the newest */
};

static bool is_wanted(const struct wanted *q, const struct snapshot_wrapper *w)
{
	if (q->volume_id && (w->binding != SNAPSHOT_OF_VOLUME ||
			     strcmp(w->volume_id, q->volume_id) != 0))
		return false;
	return !q->lineage || strcmp(w->lineage, q->lineage) == 0;
}

static int find(struct snapshot_store *st, const struct wanted *q,
		char id_ret[HEADER_SNAPSHOT_ID_CHARS])
{
	char created[HEADER_TIME_CHARS] = "";
	json_t *ids = NULL;
	const json_t *id;
	size_t i;
	int r = snapshot_store_list(st, &ids);

	id_ret[0] = '\0';
	json_array_foreach(ids, i, id) {
		struct snapshot_wrapper w = { 0 };
		int order;

		if (snapshot_store_wrapper(st, json_string_value(id), &w) < 0)
			continue;
		order = strcmp(w.created, created);
		if (is_wanted(q, &w) && (!created[0] ||
					 (q->oldest ? order < 0 :
						      order >= 0))) {
			strcpy(created, w.created);
			strcpy(id_ret, w.snapshot_id);
		}
		snapshot_wrapper_free(&w);
	}
	json_decref(ids);
	return r;
}

int snapshot_find_newest(struct snapshot_store *st, const char *volume_id,
			 const char *lineage,
			 char id_ret[HEADER_SNAPSHOT_ID_CHARS])
{
	const struct wanted q = { .volume_id = volume_id, .lineage = lineage };

	return find(st, &q, id_ret);
}

int snapshot_find_oldest(struct snapshot_store *st,
			 char id_ret[HEADER_SNAPSHOT_ID_CHARS])
{
	const struct wanted q = { .oldest = true };

	return find(st, &q, id_ret);
}

/*
 * One that does not hold is no parent, and no reason to go without a new
 * snapshot. *@ret stays NULL then.
 */
static int find_parent(struct snapshot_store *st, const struct header *h,
		       const struct secret *seal, struct snapshot **ret)
{
	const struct header_core *core = header_core(h);
	char id[HEADER_SNAPSHOT_ID_CHARS];
	struct snapshot *s = NULL;
	uint8_t *body = NULL;
	size_t n = 0;
	int r;

	if (!st)
		return 0;
	r = snapshot_find_newest(st, core->volume_id, core->lineage, id);
	if (r < 0 || !id[0])
		return r;
	if (snapshot_store_load(st, id, &s, &body, &n) < 0 ||
	    snapshot_body_check(id, s, body, n, seal) < 0) {
		log_warn("'%s' is no parent: the new snapshot has none", id);
		snapshot_free(s);
		s = NULL;
	}
	free(body);
	*ret = s;
	return 0;
}

/* How many chunks of @s its parent (NULL: none) has not. */
static uint64_t count_changed(const struct snapshot *s,
			      const struct snapshot *parent)
{
	uint64_t chunks = snapshot_chunks(s), changed = 0, i;

	for (i = snapshot_next_stored(s, 0); i < chunks;
	     i = snapshot_next_stored(s, i + 1)) {
		const uint8_t *then = parent ? snapshot_digest(parent, i) :
				      NULL;

		changed += !then || memcmp(then, snapshot_digest(s, i),
					   SNAPSHOT_DIGEST_BYTES) != 0;
	}
	return changed;
}

void snapshot_fill_made(struct snapshot *s, const struct snapshot *parent,
			struct snapshot_made *ret)
{
	const struct header_core *core = header_core(snapshot_header(s));

	strcpy(ret->id, snapshot_id(s));
	strcpy(ret->created, snapshot_created(s));
	strcpy(ret->volume_id, core->volume_id);
	strcpy(ret->lineage, core->lineage);
	strcpy(ret->parent, snapshot_parent(s));
	ret->size_bytes = core->size_bytes;
	ret->chunks = snapshot_chunks(s);
	ret->stored = snapshot_stored_chunks(s);
	ret->changed = count_changed(s, parent);
}

/* Blocks, table, and (unless it is a dry run) body and wrapper. */
static int fill(struct snapshot_store *st, struct snapshot *s,
		const struct snapshot_create_options *o)
{
	const struct header_core *core = header_core(snapshot_header(s));
	struct snapshot_move m = {
		.what = "create",
		.core = core,
		.in = o->in,
		.to = o->dry_run ? NULL : st,
		.lineage = core->lineage,
		.out.fd = -1,
		.hash = o->dry_run,
	};
	int r = snapshot_move(&m, &o->work);
	int confirmed = o->confirm ? o->confirm(o->user) : 0;

	/* Why it could not be read. */
	if (confirmed < 0)
		r = confirmed;
	if (r == 0)
		r = snapshot_move_tell(&m, s);
	if (r == 0 && !o->dry_run)
		r = snapshot_store_publish(st, s, o->seal);
	free(m.digests);
	return r;
}

int snapshot_create(struct snapshot_store *st,
		    const struct snapshot_create_options *o,
		    struct snapshot_made *ret)
{
	struct snapshot *s = NULL, *parent = NULL;
	int r = snapshot_new(o->header, &s);

	if (r == 0)
		r = find_parent(st, o->header, o->seal, &parent);
	if (r == 0 && parent)
		snapshot_set_parent(s, snapshot_id(parent));
	if (r == 0 && !o->dry_run)
		r = snapshot_store_begin(st, s);
	if (r == 0) {
		r = fill(st, s, o);
		if (!o->dry_run)
			snapshot_store_end(st, s);
	}
	if (r == 0)
		snapshot_fill_made(s, parent, ret);
	if (r == 0 && o->dry_run)
		ret->id[0] = '\0';
	snapshot_free(parent);
	snapshot_free(s);
	return r;
}
