// SPDX-License-Identifier: GPL-2.0-or-later
/* Slots, the half that proves itself by yielding the DEK. */
#include "header_private.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "key_name.h"
#include "log.h"
#include "recovery.h"

#define RESERVED_PREFIX "envelope:"
#define BASE64_CHARS(n) (((n) + 2) / 3 * 4)

/* Strict: no line breaks, no missing padding, no bits that say nothing. */
static int base64_decode(const char *text, uint8_t **ret, size_t *n_ret)
{
	size_t chars = strlen(text), n;
	char again[BASE64_CHARS(HEADER_MAX_WRAPPED_BYTES) + 1];
	uint8_t *out;

	if (chars == 0 || chars % 4 || chars >= sizeof(again))
		return -EBADMSG;
	n = chars / 4 * 3;
	out = malloc(n);
	if (!out)
		return -ENOMEM;
	/* OpenSSL counts the padding as bytes. */
	if (EVP_DecodeBlock(out, (const uint8_t *)text, chars) != (int)n)
		goto bad;
	n -= (text[chars - 1] == '=') + (text[chars - 2] == '=');
	EVP_EncodeBlock((uint8_t *)again, out, n);
	if (strcmp(again, text) != 0)
		goto bad;
	*ret = out;
	*n_ret = n;
	return 0;
bad:
	free(out);
	return -EBADMSG;
}

/* The reserved names come from core alone; a slot must not add to them. */
static int check_context(const json_t *context,
			 char why[static HEADER_WHY_BYTES])
{
	const char *name;
	json_t *value;

	if (!json_is_object(context))
		return header_refuse(why, "context is not an object");
	json_object_foreach((json_t *)context, name, value) {
		if (strncmp(name, RESERVED_PREFIX,
			    strlen(RESERVED_PREFIX)) == 0)
			return header_refuse(why, "context names that begin with " RESERVED_PREFIX " are reserved");
		if (!json_is_string(value) || !name[0])
			return header_refuse(why, "context is not made of names and texts");
	}
	return 0;
}

static int check_key(const char *provider, const char *key_id,
		     char why[static HEADER_WHY_BYTES])
{
	if (!header_provider_valid(provider))
		return header_refuse(why, "provider is not a name");
	if (strcmp(provider, RECOVERY_PROVIDER) == 0)
		return recovery_id_valid(key_id) ? 0 :
		       header_refuse(why, "key_id is not that of a recovery key");
	if (key_fits_provider(provider, key_id))
		return 0;
	if (strcmp(provider, HEADER_PROVIDER_AWS) == 0)
		return header_refuse(why, "key_id is not the full ARN of a KMS key");
	return header_refuse(why, "key_id is not one of provider %s",
			     provider);
}

static int check_slot(const json_t *slot, uint8_t **wrapped_ret, size_t *n_ret,
		      char why[static HEADER_WHY_BYTES])
{
	const char *provider, *key_id, *ciphertext, *created;
	int r;

	if (json_get_string(slot, "provider", &provider) < 0 ||
	    json_get_string(slot, "key_id", &key_id) < 0 ||
	    json_get_string(slot, "ciphertext", &ciphertext) < 0 ||
	    json_get_string(slot, "created", &created) < 0)
		return header_refuse(why, "a member is missing or not a text");
	if (!header_time_valid(created))
		return header_refuse(why, "created is not a time");
	r = check_key(provider, key_id, why);
	if (r == 0)
		r = check_context(json_object_get(slot, "context"), why);
	if (r < 0)
		return r;
	r = base64_decode(ciphertext, wrapped_ret, n_ret);
	if (r == -EBADMSG)
		header_refuse(why, "ciphertext is not base64 of 1 to %d bytes",
			      HEADER_MAX_WRAPPED_BYTES);
	return r;
}

int header_slots_parse(struct header *h, char why[static HEADER_WHY_BYTES])
{
	const json_t *array = json_object_get(h->slots_json, "slots");
	size_t count = json_array_size(array), i;
	char slot_why[HEADER_WHY_BYTES];

	if (!json_is_array(array) || count < 1 || count > HEADER_MAX_SLOTS)
		return header_refuse(why, "slots: not an array of 1 to %d slots",
				     HEADER_MAX_SLOTS);
	for (i = 0; i < count; i++) {
		const json_t *slot = json_array_get(array, i);
		int r = -EBADMSG;

		strcpy(slot_why, "not an object");
		if (json_is_object(slot))
			r = check_slot(slot, &h->wrapped[i].bytes,
				       &h->wrapped[i].n, slot_why);
		if (r == -EBADMSG)
			header_refuse(why, "slot %zu: %.160s", i, slot_why);
		if (r < 0)
			return r;
		h->slot_count = i + 1;
	}
	return 0;
}

void header_slots_free(struct header *h)
{
	size_t i;

	for (i = 0; i < h->slot_count; i++)
		free(h->wrapped[i].bytes);
	json_decref(h->slots_json);
}

size_t header_slot_count(const struct header *h)
{
	return h->slot_count;
}

struct header_slot header_slot_get(const struct header *h, size_t index)
{
	json_t *json = json_array_get(json_object_get(h->slots_json, "slots"),
				      index);
	struct header_slot slot = {
		.provider = json_string_value(json_object_get(json,
							      "provider")),
		.key_id = json_string_value(json_object_get(json, "key_id")),
		.context = json_object_get(json, "context"),
		.ciphertext = h->wrapped[index].bytes,
		.ciphertext_bytes = h->wrapped[index].n,
		.created = json_string_value(json_object_get(json, "created")),
	};

	return slot;
}

int header_context_of(const struct header_core *core, const json_t *extra,
		      json_t **ret)
{
	char generation[16], why[HEADER_WHY_BYTES];
	json_t *context;

	if (extra && check_context(extra, why) < 0) {
		log_error("encryption context: %s", why);
		return -EINVAL;
	}
	snprintf(generation, sizeof(generation), "%u", core->generation);
	context = extra ? json_deep_copy(extra) : json_object();
	if (!context ||
	    json_object_set_new(context, RESERVED_PREFIX "volume-id",
				json_string(core->volume_id)) < 0 ||
	    json_object_set_new(context, RESERVED_PREFIX "generation",
				json_string(generation)) < 0) {
		json_decref(context);
		return -ENOMEM;
	}
	*ret = context;
	return 0;
}

int header_context(const struct header *h, size_t index, json_t **ret)
{
	return header_context_of(&h->core, header_slot_get(h, index).context,
				 ret);
}

/* A slot as JSON; the caller owns it. NULL: memory, or text not UTF-8. */
static json_t *slot_json(const struct header_slot *slot)
{
	char base64[BASE64_CHARS(HEADER_MAX_WRAPPED_BYTES) + 1];
	char now[HEADER_TIME_CHARS];
	json_t *context = slot->context ? json_deep_copy(slot->context) :
					  json_object();

	EVP_EncodeBlock((uint8_t *)base64, slot->ciphertext,
			slot->ciphertext_bytes);
	header_time_now(now);
	return json_pack("{ss ss so ss ss}",
			 "provider", slot->provider,
			 "key_id", slot->key_id,
			 "context", context,
			 "ciphertext", base64,
			 "created", slot->created ? slot->created : now);
}

/* Checked slot and its ciphertext, ready to be put in place. */
static int make_slot(const struct header_slot *slot, json_t **json_ret,
		     uint8_t **wrapped_ret, size_t *n_ret)
{
	char why[HEADER_WHY_BYTES];
	json_t *json;
	int r;

	if (slot->ciphertext_bytes < 1 ||
	    slot->ciphertext_bytes > HEADER_MAX_WRAPPED_BYTES) {
		log_error("slot: wrapped key of %zu bytes, want 1 to %d",
			  slot->ciphertext_bytes, HEADER_MAX_WRAPPED_BYTES);
		return -EINVAL;
	}
	json = slot_json(slot);
	if (!json)
		return -ENOMEM;
	r = check_slot(json, wrapped_ret, n_ret, why);
	if (r == -EBADMSG) {
		log_error("slot: %s", why);
		r = -EINVAL;
	}
	if (r < 0)
		json_decref(json);
	else
		*json_ret = json;
	return r;
}

int header_add_slot(struct header *h, const struct header_slot *slot)
{
	json_t *array = json_object_get(h->slots_json, "slots");
	json_t *json = NULL;
	uint8_t *bytes = NULL;
	size_t n = 0;
	int r;

	if (h->slot_count >= HEADER_MAX_SLOTS) {
		log_error("slot: the header has %d already, the most there can be",
			  HEADER_MAX_SLOTS);
		return -EINVAL;
	}
	r = make_slot(slot, &json, &bytes, &n);
	if (r < 0)
		return r;
	if (json_array_append_new(array, json) < 0) {
		free(bytes);
		return -ENOMEM;
	}
	h->wrapped[h->slot_count].bytes = bytes;
	h->wrapped[h->slot_count].n = n;
	h->slot_count++;
	return 0;
}

int header_set_slot(struct header *h, size_t index,
		    const struct header_slot *slot)
{
	json_t *array = json_object_get(h->slots_json, "slots");
	json_t *json = NULL;
	uint8_t *bytes = NULL;
	size_t n = 0;
	int r;

	if (index >= h->slot_count)
		return -EINVAL;
	r = make_slot(slot, &json, &bytes, &n);
	if (r < 0)
		return r;
	if (json_array_set_new(array, index, json) < 0) {
		free(bytes);
		return -ENOMEM;
	}
	free(h->wrapped[index].bytes);
	h->wrapped[index].bytes = bytes;
	h->wrapped[index].n = n;
	return 0;
}

int header_remove_slot(struct header *h, size_t index)
{
	size_t after;

	if (index >= h->slot_count)
		return -EINVAL;
	json_array_remove(json_object_get(h->slots_json, "slots"), index);
	free(h->wrapped[index].bytes);
	after = --h->slot_count - index;
	memmove(&h->wrapped[index], &h->wrapped[index + 1],
		after * sizeof(h->wrapped[0]));
	return 0;
}
