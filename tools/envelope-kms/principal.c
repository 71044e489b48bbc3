// SPDX-License-Identifier: GPL-2.0-or-later
/* Principals by ARN: their shapes, and whether they exist. */
#include "principal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "store_identities.h"

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
	snprintf(account, ACCOUNT_BYTES, "%.*s", ACCOUNT_BYTES - 1, arn + n);
	return arn + n + ACCOUNT_BYTES;
}

/* -ENOENT: nobody's. */
static int find_user(struct call *c, const char *account, const char *arn,
		     char uid_ret[static PRINCIPAL_UID_BYTES])
{
	struct user_row user;
	int rc = store_user_by_arn(c->server->store, account, arn, &user);

	if (rc == 0)
		strcpy(uid_ret, user.user_id);
	return rc;
}

/* The role called by the first @n bytes of @name. -ENOENT. */
static int find_role(struct call *c, const char *account, const char *name,
		     size_t n, char uid_ret[static PRINCIPAL_UID_BYTES])
{
	char copy[IDENTITY_NAME_BYTES];
	struct role_row role;
	int rc;

	if (n >= sizeof(copy))
		return -ENOENT;
	snprintf(copy, sizeof(copy), "%.*s", (int)n, name);
	rc = store_role_get(c->server->store, account, copy, &role);
	if (rc < 0)
		return rc;
	strcpy(uid_ret, role.role_id);
	role_row_free(&role);
	return 0;
}

/* assumed-role/ROLE/SESSION: sessions come and go, the role must be there. */
static int find_session(struct call *c, const char *account,
			const char *rest,
			char uid_ret[static PRINCIPAL_UID_BYTES])
{
	static const char prefix[] = "assumed-role/";
	const char *name = rest + sizeof(prefix) - 1;
	const char *slash;

	if (strncmp(rest, prefix, sizeof(prefix) - 1) != 0)
		return -ENOENT;
	slash = strchr(name, '/');
	if (!slash || !slash[1] || strchr(slash + 1, '/'))
		return -ENOENT;
	return find_role(c, account, name, (size_t)(slash - name), uid_ret);
}

int principal_find(struct call *c, const char *arn,
		   char uid_ret[static PRINCIPAL_UID_BYTES])
{
	char account[ACCOUNT_BYTES];
	const char *rest = split(arn, "arn:aws:sts::", account);

	uid_ret[0] = '\0';
	if (rest)
		return find_session(c, account, rest, uid_ret);
	rest = split(arn, "arn:aws:iam::", account);
	if (!rest)
		return -ENOENT;
	if (strcmp(rest, "root") == 0)
		return store_account_get(c->server->store, account);
	if (strncmp(rest, "role/", 5) == 0)
		return find_role(c, account, rest + 5, strlen(rest + 5),
				 uid_ret);
	return find_user(c, account, arn, uid_ret);
}

int principal_check(struct call *c, const char *arn,
		    char uid_ret[static PRINCIPAL_UID_BYTES])
{
	int rc = principal_find(c, arn, uid_ret);

	return rc == -ENOENT ? invalid(c, arn) : rc;
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
