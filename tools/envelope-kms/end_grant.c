// SPDX-License-Identifier: GPL-2.0-or-later
/* RetireGrant, by who is done with a grant, and RevokeGrant, by who gave it. */
#include <errno.h>
#include <string.h>

#include "cipher.h"
#include "grant_tokens.h"
#include "grants.h"
#include "operations.h"
#include "params.h"
#include "resolve.h"

static int not_found(struct call *c, const char *id)
{
	return call_fail(c, ERR_NOT_FOUND, "Grant ID %s not found", id);
}

/* The ARN of the key that @g is on. */
static void key_arn(const struct grant_row *g, char ret[static CALL_ARN_BYTES])
{
	struct key_row key = { .description = NULL };

	strcpy(key.account, g->account);
	strcpy(key.region, g->region);
	strcpy(key.key_id, g->key_id);
	call_key_arn(&key, ret);
}

/*
 * The retiring principal may, and the grantee if the grant says so; whoever
 * else wants to needs a policy, and to be of the account that gave it.
 */
static int may_retire(struct call *c, const struct grant_row *g)
{
	struct facts f = { .action = "kms:RetireGrant" };
	struct key_row key = { .description = NULL };
	char arn[CALL_ARN_BYTES];
	int rc;

	key_arn(g, arn);
	if (grant_is_caller(c, g->retiring, g->retiring_uid) ||
	    (g->operations & grant_operation("RetireGrant") &&
	     grant_is_caller(c, g->grantee, g->grantee_uid))) {
		rc = store_key_get(c->server->store, g->region, g->key_id,
				   &key);
		if (rc == 0)
			rc = authorise_granted(c, &f, &key);
		key_row_free(&key);
		return rc < 0 ? rc : call_touches(c, arn);
	}
	if (strcmp(g->issuer, c->who.user.account) != 0)
		return call_fail(c, ERR_ACCESS_DENIED,
				 "User: %s is not authorized to perform: kms:RetireGrant on resource: %s because no resource-based policy allows the kms:RetireGrant action",
				 c->who.user.arn, arn);
	rc = resolve_key(c, arn, RESOLVE_KEY_ONLY, &f, &key);
	key_row_free(&key);
	return rc;
}

/*
 * The grant @id on the key @key_id, an id or ARN. Where it is not, only who
 * might have retired it by policy learns so.
 */
static int find_grant(struct call *c, const char *key_id, const char *id,
		      struct grant_row *ret)
{
	struct facts f = { .action = "kms:RetireGrant" };
	struct key_row key = { .description = NULL };
	const char *slash = strrchr(key_id, '/');
	char arn[CALL_ARN_BYTES];
	int rc;

	rc = store_grant_get(c->server->store, c->who.region,
			     slash ? slash + 1 : key_id, id, ret);
	if (rc == 0) {
		key_arn(ret, arn);
		/* An id alone is that of a key of the caller's account. */
		if (slash ? strcmp(key_id, arn) == 0 :
			    strcmp(ret->account, c->who.user.account) == 0)
			return 0;
		grant_row_free(ret);
	}
	if (rc < 0 && rc != -ENOENT)
		return rc;
	rc = resolve_key(c, key_id, RESOLVE_KEY_ONLY, &f, &key);
	if (rc == 0)
		rc = not_found(c, id);
	key_row_free(&key);
	return rc;
}

static int note_grant(struct call *c, const struct grant_row *g)
{
	c->additional = json_pack("{s:s}", "grantId", g->grant_id);
	return c->additional ? 0 : -ENOMEM;
}

int op_retire_grant(struct call *c)
{
	const char *token = param_string(c, "GrantToken", PARAM_OPTIONAL, 1,
					 GRANT_TOKEN_MAX);
	const char *key_id = param_string(c, "KeyId", PARAM_OPTIONAL, 1,
					  PARAM_KEY_ID_MAX);
	const char *id = param_grant_id(c, PARAM_OPTIONAL);
	bool dry_run = param_bool(c, "DryRun");
	struct grant_row g = { .pairs = NULL };
	int rc = params_check(c);

	if (rc < 0)
		return rc;
	if (token ? key_id || id : !key_id || !id)
		return call_fail(c, ERR_VALIDATION,
				 "Specify either a grant token, or a key ID and a grant ID.");
	rc = grant_id_check(c, id);
	if (rc < 0)
		return rc;
	if (token)
		rc = grant_token_open(c, token, &g);
	else
		rc = find_grant(c, key_id, id, &g);
	if (rc < 0)
		return rc;
	rc = may_retire(c, &g);
	if (rc == 0)
		rc = note_grant(c, &g);
	if (rc == 0 && dry_run)
		rc = cipher_dry_run(c);
	if (rc == 0)
		rc = store_grant_delete(c->server->store, &g);
	grant_row_free(&g);
	return rc;
}

int op_revoke_grant(struct call *c)
{
	struct facts f = { .action = "kms:RevokeGrant" };
	const char *key_id = param_string(c, "KeyId", PARAM_REQUIRED, 1,
					  PARAM_KEY_ID_MAX);
	const char *id = param_grant_id(c, PARAM_REQUIRED);
	bool dry_run = param_bool(c, "DryRun");
	struct key_row key = { .description = NULL };
	struct grant_row g = { .pairs = NULL };
	int rc = params_check(c);

	if (rc == 0)
		rc = grant_id_check(c, id);
	if (rc == 0)
		rc = resolve_key(c, key_id, RESOLVE_KEY_ONLY, &f, &key);
	if (rc == 0)
		rc = store_grant_get(c->server->store, key.region, key.key_id,
				     id, &g);
	if (rc == -ENOENT)
		rc = not_found(c, id);
	if (rc == 0 && dry_run)
		rc = cipher_dry_run(c);
	if (rc == 0)
		rc = store_grant_delete(c->server->store, &g);
	grant_row_free(&g);
	key_row_free(&key);
	return rc;
}
