// SPDX-License-Identifier: GPL-2.0-or-later
/* The drill: all that a restore would need of a KMS, done, and nothing written. */
#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>

#include "audit.h"
#include "doctor.h"
#include "secret.h"
#include "snapshot_ops.h"

#define CHECK "drill"

/* The header's own text; every other volume's differs in it. */
#define OTHER_VOLUME "vol-00000000000000000"

/* As an attach does: pin, allow-keys, Decrypt, lineage and HMAC. */
static int unwrap(struct doctor *d, struct volume *v, size_t *slot_ret,
		  struct secret **dek_ret)
{
	int r = volume_unwrap_with(v, &d->k, slot_ret, dek_ret);

	if (r < 0)
		doctor_said(d, DOCTOR_FAIL, CHECK);
	else
		doctor_say(d, DOCTOR_OK, CHECK, NULL,
			   "%s: its key was unwrapped, and the HMAC of the header holds",
			   volume_header_name(v));
	return r;
}

/* 0: it is refused. */
static int try_wrong_context(struct doctor *d, struct volume *v,
			     const struct header_slot *slot,
			     const json_t *context)
{
	json_t *wrong = json_deep_copy(context);
	struct secret *dek = NULL;
	int r;

	json_object_set_new(wrong, "envelope:volume-id",
			    json_string(OTHER_VOLUME));
	r = kms_decrypt(d->k.kms, slot->key_id, wrong, slot->ciphertext,
			slot->ciphertext_bytes, &dek);
	secret_free(dek);
	json_decref(wrong);
	if (r == -EACCES)
		doctor_say(d, DOCTOR_OK, CHECK, NULL,
			   "%s: refused under another volume's context (%s)",
			   volume_header_name(v), kms_last_error(d->k.kms));
	else if (r == 0)
		doctor_say(d, DOCTOR_FAIL, CHECK,
			   "do not use this KMS: it does not bind keys to their encryption context",
			   "%s: its key was unwrapped under another volume's context",
			   volume_header_name(v));
	else
		doctor_said(d, DOCTOR_FAIL, CHECK);
	if (r == -EACCES)
		return 0;
	return r == 0 ? -EBADMSG : r;
}

/* What the KMS wraps anew must be the same key; then it is forgotten. */
static int try_rewrap(struct doctor *d, struct volume *v,
		      const struct header_slot *slot, const json_t *context,
		      const struct secret *dek)
{
	const struct kms_reencrypt_args args = {
		.source_key_arn = slot->key_id,
		.source_context = context,
		.wrapped = slot->ciphertext,
		.wrapped_bytes = slot->ciphertext_bytes,
		.key = slot->key_id,
		.context = context,
	};
	struct kms_wrapped wrapped = { 0 };
	struct secret *again = NULL;
	int r;

	r = kms_reencrypt(d->k.kms, &args, &wrapped);
	if (r == 0)
		r = kms_decrypt(d->k.kms, wrapped.key_arn, context,
				wrapped.blob, wrapped.blob_bytes, &again);
	if (r == 0 && (secret_len(again) != secret_len(dek) ||
		       CRYPTO_memcmp(secret_cbytes(again), secret_cbytes(dek),
				     secret_len(dek)) != 0))
		r = -EBADMSG;
	if (r == -EBADMSG && again)
		doctor_say(d, DOCTOR_FAIL, CHECK,
			   "do not rewrap volumes at this KMS",
			   "%s: rewrapped in memory, it was another key",
			   volume_header_name(v));
	else if (r < 0)
		doctor_said(d, DOCTOR_FAIL, CHECK);
	else
		doctor_say(d, DOCTOR_OK, CHECK, NULL,
			   "%s: rewrapped in memory and unwrapped again; nothing was written",
			   volume_header_name(v));
	secret_free(again);
	kms_wrapped_free(&wrapped);
	return r;
}

void doctor_drill(struct doctor *d, struct volume *v)
{
	struct header_slot slot;
	struct secret *dek = NULL;
	json_t *context = NULL;
	int r, wrong = 0;
	size_t index;

	doctor_restart(d);
	r = unwrap(d, v, &index, &dek);
	if (r < 0)
		goto out;
	slot = header_slot_get(v->header, index);
	r = header_context(v->header, index, &context);
	if (r < 0) {
		doctor_said(d, DOCTOR_FAIL, CHECK);
		goto out;
	}
	wrong = try_wrong_context(d, v, &slot, context);
	r = try_rewrap(d, v, &slot, context, dek);
out:
	audit_verb_ended("drill", volume_header_name(v),
			 header_core(v->header)->volume_id,
			 wrong < 0 ? wrong : r);
	json_decref(context);
	secret_free(dek);
}

void doctor_drill_refused(struct doctor *d, const struct volume *v)
{
	doctor_say(d, DOCTOR_WARN, CHECK,
		   "give it --profile of an identity with kms:Decrypt and kms:ReEncrypt*, in envelope-drill.service, too",
		   "%s: its key was not unwrapped: the host may do that by grants only",
		   volume_header_name(v));
}

/* Of a store that is there: its oldest snapshot is the likeliest to be lost. */
static void restore_oldest(struct doctor *d, struct snapshot_store *st,
			   const char *url)
{
	const struct snapshot_work work = { .jobs = 1 };
	char id[HEADER_SNAPSHOT_ID_CHARS];
	struct snapshot_verified v;
	int r = snapshot_find_oldest(st, id);

	if (r == 0 && !id[0]) {
		doctor_say(d, DOCTOR_WARN, CHECK,
			   "make one: 'envelope-snapshot create'",
			   "%s has no snapshot, so none was restored", url);
		return;
	}
	if (r == 0)
		r = snapshot_rehearse(st, id, &d->access, &work, &v);
	if (r == 0)
		doctor_say(d, DOCTOR_OK, CHECK, NULL,
			   "%s, the oldest snapshot of %s, was restored into nothing: %llu of %llu chunks read, verified and decrypted",
			   id, url, (unsigned long long)v.stored,
			   (unsigned long long)v.chunks);
	else
		doctor_said(d, DOCTOR_FAIL, CHECK);
	audit_verb_ended("drill", id, NULL, r);
}

static void drill_store(struct doctor *d)
{
	const char *url = d->store ? d->store : SNAPSHOT_DEFAULT_STORE;
	struct snapshot_store *st = NULL;

	if (!d->store && !object_store_exists(url)) {
		doctor_say(d, DOCTOR_OK, CHECK, NULL,
			   "no snapshot was restored: there is no %s, and no --store was named",
			   url);
		return;
	}
	if (snapshot_store_open(url, NULL, false, &st) == 0)
		restore_oldest(d, st, url);
	else
		doctor_said(d, DOCTOR_FAIL, CHECK);
	snapshot_store_close(st);
}

void doctor_drill_end(struct doctor *d)
{
	if (d->volumes == 0)
		doctor_say(d, DOCTOR_WARN, CHECK,
			   "name the devices or files of volumes",
			   "no volume was found, so none was unwrapped");
	drill_store(d);
}
