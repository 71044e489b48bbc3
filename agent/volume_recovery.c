// SPDX-License-Identifier: GPL-2.0-or-later
/* The slot of a recovery key: made, and used instead of a KMS. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "audit.h"
#include "event.h"
#include "kms_trace.h"
#include "known.h"
#include "log.h"
#include "recovery.h"
#include "volume_private.h"

/* 0 with the slot that @key belongs to. */
static int find_slot(const struct volume *v, const char *key_id,
		     size_t *slot_ret)
{
	size_t i;

	for (i = 0; i < header_slot_count(v->header); i++) {
		struct header_slot slot = header_slot_get(v->header, i);

		if (strcmp(slot.provider, RECOVERY_PROVIDER) == 0 &&
		    strcmp(slot.key_id, key_id) == 0) {
			*slot_ret = i;
			return 0;
		}
	}
	log_error("'%s': no slot for this recovery key (%s): it is another volume's, or its slot was removed",
		  volume_header_name(v), key_id);
	return -EACCES;
}

static int open_slot(const struct volume *v, const struct secret *key,
		     size_t index, struct secret **dek_ret)
{
	struct header_slot slot = header_slot_get(v->header, index);
	json_t *context = NULL;
	int r;

	r = header_context(v->header, index, &context);
	if (r == 0)
		r = recovery_unwrap(key, context, slot.ciphertext,
				    slot.ciphertext_bytes, dek_ret);
	if (r == -EBADMSG)
		log_error("'%s': slot %zu was changed: its recovery key does not open it",
			  volume_header_name(v), index);
	json_decref(context);
	return r;
}

int volume_recover(struct volume *v, const struct secret *key,
		   struct secret **dek_ret)
{
	const char *volume_id = header_core(v->header)->volume_id;
	char key_id[RECOVERY_ID_CHARS];
	struct secret *dek = NULL;
	size_t slot;
	int r;

	if (geteuid() != 0) {
		log_error("'%s': recovery keys are for root alone",
			  volume_header_name(v));
		return -EACCES;
	}
	r = recovery_id(key, key_id);
	if (r < 0) {
		log_error("'%s': no memory for the recovery key",
			  volume_header_name(v));
		return r;
	}
	r = find_slot(v, key_id, &slot);
	if (r == 0)
		r = known_check(volume_header_name(v), v->header, slot);
	if (r == -ENOENT)
		r = 0;
	if (r == 0)
		r = open_slot(v, key, slot, &dek);
	if (r == 0)
		r = header_verify(v->header, volume_header_name(v), dek);
	/* Recorded first: what cannot be recorded is not given out. */
	if (r == 0) {
		kms_trace_recovered(key_id);
		r = audit_verb("recovery", volume_header_name(v), volume_id);
	}
	if (r == 0) {
		event_recovered(volume_id, key_id);
		log_warn("volume %s is opened by recovery key %s: no KMS was asked, and the journal has it",
			 volume_id, key_id);
		*dek_ret = dek;
		dek = NULL;
	}
	secret_free(dek);
	return r;
}

/* Wrapped, and unwrapped again from what will be stored. */
static int prove(const struct secret *key, const json_t *context,
		 const struct secret *dek, const struct header_slot *slot)
{
	struct secret *again = NULL;
	int r;

	r = recovery_unwrap(key, context, slot->ciphertext,
			    slot->ciphertext_bytes, &again);
	if (r == 0 && memcmp(secret_cbytes(again), secret_cbytes(dek),
			     HEADER_DEK_BYTES) != 0)
		r = -EIO;
	secret_free(again);
	return r;
}

static int make_slot(struct volume *v, const struct secret *key,
		     const struct secret *dek, const char *key_id)
{
	uint8_t wrapped[RECOVERY_WRAPPED_BYTES];
	const struct header_slot slot = {
		.provider = RECOVERY_PROVIDER,
		.key_id = key_id,
		.ciphertext = wrapped,
		.ciphertext_bytes = sizeof(wrapped),
	};
	json_t *context = NULL;
	int r;

	r = header_context_of(header_core(v->header), NULL, &context);
	if (r == 0)
		r = recovery_wrap(key, context, dek, wrapped);
	if (r == 0)
		r = prove(key, context, dek, &slot);
	if (r == 0)
		r = header_add_slot(v->header, &slot);
	else
		log_error("'%s': cannot make the slot of a recovery key: %s",
			  volume_header_name(v), strerror(-r));
	json_decref(context);
	return r;
}

int volume_recovery_add(struct volume *v, const struct volume_access *access,
			int (*tell)(void *user, const struct secret *key,
				    const char *key_id, size_t slot),
			void *user)
{
	char key_id[RECOVERY_ID_CHARS];
	struct secret *dek = NULL, *key = NULL;
	int r;

	r = volume_check_cores(v);
	if (r == 0)
		r = volume_check_room(v->header, volume_header_name(v));
	if (r == 0)
		r = volume_unwrap(v, access, &dek);
	if (r < 0)
		goto out;
	r = recovery_new(&key);
	if (r == 0)
		r = recovery_id(key, key_id);
	if (r < 0) {
		log_error("'%s': cannot make a recovery key: %s",
			  volume_header_name(v), strerror(-r));
		goto out;
	}
	r = make_slot(v, key, dek, key_id);
	/* Who cannot read it should not have the slot. */
	if (r == 0)
		r = tell(user, key, key_id, header_slot_count(v->header) - 1);
	if (r < 0) {
		log_error("'%s': no recovery key was added: one that was printed opens nothing",
			  volume_header_name(v));
		goto out;
	}
	/* One of the two copies may be there, and it may be the one that serves. */
	r = volume_store_slots(v, NULL, key_id);
	if (r < 0)
		log_error("'%s': the slot of the recovery key may have been written: see 'envelope slot list', and remove it before the key is thrown away",
			  volume_header_name(v));
out:
	secret_free(key);
	secret_free(dek);
	return r;
}
