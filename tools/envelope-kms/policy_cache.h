/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Parsed policies by their text: keys and identities that share a document
 * share its parse, and a changed document is simply another one, so nothing
 * here can be stale.
 */
#ifndef KMS_POLICY_CACHE_H
#define KMS_POLICY_CACHE_H

#include "policy.h"

struct policy_cache;
struct policy_entry;

/* 0; -ENOMEM. policy_cache_free(): no entry may be held; accepts NULL. */
int policy_cache_new(struct policy_cache **ret);
void policy_cache_free(struct policy_cache *cache);

/*
 * The parse of @text, to be given back by policy_cache_put(), which accepts
 * NULL. Any thread. 0; -EIO with a message printed (a stored policy that does
 * not parse); -ENOMEM.
 */
int policy_cache_get(struct policy_cache *cache, const char *text,
		     enum policy_kind kind, struct policy_entry **ret);
void policy_cache_put(struct policy_entry *entry);

const struct policy *policy_entry_policy(const struct policy_entry *entry);

#endif
