/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A snapshot's data key and the KMS. */
#ifndef ENVELOPE_SNAPSHOT_KEY_H
#define ENVELOPE_SNAPSHOT_KEY_H

#include "snapshot.h"
#include "volume.h"

/*
 * Unwrap the DEK of @s through its first slot that can: allow-keys before
 * anything goes to the network, then Decrypt; the next slot only where a KMS was
 * unreachable. Whether it is the snapshot's, snapshot_body_verify() says. The
 * slot that gave it goes to *@slot_ret (may be NULL); the caller frees
 * *@dek_ret.
 *
 * Errors as volume_unwrap(); prints are done.
 */
int snapshot_unwrap(const struct snapshot *s, struct volume_kms *k,
		    size_t *slot_ret, struct secret **dek_ret);

/* The same up to the HMAC of @body, in one session of its own. */
int snapshot_unlock(const struct snapshot *s, const uint8_t *body, size_t bytes,
		    const struct volume_access *access, size_t *slot_ret,
		    struct secret **dek_ret);

/*
 * Slot @index of @s, which is bound to @bound (NULL: as it should be), wrapped
 * anew by its KMS under @key (NULL: the key that it has) and bound to @context.
 * As kms_reencrypt() and conf_allow_key().
 */
int snapshot_reencrypt(const struct snapshot *s, size_t index,
		       struct volume_kms *k, const json_t *bound,
		       const char *key, const json_t *context,
		       struct kms_wrapped *ret);

/*
 * Is @key, in any form, another key than the one with the id @have? Asked of the
 * KMS, where the caller may ask; else by how it is written.
 */
int snapshot_another_key(const struct volume_access *access, const char *key,
			 const char *have, bool *ret);

/* Is @have, the key of a snapshot, of another account than who asks? */
int snapshot_is_foreign(const struct volume_access *access, const char *have,
			bool *ret);

/*
 * What is made of @s keeps its data key, which is under @have: with a key of
 * another account only where that is wanted (@same_dek), and then its
 * consequence is printed. -EINVAL with a sentence: it is not wanted.
 */
int snapshot_allow_same_dek(const struct volume_access *access,
			    const struct snapshot *s, const char *have,
			    bool same_dek);

/*
 * Print which slots of @s, but for @slot, are not those of what was made of it:
 * a slot is bound to one id.
 */
void snapshot_tell_slots_left(const struct snapshot *s, size_t slot);

/* Make @wrapped, of the KMS of its key, the only slot of @h. */
int snapshot_set_slot(struct header *h, const json_t *extra,
		      const struct kms_wrapped *wrapped);

/*
 * The first slot of @s that a KMS has, which is the one that copies go by.
 * -EACCES with a sentence: none.
 */
int snapshot_kms_slot(const struct snapshot *s, size_t *ret);

#endif
