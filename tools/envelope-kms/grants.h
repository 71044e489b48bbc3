/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Grants: permissions to use one key that are no part of its policy. */
#ifndef KMS_GRANTS_H
#define KMS_GRANTS_H

#include "authz.h"

/*
 * Does a grant on @key allow the caller what @f asks? 1; 0; -ENOMEM; -EIO.
 * Denials in policies are not its business.
 */
int grant_allows(struct call *c, const struct key_row *key,
		 const struct facts *f);

#endif
