// SPDX-License-Identifier: GPL-2.0-or-later
/* Changing the slots of a volume: another way to the same DEK, or one less. */
#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#include "key_name.h"
#include "known.h"
#include "log.h"
#include "volume_private.h"

/* Without the DEK nobody can tell which of two cores is the genuine one. */
int volume_check_cores(const struct volume *v)
{
	if (header_cores_agree(v->header))
		return 0;
	log_error("'%s': the copies of the header differ, or one is damaged: 'envelope check --repair' first",
		  volume_header_name(v));
	return -EBADMSG;
}

static bool names_key(const struct header *h, const char *key_id)
{
	size_t i;

	for (i = 0; i < header_slot_count(h); i++)
		if (strcmp(header_slot_get(h, i).key_id, key_id) == 0)
			return true;
	return false;
}

/*
 * While the copies change the pin has all the keys of both: whenever this ends
 * early, the host believes the copy that serves.
 */
static int store_slots(struct volume *v, const char *old_key,
		       const char *new_key,
		       int (*write)(int fd, const char *name,
				    struct header *h))
{
	const char *volume_id = header_core(v->header)->volume_id;
	int r = 0;

	if (new_key)
		r = known_replace_key(volume_id, NULL, new_key);
	if (r == 0)
		r = write(volume_header_fd(v), volume_header_name(v),
			  v->header);
	if (r == 0 && old_key && !names_key(v->header, old_key))
		r = known_replace_key(volume_id, old_key, new_key);
	return r;
}

int volume_store_slots(struct volume *v, const char *old_key,
		       const char *new_key)
{
	return store_slots(v, old_key, new_key, header_write);
}

int volume_store_sealed_slots(struct volume *v, const struct secret *dek,
			      const char *old_key, const char *new_key)
{
	int r = header_seal(v->header, dek);

	return r == 0 ? store_slots(v, old_key, new_key, header_write_slots) :
			r;
}

int volume_check_new_key(const struct header *h, const char *name,
			 const char *key_id)
{
	size_t i;

	for (i = 0; i < header_slot_count(h); i++) {
		if (strcmp(header_slot_get(h, i).key_id, key_id) != 0)
			continue;
		log_error("'%s': slot %zu has key %s already", name, i,
			  key_id);
		return -EEXIST;
	}
	return 0;
}

int volume_reencrypt_slot(const struct volume *v, struct volume_kms *k,
			  size_t index, const json_t *context, const char *key,
			  struct kms_wrapped *ret)
{
	struct header_slot slot = header_slot_get(v->header, index);
	const struct conf_region *region;
	json_t *source = NULL;
	struct kms_reencrypt_args args = {
		.source_key_arn = slot.key_id,
		.wrapped = slot.ciphertext,
		.wrapped_bytes = slot.ciphertext_bytes,
		.key = key,
		.context = context,
	};
	int r;

	r = header_context(v->header, index, &source);
	args.source_context = source;
	if (!args.context)
		args.context = source;
	if (r == 0)
		r = kms_reencrypt(k->kms, &args, ret);
	if (r == 0)
		r = conf_allow_key(k->conf, ret->key_arn, &region);
	json_decref(source);
	return r;
}

/* As every attach will do it: a session, a connection, credentials anew. */
static int rehearse(const struct volume_access *access,
		    const struct kms_wrapped *wrapped, const json_t *context,
		    const struct secret *dek)
{
	struct secret *again = NULL;
	struct volume_kms k = { 0 };
	int r;

	r = volume_kms_open(access, &k);
	if (r == 0)
		r = kms_decrypt(k.kms, wrapped->key_arn, context,
				wrapped->blob, wrapped->blob_bytes, &again);
	if (r == 0 && CRYPTO_memcmp(secret_cbytes(again), secret_cbytes(dek),
				    HEADER_DEK_BYTES) != 0) {
		log_error("key '%s': the KMS gives back another data key than it was given; nothing was written",
			  wrapped->key_arn);
		r = -EBADMSG;
	}
	secret_free(again);
	volume_kms_close(&k);
	return r;
}

/* Wrapped and proven; nothing is written yet. */
static int wrap_dek(struct volume *v, const struct volume_slot_options *o,
		    struct kms_wrapped *ret)
{
	const struct conf_region *region;
	struct kms_wrapped wrapped = { 0 };
	struct volume_kms k = { 0 };
	struct secret *dek = NULL;
	json_t *context = NULL;
	int r;

	r = header_context_of(header_core(v->header), o->context, &context);
	if (r == 0)
		r = volume_kms_open(&o->access, &k);
	/* A key that this host may not use is no reason for a Decrypt. */
	if (r == 0)
		r = conf_allow_key(k.conf, o->kms_key, &region);
	if (r == 0)
		r = volume_unwrap(v, &o->access, &dek);
	if (r == 0)
		r = kms_encrypt(k.kms, o->kms_key, context, dek, &wrapped);
	if (r == 0)
		r = volume_check_new_key(v->header, volume_header_name(v),
					 wrapped.key_arn);
	if (r == 0)
		r = rehearse(&o->access, &wrapped, context, dek);
	secret_free(dek);
	volume_kms_close(&k);
	json_decref(context);
	if (r == 0)
		*ret = wrapped;
	else
		kms_wrapped_free(&wrapped);
	return r;
}

int volume_slot_add(struct volume *v, const struct volume_slot_options *o,
		    size_t *slot_ret)
{
	struct kms_wrapped wrapped = { 0 };
	struct header_slot slot;
	int r;

	r = volume_check_cores(v);
	if (r == 0)
		r = volume_check_room(v->header, volume_header_name(v));
	if (r == 0)
		r = wrap_dek(v, o, &wrapped);
	if (r < 0)
		return r;
	slot = (struct header_slot){
		.provider = key_provider(key_kind(wrapped.key_arn)),
		.key_id = wrapped.key_arn,
		.context = o->context,
		.ciphertext = wrapped.blob,
		.ciphertext_bytes = wrapped.blob_bytes,
	};
	r = header_add_slot(v->header, &slot);
	if (r == 0)
		r = volume_store_slots(v, NULL, wrapped.key_arn);
	if (r == 0)
		*slot_ret = header_slot_count(v->header) - 1;
	kms_wrapped_free(&wrapped);
	return r;
}

/* Before anybody is asked for a key that would have no place. */
int volume_check_room(const struct header *h, const char *name)
{
	if (header_slot_count(h) < HEADER_MAX_SLOTS)
		return 0;
	log_error("'%s': all %d slots are taken: remove one first", name,
		  HEADER_MAX_SLOTS);
	return -EINVAL;
}

int volume_check_not_last(const struct header *h, const char *name)
{
	if (header_slot_count(h) > 1)
		return 0;
	log_error("'%s': slot 0 is the last one: without it the data are lost; 'envelope erase' does that",
		  name);
	return -EINVAL;
}

int volume_check_any_kms(const struct header *h, const char *name)
{
	enum key_kind kind;
	size_t i;

	for (i = 0; i < header_slot_count(h); i++)
		if (key_provider_find(header_slot_get(h, i).provider,
				      &kind) == 0)
			return 0;
	log_error("'%s': no KMS could open the volume any more: --force removes the slot nevertheless",
		  name);
	return -EINVAL;
}

/* What is left must open the volume, or what is removed was the last way. */
static int prove_rest(struct volume *v, const struct volume_access *access)
{
	struct secret *dek = NULL;
	int r = volume_check_any_kms(v->header, volume_header_name(v));

	if (r < 0)
		return r;
	r = volume_unwrap(v, access, &dek);
	if (r < 0)
		log_error("'%s': nothing was removed, since no other slot was seen to open the volume: --force removes the slot nevertheless",
			  volume_header_name(v));
	secret_free(dek);
	return r;
}

int volume_slot_remove(struct volume *v, size_t index,
		       const struct volume_access *access, bool force)
{
	char old_key[VOLUME_KEY_ID_CHARS];
	int r;

	r = volume_check_cores(v);
	if (r == 0)
		r = volume_check_not_last(v->header, volume_header_name(v));
	if (r < 0)
		return r;
	snprintf(old_key, sizeof(old_key), "%s",
		 header_slot_get(v->header, index).key_id);
	r = header_remove_slot(v->header, index);
	if (r == 0 && !force)
		r = prove_rest(v, access);
	return r == 0 ? volume_store_slots(v, old_key, NULL) : r;
}
