// SPDX-License-Identifier: GPL-2.0-or-later
/* The proof of slots that are to be stored: the DEK, and the HMAC by it. */
#include "worker_slots.h"

#include <errno.h>
#include <stdlib.h>

#include "json.h"
#include "key_name.h"
#include "kms_provider.h"
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

static json_t *describe(const struct kms_wrapped *wrapped)
{
	char *text = kms_base64_encode(wrapped->blob, wrapped->blob_bytes);
	json_t *o = NULL;

	if (text)
		o = json_pack("{s:{s:s, s:s}}", "wrapped", "key_id",
			      wrapped->key_arn, "ciphertext", text);
	free(text);
	return o;
}

int worker_slots_wrap(struct volume *v, struct volume_kms *k, size_t slot,
		      const json_t *wish, json_t **ret)
{
	struct kms_wrapped wrapped = { 0 };
	const struct conf_region *region;
	struct secret *dek = NULL;
	json_t *context = NULL;
	const char *key_id;
	int r;

	r = json_get_string(wish, "key_id", &key_id);
	if (r == 0)
		r = header_context_of(header_core(v->header),
				      json_object_get(wish, "context"),
				      &context);
	if (r == 0)
		r = conf_allow_key(k->conf, key_id, &region);
	if (r == 0)
		r = volume_unwrap_by(v, k, slot, &dek);
	/* That grant was for the other key. */
	if (r == 0)
		r = kms_use_grant_token(k->kms, NULL);
	if (r == 0)
		r = kms_encrypt(k->kms, key_id, context, dek, &wrapped);
	if (r == 0)
		*ret = describe(&wrapped);
	secret_free(dek);
	kms_wrapped_free(&wrapped);
	json_decref(context);
	return r;
}
