/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Grants: permissions to use one key that are no part of its policy. They
 * only ever allow.
 *
 * The cost of a look-up must not grow with the grants of a key, of which one
 * grantee may have all: a host has one for each of its volumes. So a grant
 * with a constraint is filed under its anchor, the digest of its longest pair
 * (a volume id rather than a generation), and a call looks under the digests
 * of the pairs of its own context. Others are filed under "".
 */
#ifndef KMS_GRANTS_H
#define KMS_GRANTS_H

#include "authz.h"
#include "params.h"
#include "store_grants.h"

/* Names of the operations a grant may have; the bit of each is its place. */
extern const char *const grant_operations[]; /* ends with NULL */

/* The bit of the operation called @name; 0: a grant cannot have it. */
int64_t grant_operation(const char *name);

/*
 * Does a grant on @key allow the caller what @f asks? @own_allow: his own
 * policies do, which is what a grant to his account asks for. 1; 0; -ENOMEM;
 * -EIO. Denials in policies are not its business.
 */
int grant_allows(struct call *c, const struct key_row *key,
		 const struct facts *f, bool own_allow);

/*
 * The parameter GrantId, and whether it has the form of one: 0, also when it
 * is NULL; call_fail()'s InvalidGrantIdException.
 */
const char *param_grant_id(struct call *c, enum param_need need);
int grant_id_check(struct call *c, const char *id);

/*
 * Is the caller that principal: the user, the session, or a session of the
 * role, as it was when the grant was made (@uid)?
 */
bool grant_is_caller(const struct call *c, const char *arn, const char *uid);

/* The constraint that a request for CreateGrant names, already checked. */
enum grant_constraint grant_requested(const struct call *c,
				      const json_t **pairs_ret);

/* The anchor of a constraint with @pairs. 0; -ENOMEM; -EIO. */
int grant_anchor(const json_t *pairs, char ret[static ANCHOR_BYTES]);

#endif
