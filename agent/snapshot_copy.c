// SPDX-License-Identifier: GPL-2.0-or-later
/* Which key a copy is under, and the copy under its source's own. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "pipeline.h"
#include "snapshot_copy.h"

/* The key that the copy would have is looked up before anything is decided. */
static int find_key(struct copy *c, struct snapshot_copied *plan)
{
	struct kms_key_info info = { 0 };
	struct volume_kms k = { 0 };
	int r = volume_kms_open(&c->o->access, &k);

	if (r == 0)
		r = volume_find_rule(c->o->kms_key, k.conf, &plan->rule);
	if (r == 0) {
		strcpy(plan->key_id, plan->rule.key);
		if (key_kind(plan->key_id) == KEY_AWS &&
		    kms_describe_if_allowed(k.kms, plan->key_id, &info) == 0)
			strcpy(plan->key_id, info.arn);
	}
	volume_kms_close(&k);
	return r;
}

static int choose_key(struct copy *c, struct snapshot_copied *plan)
{
	const char *have;
	int r = snapshot_kms_slot(c->s, &c->slot);

	if (r < 0)
		return r;
	have = header_slot_get(snapshot_header(c->s), c->slot).key_id;
	snprintf(plan->source_key_id, sizeof(plan->source_key_id), "%s", have);
	if (c->o->same_key)
		strcpy(plan->key_id, plan->source_key_id);
	else
		r = find_key(c, plan);
	plan->rekeyed = strcmp(plan->key_id, have) != 0;
	if (r == 0 && !plan->rekeyed)
		r = snapshot_allow_same_dek(&c->o->access, c->s, have,
					    c->o->same_dek);
	return r;
}

/* The blocks of @c->s from one store to the other, as they are. */
static int64_t copy_chunk(void *user, struct pipeline_buffers *b,
			  uint64_t index)
{
	struct copy *c = user;
	int r = snapshot_store_copy_block(c->o->from, c->o->to, c->s, index,
					  c->o->whole, b->in);

	return r < 0 ? r : (int64_t)snapshot_chunk_bytes(c->s, index);
}

static uint64_t next_chunk(void *user, uint64_t index)
{
	const struct copy *c = user;

	return snapshot_next_stored(c->s, index);
}

static int copy_blocks(struct copy *c)
{
	const struct pipeline p = {
		.what = "copy",
		.chunks = snapshot_chunks(c->s),
		.size_bytes = header_core(snapshot_header(c->s))->size_bytes,
		.jobs = c->o->work.jobs,
		.bytes_per_second = c->o->work.bytes_per_second,
		.next = next_chunk,
		.work = copy_chunk,
		.progress = c->o->work.progress,
		.user = c,
	};

	return c->o->to == c->o->from ? 0 : pipeline_run(&p);
}

/* The same data key for another id: inside the KMS, by ReEncrypt. */
static int rewrap_for(struct copy *c, const char *id)
{
	struct header_slot slot = header_slot_get(snapshot_header(c->s),
						  c->slot);
	const json_t *extra = c->o->context ? c->o->context : slot.context;
	struct kms_wrapped wrapped = { 0 };
	struct volume_kms k = { 0 };
	json_t *context = NULL, *pairs = json_deep_copy(extra);
	int r;

	r = snapshot_copy_context(id, snapshot_body(c->s), extra, &context);
	if (r == 0)
		r = volume_kms_open(&c->o->source, &k);
	if (r == 0)
		r = snapshot_reencrypt(c->s, c->slot, &k, NULL, NULL, context,
				       &wrapped);
	volume_kms_close(&k);
	if (r == 0)
		r = snapshot_set_slot(snapshot_header(c->s), pairs, &wrapped);
	if (r == 0)
		snapshot_become_copy(c->s, id);
	kms_wrapped_free(&wrapped);
	json_decref(context);
	json_decref(pairs);
	return r;
}

/* No plaintext, and no key: what is copied was authenticated by its writer. */
static int copy_same(struct copy *c, struct snapshot_copied *ret)
{
	char id[HEADER_SNAPSHOT_ID_CHARS];
	int r = snapshot_new_id(id);

	if (r == 0)
		r = rewrap_for(c, id);
	if (r == 0)
		r = snapshot_store_begin(c->o->to, c->s);
	if (r < 0)
		return r;
	r = copy_blocks(c);
	if (r == 0)
		r = snapshot_store_publish_body(c->o->to, c->s, c->body,
						c->body_bytes);
	snapshot_store_end(c->o->to, c->s);
	strcpy(ret->id, id);
	ret->moved = c->o->to == c->o->from ? 0 : snapshot_stored_chunks(c->s);
	return r;
}

static void fill_plan(const struct copy *c, struct snapshot_copied *ret)
{
	strcpy(ret->source_id, snapshot_id(c->s));
	ret->size_bytes = header_core(snapshot_header(c->s))->size_bytes;
	ret->chunks = snapshot_chunks(c->s);
}

int snapshot_copy(const char *id, const struct snapshot_copy_options *o,
		  struct snapshot_copied *ret)
{
	struct copy c = { .o = o };
	int r;

	*ret = (struct snapshot_copied){ 0 };
	r = snapshot_store_load(o->from, id, &c.s, &c.body, &c.body_bytes);
	if (r == 0) {
		fill_plan(&c, ret);
		r = choose_key(&c, ret);
	}
	if (r == 0 && ret->rekeyed)
		r = snapshot_rekey_plan(&c, ret);
	if (r == 0 && o->plan)
		o->plan(ret);
	if (r == 0 && !o->dry_run)
		snapshot_tell_slots_left(c.s, c.slot);
	if (r == 0 && !o->dry_run)
		r = ret->rekeyed ? snapshot_rekey(&c, ret) :
		    copy_same(&c, ret);
	snapshot_rekey_end(&c);
	free(c.body);
	snapshot_free(c.s);
	return r;
}
