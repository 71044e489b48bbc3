// SPDX-License-Identifier: GPL-2.0-or-later
/* New slots without the data key: made by a KMS, proven by the agent. */
#include "slots_by_agent.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "json.h"
#include "key_name.h"
#include "kms_provider.h"
#include "log.h"

int slots_by_agent_list(struct by_agent *b, const struct by_agent_volume *where,
			const char *header_path, json_t **ret)
{
	json_t *parameters = json_pack("{s:s}", "name", where->name);
	int fd = -1;
	int r;

	if (header_path) {
		fd = open(header_path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0) {
			log_error("'%s': cannot open it: %s", header_path,
				  strerror(errno));
			json_decref(parameters);
			return -EIO;
		}
		json_object_set_new(parameters, "header_fd", json_integer(0));
	}
	r = agent_call(b->client, "Slots", parameters, &fd, fd >= 0,
		       BY_AGENT_SECONDS * 1000, ret);
	if (fd >= 0)
		close(fd);
	return r;
}

static int open_as_it_is(const struct by_agent_volume *where,
			 const struct slots_wish *w, struct volume *ret)
{
	int r = volume_open(where->device, w->header_path, 0, ret);

	if (r < 0 || w->slot == SLOTS_NEW ||
	    w->slot < header_slot_count(ret->header))
		return r;
	log_error("'%s': no slot %u: 'envelope slot list' lists them",
		  where->device, w->slot);
	return -EINVAL;
}

static bool in_region_of(const char *key_arn, const struct arn *key)
{
	struct arn arn;

	return arn_parse(key_arn, &arn) == 0 &&
	       strcmp(arn.region, key->region) == 0 &&
	       strcmp(arn.partition, key->partition) == 0;
}

/* Which slot is wrapped anew: of a KMS that does it, best that of the key. */
static bool choose_source(const struct volume *v, const struct slots_wish *w,
			 size_t *ret)
{
	struct arn key;
	bool is_arn = w->kms_key && arn_parse(w->kms_key, &key) == 0;
	bool found = false;
	size_t i;

	if (w->kms_key && key_kind(w->kms_key) != KEY_AWS)
		return false;

	for (i = header_slot_count(v->header); i-- > 0;) {
		struct header_slot s = header_slot_get(v->header, i);

		if ((w->slot != SLOTS_NEW && w->slot != i) ||
		    strcmp(s.provider, HEADER_PROVIDER_AWS) != 0)
			continue;
		if (is_arn && !in_region_of(s.key_id, &key))
			continue;
		*ret = i;
		found = true;
	}
	return found;
}

/* The agent has its host do it, which the user never sees. */
static int wrap_from(struct by_agent *b, const struct by_agent_volume *where,
		     struct volume *v, const struct slots_wish *w, size_t from,
		     struct kms_wrapped *ret)
{
	json_t *parameters, *answer = NULL;
	const json_t *context = w->context;
	int r;

	if (w->slot != SLOTS_NEW)
		context = header_slot_get(v->header, w->slot).context;
	parameters = json_pack("{s:s, s:i, s:s, s:O*}", "name", where->name,
			       "from", (int)from, "key_id", w->kms_key,
			       "context", context);
	if (w->slot != SLOTS_NEW)
		json_object_set_new(parameters, "slot", json_integer(w->slot));
	r = by_agent_change(b, "WrapSlot", parameters, w->header_path, v,
			    &answer);
	if (r == 0) {
		ret->key_arn = strdup(json_text(answer, "key_id"));
		r = kms_base64_decode(json_text(answer, "ciphertext"),
				      KMS_WRAPPED_MAX_BYTES, &ret->blob,
				      &ret->blob_bytes);
		if (r < 0)
			log_error("'%s': the agent answers no slot",
				  where->name);
	}
	if (r == 0 && !ret->key_arn)
		r = -ENOMEM;
	json_decref(answer);
	return r;
}

/* By the first slot whose KMS answers. */
static int wrap_by_agent(struct by_agent *b,
			 const struct by_agent_volume *where, struct volume *v,
			 const struct slots_wish *w, struct kms_wrapped *ret)
{
	enum key_kind kind;
	int r = -ENOENT;
	size_t i;

	for (i = 0; i < header_slot_count(v->header); i++) {
		if (key_provider_find(header_slot_get(v->header, i).provider,
				      &kind) < 0)
			continue;
		r = wrap_from(b, where, v, w, i, ret);
		if (r != -EHOSTUNREACH)
			return r;
	}
	if (r == -ENOENT) {
		log_error("'%s': no slot that a KMS opens", where->device);
		r = -EINVAL;
	}
	return r;
}

/* The same by the KMS itself, with the caller's credentials. */
static int reencrypt(const struct volume *v, const struct slots_wish *w,
		     size_t source, struct kms_wrapped *ret)
{
	struct volume_access access = { .conf.signer = true };
	struct volume_kms k = { 0 };
	json_t *context = NULL;
	int r = 0;

	if (w->slot == SLOTS_NEW)
		r = header_context_of(header_core(v->header), w->context,
				      &context);
	if (r == 0)
		r = volume_kms_open(&access, &k);
	if (r == 0)
		r = volume_reencrypt_slot(v, &k, source, context, w->kms_key,
					  ret);
	if (r == 0 && w->slot == SLOTS_NEW)
		r = volume_check_new_key(v->header, volume_header_name(v),
					 ret->key_arn);
	volume_kms_close(&k);
	json_decref(context);
	return r;
}

/* The ciphertext of the new slot, which nobody has proven yet. */
static int make_slot(struct by_agent *b, const struct by_agent_volume *where,
		     struct volume *v, const struct slots_wish *w,
		     struct kms_wrapped *ret)
{
	size_t source = 0;

	return choose_source(v, w, &source) ? reencrypt(v, w, source, ret) :
	       wrap_by_agent(b, where, v, w, ret);
}

/* As the agent will have it, so that its grant can be checked. */
static int put_slot(struct volume *v, const struct slots_wish *w,
		    const struct kms_wrapped *wrapped)
{
	struct header_slot slot = {
		.provider = key_provider(key_kind(wrapped->key_arn)),
		.key_id = wrapped->key_arn,
		.context = w->context,
		.ciphertext = wrapped->blob,
		.ciphertext_bytes = wrapped->blob_bytes,
	};

	if (w->slot == SLOTS_NEW)
		return header_add_slot(v->header, &slot);
	slot.context = header_slot_get(v->header, w->slot).context;
	return header_set_slot(v->header, w->slot, &slot);
}

static json_t *compose(const struct by_agent_volume *where,
		       const struct volume *v, uint32_t slot)
{
	json_t *all = json_object_get(header_slots_json(v->header), "slots");
	json_t *one = json_array_get(all, slot == SLOTS_NEW ?
				     json_array_size(all) - 1 : slot);
	json_t *o;

	o = json_pack("{s:s, s:O, s:O, s:O}", "name", where->name, "key_id",
		      json_object_get(one, "key_id"), "ciphertext",
		      json_object_get(one, "ciphertext"), "context",
		      json_object_get(one, "context"));
	if (slot != SLOTS_NEW)
		json_object_set_new(o, "slot", json_integer(slot));
	return o;
}

int slots_by_agent_set(struct by_agent *b, const struct by_agent_volume *where,
		       const struct slots_wish *wish, json_t **ret)
{
	struct kms_wrapped wrapped = { 0 };
	struct volume v = VOLUME_CLOSED;
	int r;

	r = open_as_it_is(where, wish, &v);
	if (r == 0)
		r = make_slot(b, where, &v, wish, &wrapped);
	if (r == 0)
		r = put_slot(&v, wish, &wrapped);
	if (r == 0)
		r = by_agent_change(b, "SetSlot",
				    compose(where, &v, wish->slot),
				    wish->header_path, &v, ret);
	kms_wrapped_free(&wrapped);
	volume_close(&v);
	return r;
}

int slots_by_agent_remove(struct by_agent *b,
			  const struct by_agent_volume *where,
			  const struct slots_wish *wish, json_t **ret)
{
	struct volume v = VOLUME_CLOSED;
	int r;

	r = open_as_it_is(where, wish, &v);
	if (r == 0)
		r = volume_check_not_last(v.header, volume_header_name(&v));
	if (r == 0)
		r = header_remove_slot(v.header, wish->slot);
	if (r == 0)
		r = by_agent_change(b, "RemoveSlot", json_pack(
			"{s:s, s:i}", "name", where->name, "slot",
			(int)wish->slot), wish->header_path, &v, ret);
	volume_close(&v);
	return r;
}
