/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The AWS managed key of a region: what volumes use when nobody chose. */
#ifndef KMS_MANAGED_H
#define KMS_MANAGED_H

#include "call.h"

#define MANAGED_ALIAS "alias/aws/ebs"

/* True for a key of the service, which its account uses and nobody changes. */
bool key_is_managed(const struct key_row *key);

/*
 * Makes the key behind MANAGED_ALIAS of the caller's account and region, unless
 * somebody else just did. Not inside a transaction. 0; -ENOMEM; -EIO; -ENOSPC.
 */
int managed_make(struct call *c);

#endif
