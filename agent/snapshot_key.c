// SPDX-License-Identifier: GPL-2.0-or-later
/* Unwrapping and rewrapping what the wrapper of a snapshot has. */
#include "snapshot_key.h"

#include <errno.h>
#include <string.h>

#include "key_name.h"
#include "log.h"

static bool usable(const struct snapshot *s, size_t index)
{
	const char *provider = header_slot_get(snapshot_header(s),
					       index).provider;
	enum key_kind kind;

	return key_provider_find(provider, &kind) == 0;
}

int snapshot_kms_slot(const struct snapshot *s, size_t *ret)
{
	size_t n = header_slot_count(snapshot_header(s)), i;

	for (i = 0; i < n; i++) {
		if (!usable(s, i))
			continue;
		*ret = i;
		return 0;
	}
	log_error("'%s': no slot that a KMS of this version can open",
		  snapshot_id(s));
	return -EACCES;
}

static int unwrap_slot(const struct snapshot *s, struct volume_kms *k,
		       size_t index, struct secret **dek_ret)
{
	struct header_slot slot = header_slot_get(snapshot_header(s), index);
	const struct conf_region *region;
	json_t *context = NULL;
	int r;

	r = conf_allow_key(k->conf, slot.key_id, &region);
	if (r == 0)
		r = snapshot_context(s, index, &context);
	if (r == 0)
		r = kms_decrypt(k->kms, slot.key_id, context, slot.ciphertext,
				slot.ciphertext_bytes, dek_ret);
	json_decref(context);
	return r;
}

int snapshot_unwrap(const struct snapshot *s, struct volume_kms *k,
		    size_t *slot_ret, struct secret **dek_ret)
{
	size_t n = header_slot_count(snapshot_header(s)), i;
	int r;

	r = snapshot_kms_slot(s, &i);
	if (r < 0)
		return r;
	for (; i < n; i++) {
		if (!usable(s, i))
			continue;
		if (slot_ret)
			*slot_ret = i;
		r = unwrap_slot(s, k, i, dek_ret);
		/* A denial is an answer; only silence asks for another. */
		if (r != -EHOSTUNREACH)
			break;
	}
	return r;
}

int snapshot_unlock(const struct snapshot *s, const uint8_t *body, size_t bytes,
		    const struct volume_access *access, size_t *slot_ret,
		    struct secret **dek_ret)
{
	struct volume_kms k = { 0 };
	struct secret *dek = NULL;
	int r = volume_kms_open(access, &k);

	if (r == 0)
		r = snapshot_unwrap(s, &k, slot_ret, &dek);
	volume_kms_close(&k);
	if (r == 0)
		r = snapshot_body_verify(snapshot_id(s), s, body, bytes, dek);
	if (r < 0)
		secret_free(dek);
	else
		*dek_ret = dek;
	return r;
}

int snapshot_reencrypt(const struct snapshot *s, size_t index,
		       struct volume_kms *k, const json_t *bound,
		       const char *key, const json_t *context,
		       struct kms_wrapped *ret)
{
	struct header_slot slot = header_slot_get(snapshot_header(s), index);
	const struct conf_region *region;
	json_t *source = NULL;
	struct kms_reencrypt_args args = {
		.source_key_arn = slot.key_id,
		.wrapped = slot.ciphertext,
		.wrapped_bytes = slot.ciphertext_bytes,
		.key = key ? key : slot.key_id,
		.context = context,
	};
	int r;

	r = conf_allow_key(k->conf, slot.key_id, &region);
	if (r == 0 && !bound)
		r = snapshot_context(s, index, &source);
	args.source_context = bound ? bound : source;
	if (r == 0)
		r = kms_reencrypt(k->kms, &args, ret);
	if (r == 0)
		r = conf_allow_key(k->conf, ret->key_arn, &region);
	json_decref(source);
	return r;
}

int snapshot_another_key(const struct volume_access *access, const char *key,
			 const char *have, bool *ret)
{
	struct kms_key_info info = { 0 };
	struct volume_kms k = { 0 };
	int r;

	*ret = strcmp(key, have) != 0;
	if (!*ret || key_kind(key) != KEY_AWS)
		return 0;
	r = volume_kms_open(access, &k);
	if (r == 0 && kms_describe_if_allowed(k.kms, key, &info) == 0)
		*ret = strcmp(info.arn, have) != 0;
	volume_kms_close(&k);
	return r;
}

int snapshot_is_foreign(const struct volume_access *access, const char *have,
			bool *ret)
{
	struct volume_kms k = { 0 };
	int r = volume_kms_open(access, &k);

	*ret = r == 0 && conf_key_is_foreign(k.conf, have);
	volume_kms_close(&k);
	return r;
}

int snapshot_allow_same_dek(const struct volume_access *access,
			    const struct snapshot *s, const char *have,
			    bool same_dek)
{
	bool foreign = false;
	int r = snapshot_is_foreign(access, have, &foreign);

	if (r < 0 || !foreign)
		return r;
	if (same_dek) {
		log_warn("%s is of another account, and the data key stays the same: who has it there can read and forge what is made of it here",
			 snapshot_id(s));
		return 0;
	}
	log_error("%s is of another account (key '%s'): with its data key, who has it there could read and forge what is made of it here: take a key of your own (--kms-key), or say --same-dek",
		  snapshot_id(s), have);
	return -EINVAL;
}

void snapshot_tell_slots_left(const struct snapshot *s, size_t slot)
{
	size_t n = header_slot_count(snapshot_header(s)), i;

	for (i = 0; i < n; i++)
		if (i != slot)
			log_warn("%s can be opened by %s, too; what was made of it cannot: add that slot to the volume again",
				 snapshot_id(s), header_slot_get(
					 snapshot_header(s), i).key_id);
}

int snapshot_set_slot(struct header *h, const json_t *extra,
		      const struct kms_wrapped *wrapped)
{
	const struct header_slot slot = {
		.provider = key_provider(key_kind(wrapped->key_arn)),
		.key_id = wrapped->key_arn,
		.context = (json_t *)extra,
		.ciphertext = wrapped->blob,
		.ciphertext_bytes = wrapped->blob_bytes,
	};
	int r = 0;

	while (r == 0 && header_slot_count(h) > 1)
		r = header_remove_slot(h, 1);
	if (r == 0 && header_slot_count(h) == 0)
		return header_add_slot(h, &slot);
	return r == 0 ? header_set_slot(h, 0, &slot) : r;
}
