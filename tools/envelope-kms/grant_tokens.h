/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Grant tokens: a grant's name, sealed under the root key, so that nobody can
 * make one up and none needs to be stored. Each is different, all of one
 * grant mean the same, and they give nothing to anybody but its grantee.
 * Grants here work at once, with or without them.
 */
#ifndef KMS_GRANT_TOKENS_H
#define KMS_GRANT_TOKENS_H

#include "call.h"
#include "store_grants.h"

#define GRANT_TOKEN_BYTES 256 /* with its NUL */
#define GRANT_TOKEN_MAX 8192  /* that a request may send */

/* A fresh token for @g. 0; -ENOMEM; -EIO. */
int grant_token_make(struct call *c, const struct grant_row *g,
		     char ret[static GRANT_TOKEN_BYTES]);

/*
 * The grant of @token, of this region. 0 with grant_row_free() owed;
 * call_fail()'s InvalidGrantTokenException: not one of ours, or its grant is
 * gone; -ENOMEM; -EIO.
 */
int grant_token_open(struct call *c, const char *token,
		     struct grant_row *ret);

/* The same for all of GrantTokens, which param_grant_tokens() has checked. */
int grant_tokens_check(struct call *c);

#endif
