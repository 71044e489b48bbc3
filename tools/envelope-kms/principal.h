/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Principals that a request names by ARN. */
#ifndef KMS_PRINCIPAL_H
#define KMS_PRINCIPAL_H

#include "call.h"
#include "policy.h"

#define PRINCIPAL_UID_BYTES 65
#define PRINCIPAL_DEAD_BYTES (2 * PRINCIPAL_UID_BYTES)

/*
 * Is @arn somebody? @uid_ret gets his unique id, so that who gets his name
 * later is somebody else; "" where the ARN has none. 0; call_fail()'s
 * InvalidArnException; -ENOMEM; -EIO.
 */
int principal_check(struct call *c, const char *arn,
		    char uid_ret[static PRINCIPAL_UID_BYTES]);

/* The same without the sentence: -ENOENT for nobody. */
int principal_find(struct store *s, const char *arn,
		   char uid_ret[static PRINCIPAL_UID_BYTES]);

/*
 * How @arn is shown when it is no more whom it was, with @uid: by unique id,
 * "AROA…:SESSION" for a session. "": he still has it, or @uid is "". 0;
 * -ENOMEM; -EIO.
 */
int principal_dead_name(struct store *s, const char *arn, const char *uid,
			char ret[static PRINCIPAL_DEAD_BYTES]);

/* The account of @arn, which has the form of a principal's. */
void principal_account(const char *arn, char ret[static ACCOUNT_BYTES]);

/*
 * Whom the names in @p mean now, for policy_request's @bound, in *@ret to
 * free(3). 0; 1: one of them is nobody; -ENOMEM; -EIO.
 */
int principals_bind(struct store *s, const struct policy *p, char **ret);

/*
 * The policy @text as it is shown: who was deleted since it was bound stands
 * there by his unique id. *@ret to free(3). 0; -ENOMEM; -EIO.
 */
int principals_show(struct store *s, const char *text, const char *bound,
		    char **ret);

/* 0 when @arn is of the caller's account; else call_fail(). */
int principal_of_account(struct call *c, const char *arn);

#endif
