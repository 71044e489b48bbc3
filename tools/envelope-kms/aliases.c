// SPDX-License-Identifier: GPL-2.0-or-later
/* Operations on aliases. */
#include "aliases.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "authz.h"
#include "managed.h"
#include "operations.h"
#include "page.h"
#include "params.h"
#include "resolve.h"

#define ALIAS_MAX (ALIAS_BYTES - 1)
#define ALIASES_PER_KEY 50
#define ALIAS_CHARS "abcdefghijklmnopqrstuvwxyz" \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:/_-"
#define ALIAS_PATTERN "^[a-zA-Z0-9:/_-]+$"

static bool is_reserved(const char *name)
{
	return strncmp(name, "alias/aws/", 10) == 0 || !name[6];
}

bool alias_name_ok(const char *name)
{
	return strlen(name) <= ALIAS_MAX && !name[strspn(name, ALIAS_CHARS)] &&
	       strncmp(name, "alias/", 6) == 0 && !is_reserved(name);
}

/* A well-formed alias name, or NULL with the violation recorded. */
static const char *alias_name(struct call *c)
{
	const char *name = param_string(c, "AliasName", PARAM_REQUIRED, 1,
					ALIAS_MAX);

	if (name && name[strspn(name, ALIAS_CHARS)]) {
		param_violation(c, "AliasName", name,
				"satisfy regular expression pattern: "
				ALIAS_PATTERN);
		return NULL;
	}
	return name;
}

/* What a syntactically good alias name may still not be. */
static int check_alias_name(struct call *c, const char *name)
{
	if (strncmp(name, "alias/", 6) != 0)
		return call_fail(c, ERR_VALIDATION,
				 "Alias must start with the prefix \"alias/\". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html");
	if (is_reserved(name))
		return call_fail(c, ERR_INVALID_ALIAS_NAME, "%s", "");
	return 0;
}

/*
 * Reads AliasName and TargetKeyId, and authorises the caller for the alias
 * and for the key. key_row_free() is owed on success.
 */
static int alias_and_key(struct call *c, struct facts *f,
			 const char **name_ret, struct key_row *key_ret)
{
	const char *name = alias_name(c);
	const char *target = param_string(c, "TargetKeyId", PARAM_REQUIRED, 1,
					  PARAM_KEY_ID_MAX);
	char arn[CALL_ARN_BYTES];
	int rc = params_check(c);

	if (rc < 0)
		return rc;
	rc = check_alias_name(c, name);
	if (rc < 0)
		return rc;
	call_alias_arn(c, name, arn);
	rc = authorise_other(c, f, arn);
	if (rc < 0)
		return rc;
	rc = call_touches(c, arn);
	if (rc < 0)
		return rc;
	*name_ret = name;
	return resolve_key(c, target, RESOLVE_KEY_ONLY, f, key_ret);
}

static int check_alias_count(struct call *c, const struct key_row *key)
{
	char arn[CALL_ARN_BYTES];
	int64_t count = 0;
	int rc = store_alias_count(c->server->store, key->account,
				   key->region, key->key_id, &count);

	if (rc < 0)
		return rc;
	call_key_arn(key, arn);
	if (count >= ALIASES_PER_KEY)
		return call_fail(c, ERR_LIMIT_EXCEEDED,
				 "%s has %d aliases, which is the limit.", arn,
				 ALIASES_PER_KEY);
	return 0;
}

int op_create_alias(struct call *c)
{
	struct alias_row alias = { .created_ms = server_now_ms() };
	char arn[CALL_ARN_BYTES];
	struct facts f = { .action = "kms:CreateAlias" };
	struct key_row key;
	const char *name;
	int rc = alias_and_key(c, &f, &name, &key);

	if (rc < 0)
		return rc;
	rc = require_state(c, &key, STATE_PENDING_DELETION);
	if (rc < 0)
		goto out;
	rc = check_alias_count(c, &key);
	if (rc < 0)
		goto out;
	snprintf(alias.name, sizeof(alias.name), "%s", name);
	strcpy(alias.key_id, key.key_id);
	alias.updated_ms = alias.created_ms;
	rc = store_alias_add(c->server->store, c->who.user.account,
			     c->who.region, &alias);
	if (rc == -EEXIST) {
		call_alias_arn(c, name, arn);
		rc = call_fail(c, ERR_ALREADY_EXISTS,
			       "An alias with the name %s already exists",
			       arn);
	}
out:
	key_row_free(&key);
	return rc;
}

/* The row of alias @name, or the NotFoundException for it. */
static int get_alias(struct call *c, const char *name, struct alias_row *ret)
{
	char arn[CALL_ARN_BYTES];
	int rc = store_alias_get(c->server->store, c->who.user.account,
				 c->who.region, name, ret);

	if (rc != -ENOENT)
		return rc;
	call_alias_arn(c, name, arn);
	return call_fail(c, ERR_NOT_FOUND, "Alias %s is not found.", arn);
}

int op_update_alias(struct call *c)
{
	struct facts f = { .action = "kms:UpdateAlias" };
	struct alias_row alias;
	struct key_row old = { .description = NULL }, key;
	const char *name;
	int rc = alias_and_key(c, &f, &name, &key);

	if (rc < 0)
		return rc;
	rc = get_alias(c, name, &alias);
	if (rc < 0)
		goto out;
	/* The old key, too, must be the caller's to take the alias from. */
	rc = resolve_key(c, alias.key_id, RESOLVE_KEY_ONLY, &f, &old);
	if (rc < 0)
		goto out;
	rc = require_state(c, &key, STATE_PENDING_DELETION);
	if (rc < 0)
		goto out;
	if (strcmp(alias.key_id, key.key_id) != 0)
		rc = check_alias_count(c, &key);
	if (rc < 0)
		goto out;
	strcpy(alias.key_id, key.key_id);
	alias.updated_ms = server_now_ms();
	rc = store_alias_set_key(c->server->store, c->who.user.account,
				 c->who.region, &alias);
out:
	key_row_free(&old);
	key_row_free(&key);
	return rc;
}

int op_delete_alias(struct call *c)
{
	struct facts f = { .action = "kms:DeleteAlias" };
	struct alias_row alias;
	char arn[CALL_ARN_BYTES];
	const char *name = alias_name(c);
	struct key_row key;
	int rc = params_check(c);

	if (rc < 0)
		return rc;
	rc = check_alias_name(c, name);
	if (rc < 0)
		return rc;
	call_alias_arn(c, name, arn);
	rc = authorise_other(c, &f, arn);
	if (rc < 0)
		return rc;
	rc = call_touches(c, arn);
	if (rc < 0)
		return rc;
	rc = get_alias(c, name, &alias);
	if (rc < 0)
		return rc;
	rc = resolve_key(c, alias.key_id, RESOLVE_KEY_ONLY, &f, &key);
	if (rc < 0)
		return rc;
	key_row_free(&key);
	return store_alias_delete(c->server->store, c->who.user.account,
				  c->who.region, name);
}

struct alias_list {
	struct call *call;
	struct page page;
	bool predefined;  /* has been taken, or is not wanted */
};

/* The managed key's alias is there before its key is. */
static int take_predefined(struct alias_list *list, const char *next)
{
	char arn[CALL_ARN_BYTES];
	int order = next ? strcmp(next, MANAGED_ALIAS) : 1;

	if (list->predefined || order < 0)
		return 0;
	list->predefined = true;
	if (order == 0 || strcmp(list->page.after, MANAGED_ALIAS) >= 0)
		return 0;
	call_alias_arn(list->call, MANAGED_ALIAS, arn);
	return page_take(&list->page, MANAGED_ALIAS,
			 json_pack("{s:s, s:s}", "AliasName", MANAGED_ALIAS,
				   "AliasArn", arn));
}

static int take_alias(const struct alias_row *alias, void *arg)
{
	struct alias_list *list = arg;
	char arn[CALL_ARN_BYTES];
	int rc = take_predefined(list, alias->name);

	if (rc < 0)
		return rc;

	call_alias_arn(list->call, alias->name, arn);
	return page_take(&list->page, alias->name,
			 json_pack("{s:s, s:s, s:s, s:f, s:f}", "AliasName",
				   alias->name, "AliasArn", arn,
				   "TargetKeyId", alias->key_id,
				   "CreationDate",
				   (double)alias->created_ms / 1000,
				   "LastUpdatedDate",
				   (double)alias->updated_ms / 1000));
}

int op_list_aliases(struct call *c)
{
	struct facts f = { .action = "kms:ListAliases" };
	struct alias_list list = { .call = c };
	struct key_row key = { .description = NULL };
	const char *id = param_string(c, "KeyId", PARAM_OPTIONAL, 1,
				      PARAM_KEY_ID_MAX);
	int rc = page_begin(c, "alias", 50, 100, &list.page);

	if (rc < 0)
		return rc;
	rc = params_check(c);
	if (rc == 0)
		rc = authorise_other(c, &f, "*");
	if (rc == 0 && id)
		rc = resolve_key(c, id, RESOLVE_KEY_ONLY, &f, &key);
	list.predefined = id;
	if (rc == 0)
		rc = store_alias_list(c->server->store, c->who.user.account,
				      c->who.region,
				      id ? key.key_id : NULL, list.page.after,
				      list.page.limit + 1, take_alias, &list);
	if (rc == 0)
		rc = take_predefined(&list, NULL);
	if (rc == 0)
		rc = page_answer(c, &list.page, "Aliases");
	page_free(&list.page);
	key_row_free(&key);
	return rc;
}
