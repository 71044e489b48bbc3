/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The policy of a key as a request brings it. */
#ifndef KMS_KEY_POLICY_H
#define KMS_KEY_POLICY_H

#include "params.h"

#define KEY_POLICY_MAX_BYTES 32768

/* The parameter Policy, of the size and characters of the model, or NULL. */
const char *param_policy(struct call *c, enum param_need need);

/*
 * May @text become the policy of @key? It must be well-formed, name only
 * principals that exist, and, unless BypassPolicyLockoutSafetyCheck is set,
 * let the caller change it again. @text NULL: the default policy, always.
 * 0 with the policy and the principals of
 * @key set; call_fail()'s MalformedPolicyDocumentException or
 * LimitExceededException; -ENOMEM; -EIO.
 */
int key_policy_set(struct call *c, const char *text, struct key_row *key);

#endif
