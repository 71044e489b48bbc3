// SPDX-License-Identifier: GPL-2.0-or-later
/* Default deny; every user of the account that owns a resource may use it. */
#include "authz.h"

#include <string.h>

/* True when @arn lies in @account: arn:partition:service:region:account:… */
static bool owned_by(const char *arn, const char *account)
{
	size_t n = strlen(account);
	int colons = 0;

	for (; *arn && colons < 4; arn++)
		colons += *arn == ':';
	return strncmp(arn, account, n) == 0 && arn[n] == ':';
}

int authorise(struct call *c, const char *action, const char *arn)
{
	const struct user_row *user = &c->who.user;

	if (strcmp(arn, "*") == 0 || owned_by(arn, user->account))
		return 0;
	return call_fail(c, ERR_ACCESS_DENIED,
			 "User: %s is not authorized to perform: %s on resource: %s because no resource-based policy allows the %s action",
			 user->arn, action, arn, action);
}
