// SPDX-License-Identifier: GPL-2.0-or-later
/* Operations on the policy of a key. */
#include "key_policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authz.h"
#include "builtin.h"
#include "operations.h"
#include "page.h"
#include "policy.h"
#include "principal.h"
#include "resolve.h"

#define POLICY_MODEL_CHARS 131072
#define POLICY_NAME "default"

/* Of UTF-8: tab, line ends, and U+0020 to U+00FF. */
static bool has_policy_chars(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	for (; *p; p++) {
		if (*p >= 0x80 && *p != 0xc2 && *p != 0xc3 &&
		    (*p & 0xc0) != 0x80)
			return false;
		if (*p < 0x20 && *p != '\t' && *p != '\n' && *p != '\r')
			return false;
	}
	return true;
}

const char *param_policy(struct call *c, enum param_need need)
{
	const char *text = param_string(c, "Policy", need, 1,
					POLICY_MODEL_CHARS);

	if (text && !has_policy_chars(text)) {
		param_violation(c, "Policy", NULL,
				"satisfy regular expression pattern: [\\u0009\\u000A\\u000D\\u0020-\\u00FF]+");
		return NULL;
	}
	return text;
}

static int malformed(struct call *c, const char *why)
{
	return call_fail(c, ERR_MALFORMED_POLICY, "%s", why);
}

/* Whom it names in *@bound_ret, to free(3). */
static int check_document(struct call *c, const char *text, char **bound_ret)
{
	char why[POLICY_WHY_BYTES];
	struct policy *p = NULL;
	int rc;

	if (strlen(text) > KEY_POLICY_MAX_BYTES)
		return call_fail(c, ERR_LIMIT_EXCEEDED,
				 "The key policy has %zu bytes; the limit is %d.",
				 strlen(text), KEY_POLICY_MAX_BYTES);
	rc = policy_parse(text, strlen(text), POLICY_KEY, &p, why);
	if (rc == -EBADMSG)
		return malformed(c, why);
	if (rc == 0)
		rc = principals_bind(c->server->store, p, bound_ret);
	policy_free(p);
	if (rc > 0)
		return malformed(c, "Policy contains a statement with one or more invalid principals.");
	return rc;
}

int key_policy_set(struct call *c, const char *text, struct key_row *key)
{
	struct facts f = { .action = "kms:PutKeyPolicy" };
	char *copy, *bound = NULL;
	int rc;

	if (!text)
		return 0;
	rc = check_document(c, text, &bound);
	if (rc < 0)
		return rc;
	copy = strdup(text);
	if (!copy) {
		free(bound);
		return -ENOMEM;
	}
	free(key->policy);
	free(key->principals);
	key->policy = copy;
	key->principals = bound;
	if (param_bool(c, "BypassPolicyLockoutSafetyCheck"))
		return 0;
	rc = authorise_by_key_policy(c, &f, key);
	if (rc == 0)
		return malformed(c, "The new key policy will not allow you to update the key policy in the future.");
	return rc < 0 ? rc : 0;
}

/* KeyId and PolicyName, of which there is one. */
static int policy_key(struct call *c, const char *action,
		      struct key_row *ret)
{
	struct facts f = { .action = action };
	const char *id = param_string(c, "KeyId", PARAM_REQUIRED, 1,
				      PARAM_KEY_ID_MAX);
	const char *name = param_string(c, "PolicyName", PARAM_OPTIONAL, 1,
					128);
	int rc = params_check(c);

	if (rc == 0)
		rc = resolve_key(c, id, RESOLVE_KEY_ONLY, &f, ret);
	if (rc < 0 || !name || strcmp(name, POLICY_NAME) == 0)
		return rc;
	key_row_free(ret);
	return call_fail(c, ERR_NOT_FOUND, "No such policy exists");
}

int op_get_key_policy(struct call *c)
{
	char text[KEY_POLICY_DEFAULT_BYTES], *shown = NULL;
	struct key_row key = { .description = NULL };
	int rc = policy_key(c, "kms:GetKeyPolicy", &key);

	if (rc < 0)
		return rc;
	key_policy_default(key.account, text);
	rc = principals_show(c->server->store,
			     key.policy[0] ? key.policy : text,
			     key.principals, &shown);
	if (rc == 0) {
		c->answer = json_pack("{s:s, s:s}", "Policy", shown,
				      "PolicyName", POLICY_NAME);
		rc = c->answer ? 0 : -ENOMEM;
	}
	free(shown);
	key_row_free(&key);
	return rc;
}

int op_put_key_policy(struct call *c)
{
	const char *text = param_policy(c, PARAM_REQUIRED);
	struct key_row key;
	int rc;

	param_bool(c, "BypassPolicyLockoutSafetyCheck");
	rc = policy_key(c, "kms:PutKeyPolicy", &key);
	if (rc < 0)
		return rc;
	rc = key_policy_set(c, text, &key);
	if (rc == 0)
		rc = store_key_set_policy(c->server->store, &key);
	key_row_free(&key);
	return rc;
}

int op_list_key_policies(struct call *c)
{
	struct key_row key = { .description = NULL };
	struct page page;
	int rc = page_begin(c, "policy", 100, 1000, &page);

	if (rc < 0)
		return rc;
	rc = policy_key(c, "kms:ListKeyPolicies", &key);
	if (rc == 0 && !page.after[0])
		rc = page_take(&page, POLICY_NAME, json_string(POLICY_NAME));
	if (rc == 0)
		rc = page_answer(c, &page, "PolicyNames");
	page_free(&page);
	key_row_free(&key);
	return rc;
}
