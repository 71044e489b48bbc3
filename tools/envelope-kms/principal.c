// SPDX-License-Identifier: GPL-2.0-or-later
/* Principals by ARN: their shapes, and whether they exist. */
#include "principal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int invalid(struct call *c, const char *arn)
{
	return call_fail(c, ERR_INVALID_ARN,
			 "ARN does not refer to a valid principal: %s", arn);
}

/*
 * The part of arn:aws:SERVICE::ACCOUNT:REST behind @prefix
 * ("arn:aws:iam::"), its account in @account. NULL: not of that form.
 */
static const char *split(const char *arn, const char *prefix,
			 char account[static ACCOUNT_BYTES])
{
	size_t n = strlen(prefix);

	if (strncmp(arn, prefix, n) != 0 ||
	    strspn(arn + n, "0123456789") != ACCOUNT_BYTES - 1 ||
	    arn[n + ACCOUNT_BYTES - 1] != ':')
		return NULL;
	snprintf(account, ACCOUNT_BYTES, "%s", arn + n);
	return arn + n + ACCOUNT_BYTES;
}

int principal_check(struct call *c, const char *arn,
		    char uid_ret[static PRINCIPAL_UID_BYTES])
{
	char account[ACCOUNT_BYTES];
	struct user_row user;
	const char *rest = split(arn, "arn:aws:iam::", account);
	int rc;

	uid_ret[0] = '\0';
	if (!rest || strncmp(rest, "user/", 5) != 0)
		return invalid(c, arn);
	rc = store_user_by_arn(c->server->store, account, arn, &user);
	if (rc == -ENOENT)
		return invalid(c, arn);
	if (rc == 0)
		snprintf(uid_ret, PRINCIPAL_UID_BYTES, "%s", user.user_id);
	return rc;
}

int principal_of_account(struct call *c, const char *arn)
{
	char account[ACCOUNT_BYTES];

	if (!split(arn, "arn:aws:iam::", account) &&
	    !split(arn, "arn:aws:sts::", account))
		return invalid(c, arn);
	if (strcmp(account, c->who.user.account) == 0)
		return 0;
	return call_fail(c, ERR_ACCESS_DENIED,
			 "User: %s is not authorized to perform: kms:ListRetirableGrants on resource: %s because no resource-based policy allows the kms:ListRetirableGrants action",
			 c->who.user.arn, arn);
}
