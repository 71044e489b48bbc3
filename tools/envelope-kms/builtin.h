/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Policies that come with the server, and the default policy of a key. */
#ifndef KMS_BUILTIN_H
#define KMS_BUILTIN_H

#include "store.h"

/* The document called @name ("AdministratorAccess"); NULL: none. */
const char *builtin_policy(const char *name);
/* The @i-th name; NULL: no more. */
const char *builtin_policy_name(size_t i);

#define KEY_POLICY_DEFAULT_BYTES 512

/* What KMS gives a key that is made without a policy, into @ret. */
void key_policy_default(const char *account,
			char ret[static KEY_POLICY_DEFAULT_BYTES]);

#endif
