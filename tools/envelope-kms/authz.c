// SPDX-License-Identifier: GPL-2.0-or-later
/* Default deny; every user of the account that owns a resource may use it. */
#include "authz.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "grants.h"

int facts_add(struct facts *f, const char *name, const char *value)
{
	json_t *list;

	if (!f->conditions)
		f->conditions = json_object();
	list = json_object_get(f->conditions, name);
	if (!list) {
		list = json_array();
		if (json_object_set_new(f->conditions, name, list) < 0)
			return -ENOMEM;
	}
	return json_array_append_new(list, json_string(value)) < 0 ?
	       -ENOMEM : 0;
}

int facts_add_bool(struct facts *f, const char *name, bool value)
{
	return facts_add(f, name, value ? "true" : "false");
}

int facts_add_int(struct facts *f, const char *name, int64_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRId64, value);
	return facts_add(f, name, text);
}

void facts_read(const struct call *c, const char *context, struct facts *f)
{
	const json_t *tokens = json_object_get(c->params, "GrantTokens");
	const json_t *map = context ? json_object_get(c->params, context) :
				      NULL;

	if (json_is_array(tokens))
		f->tokens = tokens;
	if (json_is_object(map))
		f->context = map;
}

void facts_free(struct facts *f)
{
	json_decref(f->conditions);
	f->conditions = NULL;
}

static int deny(struct call *c, const struct facts *f, const char *arn)
{
	return call_fail(c, ERR_ACCESS_DENIED,
			 "User: %s is not authorized to perform: %s on resource: %s because no resource-based policy allows the %s action",
			 c->who.user.arn, f->action, arn, f->action);
}

int authorise(struct call *c, const struct facts *f,
	      const struct key_row *key)
{
	char arn[CALL_ARN_BYTES];
	int rc;

	if (strcmp(key->account, c->who.user.account) == 0)
		return 0;
	rc = grant_allows(c, key, f);
	if (rc < 0)
		return rc;
	call_key_arn(key, arn);
	return rc ? 0 : deny(c, f, arn);
}

/* True when @arn lies in @account: arn:partition:service:region:account:… */
static bool owned_by(const char *arn, const char *account)
{
	size_t n = strlen(account);
	int colons = 0;

	for (; *arn && colons < 4; arn++)
		colons += *arn == ':';
	return strncmp(arn, account, n) == 0 && arn[n] == ':';
}

int authorise_other(struct call *c, const struct facts *f, const char *arn)
{
	if (strcmp(arn, "*") == 0 || owned_by(arn, c->who.user.account))
		return 0;
	return deny(c, f, arn);
}

int authorise_absent(struct call *c, const struct facts *f,
		     const struct key_row *named)
{
	char arn[CALL_ARN_BYTES];

	if (strcmp(named->account, c->who.user.account) == 0)
		return 0;
	call_key_arn(named, arn);
	return deny(c, f, arn);
}
