// SPDX-License-Identifier: GPL-2.0-or-later
/* CreateGrant: what a grant may say, and who may give it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cipher.h"
#include "grant_tokens.h"
#include "grants.h"
#include "json_memory.h"
#include "managed.h"
#include "operations.h"
#include "params.h"
#include "principal.h"
#include "process.h"
#include "resolve.h"

#define GRANTS_PER_KEY 50000
#define PAIRS_MAX 8
#define PAIR_CHARS_MAX 384
#define NAME_CHARS "abcdefghijklmnopqrstuvwxyz" \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:/_-"
#define NAME_PATTERN "^[a-zA-Z0-9:/_-]+$"

struct request {
	const char *key_id, *grantee, *retiring, *name;
	bool dry_run;
	int64_t operations;
	enum grant_constraint constraint;
	const json_t *pairs;
	struct facts facts;
};

static void wrong_operation(struct call *c, const char *value)
{
	char set[512] = "";
	int i;

	for (i = 0; grant_operations[i]; i++) {
		if (i)
			strncat(set, ", ", sizeof(set) - strlen(set) - 1);
		strncat(set, grant_operations[i],
			sizeof(set) - strlen(set) - 1);
	}
	param_violation(c, "Operations", value,
			"satisfy constraint: [Member must satisfy enum value set: [%s]]",
			set);
}

static int64_t read_operations(struct call *c)
{
	json_t *list = json_object_get(c->params, "Operations");
	int64_t operations = 0, bit;
	char quoted[160];
	json_t *name;
	size_t i;

	if (!list || json_is_null(list))
		param_missing(c, "Operations");
	else if (!json_is_array(list))
		c->malformed = true;
	else if (!json_array_size(list))
		param_violation(c, "Operations", "[]",
				"have length greater than or equal to 1");
	json_array_foreach(list, i, name) {
		bit = json_is_string(name) ?
		      grant_operation(json_string_value(name)) : 0;
		operations |= bit;
		if (!json_is_string(name)) {
			c->malformed = true;
		} else if (!bit) {
			snprintf(quoted, sizeof(quoted), "[%.128s]",
				 json_string_value(name));
			wrong_operation(c, quoted);
		}
	}
	return operations;
}

/* Checks one constraint, if it is there. */
static void read_pairs(struct call *c, const json_t *constraints,
		       const char *kind)
{
	json_t *pairs = json_object_get(constraints, kind);
	const char *name;
	json_t *value;

	if (!pairs || json_is_null(pairs))
		return;
	if (!json_is_object(pairs)) {
		c->malformed = true;
		return;
	}
	json_object_foreach(pairs, name, value)
		if (!json_is_string(value))
			c->malformed = true;
}

static void read_constraints(struct call *c, struct request *r)
{
	json_t *all = json_object_get(c->params, "Constraints");

	if (all && !json_is_null(all) && !json_is_object(all))
		c->malformed = true;
	read_pairs(c, all, "EncryptionContextEquals");
	read_pairs(c, all, "EncryptionContextSubset");
	r->constraint = grant_requested(c, &r->pairs);
}

static int read_request(struct call *c, struct request *r)
{
	r->key_id = param_string(c, "KeyId", PARAM_REQUIRED, 1,
				 PARAM_KEY_ID_MAX);
	r->grantee = param_string(c, "GranteePrincipal", PARAM_OPTIONAL, 1,
				  PRINCIPAL_BYTES - 1);
	r->retiring = param_string(c, "RetiringPrincipal", PARAM_OPTIONAL, 1,
				   PRINCIPAL_BYTES - 1);
	r->name = param_string(c, "Name", PARAM_OPTIONAL, 1,
			       GRANT_NAME_BYTES - 1);
	if (r->name && r->name[strspn(r->name, NAME_CHARS)])
		param_violation(c, "Name", r->name,
				"satisfy regular expression pattern: "
				NAME_PATTERN);
	r->operations = read_operations(c);
	read_constraints(c, r);
	param_grant_tokens(c);
	r->dry_run = param_bool(c, "DryRun");
	return params_check(c);
}

static int check_pairs(struct call *c, const struct request *r)
{
	json_t *all = json_object_get(c->params, "Constraints");
	const char *name;
	json_t *value;
	bool fits = json_object_size(r->pairs) <= PAIRS_MAX;

	if (json_is_object(json_object_get(all, "EncryptionContextEquals")) &&
	    json_is_object(json_object_get(all, "EncryptionContextSubset")))
		return call_fail(c, ERR_VALIDATION,
				 "Specify either EncryptionContextEquals or EncryptionContextSubset as the grant constraint, not both.");
	json_object_foreach((json_t *)r->pairs, name, value)
		fits = fits && strlen(name) <= PAIR_CHARS_MAX &&
		       json_string_length(value) <= PAIR_CHARS_MAX;
	if (!fits)
		return call_fail(c, ERR_VALIDATION,
				 "A grant constraint has at most %d encryption context pairs, of at most %d characters each.",
				 PAIRS_MAX, PAIR_CHARS_MAX);
	return 0;
}

/* What the members mean together. */
static int check_request(struct call *c, const struct request *r)
{
	json_t *all = json_object_get(c->params, "Constraints");

	if (param_given(c, "GranteeServicePrincipal") ||
	    param_given(c, "RetiringServicePrincipal") ||
	    json_is_string(json_object_get(all, "SourceArn")))
		return call_fail(c, ERR_UNSUPPORTED,
				 "This server does not offer grants to service principals.");
	if (!r->grantee)
		return call_fail(c, ERR_VALIDATION,
				 "1 validation error detected: Value null at 'granteePrincipal' failed to satisfy constraint: Member must not be null");
	if (r->operations == grant_operation("CreateGrant"))
		return call_fail(c, ERR_VALIDATION,
				 "Grants must not contain only the CreateGrant operation.");
	return check_pairs(c, r);
}

/* A symmetric key has no use for the rest, and DescribeKey is for all. */
static int check_key(struct call *c, const struct request *r,
		     const struct key_row *key)
{
	static const char *const others[] = {
		"Sign", "Verify", "GetPublicKey", "GenerateMac", "VerifyMac",
		"DeriveSharedSecret", NULL
	};
	int i;

	for (i = 0; others[i]; i++)
		if (r->operations & grant_operation(others[i]))
			return call_fail(c, ERR_VALIDATION,
					 "Operation %s is not valid for key spec %s.",
					 others[i], key->spec);
	return 0;
}

static int fill_row(struct call *c, const struct request *r,
		    const struct key_row *key, struct grant_row *g)
{
	uint8_t id[(GRANT_ID_BYTES - 1) / 2];
	char *text;
	int rc;

	snprintf(g->region, sizeof(g->region), "%s", key->region);
	snprintf(g->account, sizeof(g->account), "%s", key->account);
	snprintf(g->key_id, sizeof(g->key_id), "%s", key->key_id);
	snprintf(g->issuer, sizeof(g->issuer), "%s", c->who.user.account);
	snprintf(g->name, sizeof(g->name), "%s", r->name ? r->name : "");
	snprintf(g->grantee, sizeof(g->grantee), "%s", r->grantee);
	snprintf(g->retiring, sizeof(g->retiring), "%s",
		 r->retiring ? r->retiring : "");
	g->operations = r->operations;
	g->constraint = r->constraint;
	g->created_ms = server_now_ms();
	text = r->pairs ? json_memory_text(r->pairs, JSON_COMPACT |
					   JSON_SORT_KEYS) : NULL;
	g->pairs = strdup(text ? text : "{}");
	wiping_free(text);
	if (!g->pairs)
		return -ENOMEM;
	rc = crypto_random(id, sizeof(id));
	crypto_hex(id, sizeof(id), g->grant_id);
	if (rc == 0)
		rc = grant_anchor(r->pairs, g->anchor);
	if (rc == 0)
		rc = principal_check(c, r->grantee, g->grantee_uid);
	return rc;
}

/* Adds the grant; one that repeats another by its name is that one. */
static int add_grant(struct call *c, const struct key_row *key,
		     struct grant_row *g)
{
	struct store *store = c->server->store;
	char arn[CALL_ARN_BYTES];
	int64_t count = 0;
	int rc = -ENOENT;

	if (g->name[0])
		rc = store_grant_same(store, g, g->grant_id);
	if (rc != -ENOENT)
		return rc;
	rc = store_grant_count(store, key, &count);
	if (rc < 0)
		return rc;
	call_key_arn(key, arn);
	if (count >= GRANTS_PER_KEY)
		return call_fail(c, ERR_LIMIT_EXCEEDED,
				 "%s has %d grants, which is the limit.", arn,
				 GRANTS_PER_KEY);
	return store_grant_add(store, g);
}

static int answer(struct call *c, const struct grant_row *g)
{
	char token[GRANT_TOKEN_BYTES];
	int rc = grant_token_make(c, g, token);

	if (rc < 0)
		return rc;
	c->answer = json_pack("{s:s, s:s}", "GrantId", g->grant_id,
			      "GrantToken", token);
	c->response_elements = json_pack("{s:s}", "grantId", g->grant_id);
	return c->answer && c->response_elements ? 0 : -ENOMEM;
}

/*
 * An AWS managed key is for its account alone, whose principals all have it;
 * a grant must not get around what its policy says of kms:CallerAccount.
 */
static int check_accounts(struct call *c, const struct request *r,
			  const struct key_row *key)
{
	const char *const arns[] = { r->grantee, r->retiring };
	char account[ACCOUNT_BYTES], arn[CALL_ARN_BYTES];
	size_t i;

	if (!key_is_managed(key))
		return 0;
	for (i = 0; i < 2; i++) {
		if (!arns[i])
			continue;
		principal_account(arns[i], account);
		if (strcmp(account, key->account) == 0)
			continue;
		call_key_arn(key, arn);
		return call_fail(c, ERR_ACCESS_DENIED,
				 "User: %s is not authorized to perform: kms:CreateGrant on resource: %s because no resource-based policy allows the kms:CreateGrant action",
				 c->who.user.arn, arn);
	}
	return 0;
}

/* The request is good; is the key, and are the principals? */
static int create(struct call *c, const struct request *r,
		  const struct key_row *key)
{
	struct grant_row g = { .pairs = NULL };
	int rc = check_key(c, r, key);

	if (rc == 0)
		rc = fill_row(c, r, key, &g);
	if (rc == 0 && r->retiring)
		rc = principal_check(c, r->retiring, g.retiring_uid);
	if (rc == 0)
		rc = check_accounts(c, r, key);
	if (rc == 0)
		rc = require_state(c, key, STATES_UNUSABLE &
				   ~STATE_UNAVAILABLE);
	if (rc == 0 && r->dry_run)
		rc = cipher_dry_run(c);
	if (rc == 0)
		rc = add_grant(c, key, &g);
	if (rc == 0)
		rc = answer(c, &g);
	grant_row_free(&g);
	return rc;
}

int op_create_grant(struct call *c)
{
	struct request r = { .facts = { .action = "kms:CreateGrant" } };
	struct key_row key = { .description = NULL };
	int rc = read_request(c, &r);

	if (rc == 0)
		rc = check_request(c, &r);
	if (rc == 0)
		rc = grant_tokens_check(c);
	/* Policies see the constraint as the context that it demands. */
	r.facts.context = r.pairs;
	if (rc == 0)
		rc = resolve_key(c, r.key_id, RESOLVE_KEY_ONLY, &r.facts,
				 &key);
	if (rc == 0)
		rc = create(c, &r, &key);
	key_row_free(&key);
	return rc;
}
