// SPDX-License-Identifier: GPL-2.0-or-later
/* Another KMS key for the data key of a snapshot that is there. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "key_name.h"
#include "log.h"
#include "snapshot_key.h"
#include "snapshot_ops.h"

/* Everything of slot @index but its key stays as it is. */
static int set_slot(struct snapshot *s, size_t index,
		    const struct kms_wrapped *wrapped)
{
	struct header_slot slot = header_slot_get(snapshot_header(s), index);
	json_t *pairs = json_deep_copy(slot.context);
	int r;

	slot = (struct header_slot){
		.provider = key_provider(key_kind(wrapped->key_arn)),
		.key_id = wrapped->key_arn,
		.context = pairs,
		.ciphertext = wrapped->blob,
		.ciphertext_bytes = wrapped->blob_bytes,
	};
	r = pairs ? header_set_slot(snapshot_header(s), index, &slot) :
		    -ENOMEM;
	json_decref(pairs);
	snapshot_slots_changed(s);
	return r;
}

static int move_slot(struct snapshot *s, size_t index, const char *key,
		     const struct volume_access *access, char *new_ret)
{
	struct kms_wrapped wrapped = { 0 };
	struct volume_kms k = { 0 };
	json_t *context = NULL;
	int r = snapshot_context(s, index, &context);

	if (r == 0)
		r = volume_kms_open(access, &k);
	if (r == 0)
		r = snapshot_reencrypt(s, index, &k, NULL, key, context,
				       &wrapped);
	volume_kms_close(&k);
	if (r == 0)
		r = set_slot(s, index, &wrapped);
	if (r == 0)
		snprintf(new_ret, VOLUME_KEY_ID_CHARS, "%s", wrapped.key_arn);
	kms_wrapped_free(&wrapped);
	json_decref(context);
	return r;
}

int snapshot_rewrap(struct snapshot_store *st, const char *id, size_t slot,
		    const char *key, const struct volume_access *access,
		    char *old_ret, char *new_ret)
{
	struct snapshot *s = NULL;
	uint8_t *body = NULL;
	size_t n = 0;
	int r = snapshot_store_load(st, id, &s, &body, &n);

	free(body);
	if (r == 0 && slot >= header_slot_count(snapshot_header(s))) {
		log_error("'%s' has no slot %zu", id, slot);
		r = -EINVAL;
	}
	if (r == 0)
		snprintf(old_ret, VOLUME_KEY_ID_CHARS, "%s", header_slot_get(
			snapshot_header(s), slot).key_id);
	if (r == 0)
		r = move_slot(s, slot, key, access, new_ret);
	if (r == 0)
		r = snapshot_store_replace(st, s);
	snapshot_free(s);
	return r;
}
