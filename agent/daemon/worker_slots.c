// SPDX-License-Identifier: GPL-2.0-or-later
/* The proof of slots that are to be stored: the DEK, and the HMAC by it. */
#include "worker_slots.h"

#include <errno.h>

#include "key_name.h"
#include "log.h"

static int unwrap_one(const struct header *h, struct volume_kms *k,
		      size_t index, struct secret **dek_ret)
{
	struct header_slot slot = header_slot_get(h, index);
	const struct conf_region *region;
	json_t *context = NULL;
	int r;

	r = conf_allow_key(k->conf, slot.key_id, &region);
	if (r == 0)
		r = kms_check_provider(slot.provider);
	if (r == 0)
		r = header_context(h, index, &context);
	if (r == 0)
		r = kms_decrypt(k->kms, slot.key_id, context, slot.ciphertext,
				slot.ciphertext_bytes, dek_ret);
	json_decref(context);
	return r;
}

/* The next one where a KMS was no help. */
static int unwrap_any(const struct header *h, const char *name,
		      struct volume_kms *k, size_t *slot_ret,
		      struct secret **dek_ret)
{
	int r = -ENOENT;
	enum key_kind kind;
	size_t i;

	for (i = 0; i < header_slot_count(h); i++) {
		if (key_provider_find(header_slot_get(h, i).provider,
				      &kind) < 0)
			continue;
		*slot_ret = i;
		r = unwrap_one(h, k, i, dek_ret);
		if (r != -EHOSTUNREACH)
			return r;
	}
	if (r == -ENOENT) {
		log_error("'%s': no slot that this version can use", name);
		r = -EACCES;
	}
	return r;
}

int worker_slots_unwrap(const struct volume *v, struct volume_kms *k,
			const json_t *slots, size_t *slot_ret,
			struct secret **dek_ret)
{
	const char *name = volume_header_name(v);
	struct secret *dek = NULL;
	struct header *h = NULL;
	size_t slot = 0;
	int r;

	r = volume_check_cores(v);
	if (r == 0)
		r = header_from_parts(name, header_core_json(v->header), slots,
				      header_core(v->header)->uuid, &h);
	if (r == 0)
		r = unwrap_any(h, name, k, &slot, &dek);
	if (r == 0)
		r = header_verify(v->header, name, dek);
	if (r == 0) {
		*slot_ret = slot;
		*dek_ret = dek;
		dek = NULL;
	}
	secret_free(dek);
	header_free(h);
	return r;
}
