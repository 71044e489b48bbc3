// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A copy under a data key of its own: all of it, or what has changed since an
 * earlier copy; checked, and published at last.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "snapshot_copy.h"
#include "snapshot_pending.h"

/* Is @s a copy of a snapshot of our source's lineage, under @key_id? */
static bool is_earlier(const struct copy *c, const struct snapshot *s,
		       const char *key_id)
{
	const struct header_core *core = header_core(snapshot_header(c->s));
	const struct snapshot_source *of = snapshot_source(s);

	return of && strcmp(of->lineage, core->lineage) == 0 &&
	       strcmp(header_core(snapshot_header(s))->volume_id,
		      core->volume_id) == 0 &&
	       strcmp(header_slot_get(snapshot_header(s), 0).key_id,
		      key_id) == 0;
}

/* What @copy was made of, if that is still what it was. NULL: it is not. */
static struct snapshot *load_source_of(const struct copy *c,
				       const struct snapshot *copy)
{
	const struct snapshot_source *of = snapshot_source(copy);
	struct snapshot *s = NULL;
	uint8_t *body = NULL;
	size_t n;

	if (!snapshot_store_has(c->o->from, of->snapshot_id) ||
	    snapshot_store_load(c->o->from, of->snapshot_id, &s, &body, &n) <
	    0)
		return NULL;
	free(body);
	if (strcmp(snapshot_body(s), of->body) == 0)
		return s;
	snapshot_free(s);
	return NULL;
}

/* Take @id as the earlier copy, if it is one, and newer than what we have. */
static int consider(struct copy *c, const char *id, const char *key_id)
{
	struct snapshot *s = NULL, *source = NULL;
	uint8_t *body = NULL;
	size_t n;

	/* What cannot be read is no earlier copy. */
	if (snapshot_store_load(c->o->to, id, &s, &body, &n) < 0)
		return 0;
	if (is_earlier(c, s, key_id) &&
	    (!c->before || strcmp(snapshot_created(s),
				  snapshot_created(c->before)) >= 0))
		source = load_source_of(c, s);
	if (!source) {
		snapshot_free(s);
		free(body);
		return 0;
	}
	snapshot_free(c->before);
	snapshot_free(c->before_source);
	free(c->before_body);
	c->before_body = body;
	c->before_bytes = n;
	c->before = s;
	c->before_source = source;
	return 0;
}

int snapshot_rekey_plan(struct copy *c, struct snapshot_copied *plan)
{
	const char *volume_id = header_core(snapshot_header(c->s))->volume_id;
	json_t *ids = NULL;
	const json_t *id;
	size_t i;
	int r = c->o->full ? 0 : snapshot_store_list(c->o->to, &ids);

	json_array_foreach(ids, i, id) {
		struct snapshot_wrapper w = { 0 };

		if (r < 0 || snapshot_store_wrapper(c->o->to,
					json_string_value(id), &w) < 0)
			continue;
		if (w.binding == SNAPSHOT_COPY &&
		    strcmp(w.volume_id, volume_id) == 0)
			r = consider(c, w.snapshot_id, plan->key_id);
		snapshot_wrapper_free(&w);
	}
	json_decref(ids);
	if (c->before)
		strcpy(plan->parent, snapshot_id(c->before));
	return r;
}

/* The header of the copy: its source's core, and one slot. */
static int make_header(const struct copy *c, const struct kms_wrapped *wrapped,
		       struct header **ret)
{
	struct header_core core = *header_core(snapshot_header(c->s));
	struct header *h = NULL;
	int r;

	core.lineage[0] = '\0';
	r = header_new(&core, &h);
	if (r == 0)
		r = snapshot_set_slot(h, c->o->context, wrapped);
	if (r == 0)
		r = header_seal(h, c->new_dek);
	if (r < 0)
		header_free(h);
	else
		*ret = h;
	return r;
}

/* A data key for the copy @id: new, or that of the earlier one. */
static int wrap_key(struct copy *c, struct volume_kms *k, const char *id,
		    const char *key_id, struct kms_wrapped *ret)
{
	json_t *context = NULL;
	int r = snapshot_copy_context(id, NULL, c->o->context, &context);

	if (r == 0 && c->before)
		r = snapshot_reencrypt(c->before, 0, k, NULL, NULL, context,
				       ret);
	else if (r == 0)
		r = kms_generate_data_key_without_plaintext(k->kms, key_id,
							    context, ret);
	if (r == 0)
		r = kms_decrypt(k->kms, ret->key_arn, context, ret->blob,
				ret->blob_bytes, &c->new_dek);
	json_decref(context);
	return r;
}

static int begin_new(struct copy *c, struct volume_kms *k, const char *key_id)
{
	struct snapshot_source source = { 0 };
	char id[HEADER_SNAPSHOT_ID_CHARS];
	struct kms_wrapped wrapped = { 0 };
	struct header *h = NULL;
	int r = snapshot_new_id(id);

	if (r == 0)
		r = wrap_key(c, k, id, key_id, &wrapped);
	if (r == 0)
		r = make_header(c, &wrapped, &h);
	strcpy(source.snapshot_id, snapshot_id(c->s));
	strcpy(source.lineage, header_core(snapshot_header(c->s))->lineage);
	strcpy(source.body, snapshot_body(c->s));
	if (r == 0)
		r = snapshot_new_copy(id, h, &source, &c->copy);
	if (r == 0 && c->before)
		snapshot_set_parent(c->copy, snapshot_id(c->before));
	if (r == 0)
		r = snapshot_pending_put(c->o->to, c->copy, c->new_dek);
	header_free(h);
	kms_wrapped_free(&wrapped);
	return r;
}

/* The DEKs of both sides, and the record of the copy that is begun. */
static int begin(struct copy *c, struct snapshot_copied *ret)
{
	struct volume_kms k = { 0 };
	int r;

	r = snapshot_unlock(c->s, c->body, c->body_bytes, &c->o->source, NULL,
			    &c->dek);
	if (r == 0)
		r = volume_kms_open(&c->o->access, &k);
	if (r == 0)
		r = snapshot_pending_find(c->o->to, c->s, &k, ret->key_id,
					  ret->parent, &c->copy, &c->new_dek);
	ret->resumed = r == 0 && c->copy;
	if (r == 0 && !c->copy)
		r = begin_new(c, &k, ret->key_id);
	volume_kms_close(&k);
	/* Its chunks are taken unseen, so it must be of who has the key. */
	if (r == 0 && c->before)
		r = snapshot_body_verify(snapshot_id(c->before), c->before,
					 c->before_body, c->before_bytes,
					 c->new_dek);
	return r;
}

/* What was written is read back, decrypted and compared. */
static int check(struct copy *c, uint32_t *crcs)
{
	struct snapshot_move m = {
		.what = "check",
		.core = header_core(snapshot_header(c->copy)),
		.from = c->o->to,
		.source = c->copy,
		.in.fd = -1,
		.out.fd = -1,
		.decrypt = c->new_dek,
		.check = true,
		.crcs = crcs,
		.keep_holes = true,
	};

	return c->o->unchecked ? 0 : snapshot_move(&m, &c->o->work);
}

static int move(struct copy *c, struct snapshot_copied *ret)
{
	const struct header_core *core = header_core(snapshot_header(c->copy));
	struct snapshot_move m = {
		.what = "copy",
		.core = core,
		.from = c->o->from,
		.source = c->s,
		.in.fd = -1,
		.out.fd = -1,
		.decrypt = c->dek,
		.encrypt = c->new_dek,
		.to = c->o->to,
		.lineage = core->lineage,
		.before = c->before,
		.before_source = c->before_source,
		.keep_holes = c->o->sparse,
		.crcs = calloc(snapshot_chunks(c->s), sizeof(uint32_t)),
	};
	int r = -ENOMEM;

	if (m.crcs)
		r = snapshot_move(&m, &c->o->work);
	else
		log_error("out of memory");
	if (r == 0)
		r = snapshot_move_tell(&m, c->copy);
	if (r == 0)
		r = check(c, m.crcs);
	ret->moved = m.moved;
	ret->kept = m.kept;
	free(m.digests);
	free(m.crcs);
	return r;
}

/* The body is there, so the KMS can bind the key to it. */
static int bind(struct copy *c)
{
	struct kms_wrapped wrapped = { 0 };
	struct volume_kms k = { 0 };
	const json_t *extra = c->o->context;
	json_t *context = NULL, *bound = NULL;
	int r;

	r = snapshot_copy_context(snapshot_id(c->copy), NULL, extra, &bound);
	if (r == 0)
		r = snapshot_copy_context(snapshot_id(c->copy),
					  snapshot_body(c->copy), extra,
					  &context);
	if (r == 0)
		r = volume_kms_open(&c->o->access, &k);
	if (r == 0)
		r = snapshot_reencrypt(c->copy, 0, &k, bound, NULL, context,
				       &wrapped);
	if (r == 0)
		r = snapshot_set_slot(snapshot_header(c->copy), extra,
				      &wrapped);
	volume_kms_close(&k);
	kms_wrapped_free(&wrapped);
	json_decref(context);
	json_decref(bound);
	return r;
}

static int publish(struct copy *c)
{
	struct secret *seal = NULL;
	uint8_t *body = NULL;
	size_t n = 0;
	int r = snapshot_seal(c->new_dek, &seal);

	if (r == 0)
		r = snapshot_body_encode(c->copy, seal, &body, &n);
	secret_free(seal);
	if (r == 0)
		r = bind(c);
	if (r == 0)
		r = snapshot_store_publish_body(c->o->to, c->copy, body, n);
	if (r == 0)
		snapshot_store_end(c->o->to, c->copy);
	free(body);
	return r;
}

/* A failure leaves the record, so that the next attempt goes on with it. */
int snapshot_rekey(struct copy *c, struct snapshot_copied *ret)
{
	int r = begin(c, ret);

	if (r == 0)
		r = move(c, ret);
	if (r == 0)
		r = publish(c);
	if (r == 0)
		strcpy(ret->id, snapshot_id(c->copy));
	if (r == 0)
		strcpy(ret->key_id, header_slot_get(
			snapshot_header(c->copy), 0).key_id);
	return r;
}

void snapshot_rekey_end(struct copy *c)
{
	secret_free(c->dek);
	secret_free(c->new_dek);
	snapshot_free(c->before);
	snapshot_free(c->before_source);
	free(c->before_body);
	snapshot_free(c->copy);
}
