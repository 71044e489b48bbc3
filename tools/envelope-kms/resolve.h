/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From any form of a key id to the key, with the errors on the way. */
#ifndef KMS_RESOLVE_H
#define KMS_RESOLVE_H

#include "authz.h"

/* Alias names and alias ARNs: only for cryptography and DescribeKey. */
enum resolve_forms { RESOLVE_KEY_ONLY, RESOLVE_ALIAS_TOO };

/*
 * The key that @id (key id, key ARN, alias name, alias ARN) means, once the
 * caller is authorised for what @f asks of it, with the alias in @f; it is
 * named in the audit record. key_row_free() is owed on success, @ret is
 * untouched else.
 *
 * 0; call_fail()'s NotFoundException or AccessDeniedException; -ENOMEM; -EIO.
 */
int resolve_key(struct call *c, const char *id, enum resolve_forms forms,
		struct facts *f, struct key_row *ret);

/*
 * Does @id in any of its forms mean @key_id? Nobody is authorised for that:
 * it is for what policies ask. 1; 0; -ENOMEM; -EIO.
 */
int resolve_means(struct call *c, const char *id, const char *key_id);

/* The same as resolve_key() for the member KeyId, after params_check(). */
int resolve_named(struct call *c, enum resolve_forms forms, struct facts *f,
		  struct key_row *ret);

/* The same for a key id out of a ciphertext blob, where "unknown" and "not
 * allowed" are one answer.
 */
int resolve_blob_key(struct call *c, const char *key_id,
		     const struct facts *f, struct key_row *ret);

/* True for the shape of a key id, which says nothing of its existence. */
bool is_key_id(const char *text);

/*
 * States that an operation refuses; PendingReplicaDeletion counts as pending
 * deletion. STATES_UNUSABLE: those in which cryptography refuses a key.
 */
#define STATE_DISABLED 1u
#define STATE_PENDING_DELETION 2u
#define STATE_PENDING_IMPORT 4u
#define STATE_UNAVAILABLE 8u
#define STATE_CREATING 16u
#define STATE_UPDATING 32u
#define STATES_UNUSABLE (STATE_DISABLED | STATE_PENDING_DELETION | \
	STATE_PENDING_IMPORT | STATE_UNAVAILABLE | STATE_CREATING)

/*
 * 0 when the state of @key is none of @refused; else call_fail()'s
 * DisabledException or KMSInvalidStateException.
 */
int require_state(struct call *c, const struct key_row *key,
		  unsigned int refused);

/*
 * 0 unless @key is a replica, which takes from its primary what is asked;
 * then call_fail()'s UnsupportedOperationException.
 */
int require_primary(struct call *c, const struct key_row *key);

#endif
