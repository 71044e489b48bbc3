// SPDX-License-Identifier: GPL-2.0-or-later
/* From a plain image to a snapshot of a volume that nobody has. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "snapshot_key.h"
#include "snapshot_ops.h"

struct import {
	const struct snapshot_import_options *o;
	struct snapshot_store *st;
	struct device image;
	struct header_core core;
	struct header *header;
	struct secret *dek;
	struct snapshot *s;
};

/*
 * A partition table counts sectors, and a file system of blocks below 4096
 * writes such: neither would find itself again on larger ones.
 */
static int choose_sector_size(struct import *t)
{
	char signature[DEVICE_SIGNATURE_CHARS];
	uint32_t size = t->o->sector_size;
	uint32_t at_most = t->image.logical_bytes;
	int r = device_signature(&t->image, signature);

	if (r < 0)
		return r;
	if (signature[0] == '\0')
		at_most = 4096;
	if (size == 0)
		size = t->image.size_bytes % 4096 ? 512 : at_most;
	if (size < 512 || size > 4096 || (size & (size - 1))) {
		log_error("--sector-size: %u is not 512, 1024, 2048 or 4096",
			  size);
		return -EINVAL;
	}
	if (size > at_most) {
		log_error("'%s' holds %s with sectors of %u bytes: it would not be found on sectors of %u",
			  t->image.path, signature, at_most, size);
		return -EINVAL;
	}
	if (t->image.size_bytes == 0 || t->image.size_bytes % size) {
		log_error("'%s': %llu bytes are no multiple of the sector size, %u",
			  t->image.path,
			  (unsigned long long)t->image.size_bytes, size);
		return -EINVAL;
	}
	t->core.sector_size = size;
	return 0;
}

static int compose_core(struct import *t)
{
	int r = choose_sector_size(t);

	if (r < 0)
		return r;
	t->core.revision = 1;
	t->core.generation = 1;
	t->core.size_bytes = t->image.size_bytes;
	t->core.data_offset_bytes = HEADER_DATA_OFFSET_BYTES;
	t->core.holes = !t->o->no_holes;
	return header_new_identity(&t->core);
}

static int make_key(struct import *t, struct volume_rule *rule_ret)
{
	struct kms_wrapped wrapped = { 0 };
	struct volume_kms k = { 0 };
	json_t *context = NULL;
	int r = header_context_of(&t->core, t->o->context, &context);

	if (r == 0)
		r = volume_kms_open(&t->o->access, &k);
	if (r == 0)
		r = volume_find_rule(t->o->kms_key, k.conf, rule_ret);
	if (r == 0)
		r = kms_generate_data_key_without_plaintext(k.kms,
				t->o->kms_key, context, &wrapped);
	if (r == 0)
		r = kms_decrypt(k.kms, wrapped.key_arn, context, wrapped.blob,
				wrapped.blob_bytes, &t->dek);
	volume_kms_close(&k);
	if (r == 0)
		r = header_new(&t->core, &t->header);
	if (r == 0)
		r = snapshot_set_slot(t->header, t->o->context, &wrapped);
	if (r == 0)
		r = header_seal(t->header, t->dek);
	kms_wrapped_free(&wrapped);
	json_decref(context);
	return r;
}

static int fill(struct import *t)
{
	const struct header_core *core = header_core(t->header);
	struct snapshot_move m = {
		.what = "import",
		.core = core,
		.in = { .fd = t->image.fd, .name = t->image.path },
		.out.fd = -1,
		.encrypt = t->dek,
		.to = t->st,
		.lineage = core->lineage,
	};
	struct secret *seal = NULL;
	int r = snapshot_move(&m, &t->o->work);

	if (r == 0)
		r = snapshot_move_tell(&m, t->s);
	if (r == 0)
		r = snapshot_seal(t->dek, &seal);
	if (r == 0)
		r = snapshot_store_publish(t->st, t->s, seal);
	secret_free(seal);
	free(m.digests);
	return r;
}

int snapshot_import(struct snapshot_store *st,
		    const struct snapshot_import_options *o,
		    struct snapshot_made *ret, struct volume_rule *rule_ret)
{
	struct import t = { .o = o, .st = st, .image = DEVICE_CLOSED };
	int r = device_open(o->image, 0, &t.image);

	*ret = (struct snapshot_made){ 0 };
	*rule_ret = (struct volume_rule){ 0 };
	if (r == 0)
		r = compose_core(&t);
	if (r == 0)
		r = make_key(&t, rule_ret);
	if (r == 0)
		r = snapshot_new(t.header, &t.s);
	if (r == 0)
		r = snapshot_store_begin(st, t.s);
	if (r == 0) {
		r = fill(&t);
		snapshot_store_end(st, t.s);
	}
	if (r == 0)
		snapshot_fill_made(t.s, NULL, ret);
	snapshot_free(t.s);
	secret_free(t.dek);
	header_free(t.header);
	device_close(&t.image);
	return r;
}
