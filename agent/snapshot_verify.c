// SPDX-License-Identifier: GPL-2.0-or-later
/* Reading all of a snapshot, for what can be known of it. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "pipeline.h"
#include "snapshot_key.h"
#include "snapshot_ops.h"

struct verify {
	struct snapshot_store *st;
	const struct snapshot *s;
	const struct snapshot_work *w;
	_Atomic uint64_t bad;
};

static uint64_t next(void *user, uint64_t index)
{
	const struct verify *v = user;

	return snapshot_next_stored(v->s, index);
}

/* A bad chunk is named, and the next one is read. */
static int64_t read_chunk(void *user, struct pipeline_buffers *b,
			  uint64_t index)
{
	struct verify *v = user;
	int r = snapshot_store_get_block(v->st, v->s, index, b->in);

	if (r < 0 && r != -EBADMSG)
		return r;
	v->bad += r < 0;
	return snapshot_chunk_bytes(v->s, index);
}

static int read_all(struct verify *v, struct snapshot_verified *ret)
{
	const struct pipeline p = {
		.what = "verify",
		.chunks = snapshot_chunks(v->s),
		.size_bytes = header_core(snapshot_header(v->s))->size_bytes,
		.jobs = v->w->jobs,
		.bytes_per_second = v->w->bytes_per_second,
		.next = next,
		.work = read_chunk,
		.progress = v->w->progress,
		.user = v,
	};
	int r = pipeline_run(&p);

	ret->chunks = p.chunks;
	ret->stored = snapshot_stored_chunks(v->s);
	ret->bad = v->bad;
	return r == 0 && v->bad ? -EBADMSG : r;
}

int snapshot_rehearse(struct snapshot_store *st, const char *id,
		      const struct volume_access *access,
		      const struct snapshot_work *w,
		      struct snapshot_verified *ret)
{
	struct snapshot_move m = {
		.what = "rehearse",
		.from = st,
		.in.fd = -1,
		.out.fd = -1,
		.keep_holes = true,
	};
	struct secret *dek = NULL;
	struct snapshot *s = NULL;
	uint8_t *body = NULL;
	size_t n = 0;
	int r = snapshot_store_load(st, id, &s, &body, &n);

	*ret = (struct snapshot_verified){ 0 };
	if (r == 0)
		r = snapshot_unlock(s, body, n, access, NULL, &dek);
	free(body);
	if (r == 0) {
		m.core = header_core(snapshot_header(s));
		m.source = s;
		m.decrypt = dek;
		r = snapshot_move(&m, w);
		ret->chunks = snapshot_chunks(s);
		ret->stored = snapshot_stored_chunks(s);
	}
	secret_free(dek);
	snapshot_free(s);
	return r;
}

int snapshot_verify(struct snapshot_store *st, const char *id,
		    const struct volume_access *access,
		    const struct snapshot_work *w,
		    struct snapshot_verified *ret)
{
	struct verify v = { .st = st, .w = w };
	struct secret *dek = NULL;
	struct snapshot *s = NULL;
	uint8_t *body = NULL;
	size_t n = 0;
	int r = snapshot_store_load(st, id, &s, &body, &n);

	*ret = (struct snapshot_verified){ .hashes_only = !access };
	if (r == 0 && access)
		r = snapshot_unlock(s, body, n, access, NULL, &dek);
	secret_free(dek);
	free(body);
	v.s = s;
	if (r == 0)
		r = read_all(&v, ret);
	snapshot_free(s);
	return r;
}
