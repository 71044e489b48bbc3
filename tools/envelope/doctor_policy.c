// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Why the KMS says no: the key policy read as far as it concerns one operation
 * of one caller. It decides nothing, the KMS has done that.
 */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor.h"
#include "json.h"

#define POLICY_MAX_BYTES 65536
#define POLICY_MAX_DEPTH 16
#define CONTEXT "kms:EncryptionContext:"

/* What is known of a request by us, whatever the volume. */
static const struct {
	const char *key;	/* condition key, or how it begins */
	const char *why;
} conditions[] = {
	{ "kms:GrantIsForAWSResource",
	  "which only AWS's own services fulfil; policies made for EBS have it" },
	{ "kms:ViaService",
	  "which only requests through an AWS service fulfil" },
	{ "kms:GranteePrincipal", "which has to name host-principal" },
	{ "kms:RetiringPrincipal", "which has to name host-principal" },
	{ "kms:GrantOperations", "which has to allow Decrypt" },
	{ "kms:GrantConstraintType",
	  "which has to allow EncryptionContextSubset" },
	{ "kms:EncryptionContextKeys",
	  "which has to allow envelope:volume-id and envelope:generation" },
	{ "kms:CallerAccount", "which has to name the caller's account" },
};

/* @list is one text or an array of them, with * and ? as in policies. */
static bool covers(const json_t *list, const char *text, int flags)
{
	const json_t *one;
	size_t i;

	if (json_is_string(list))
		return fnmatch(json_string_value(list), text, flags) == 0;
	json_array_foreach(list, i, one)
		if (json_is_string(one) &&
		    fnmatch(json_string_value(one), text, flags) == 0)
			return true;
	return false;
}

static bool has_action(const json_t *statement, const char *action)
{
	return covers(json_object_get(statement, "Action"), action,
		      FNM_CASEFOLD);
}

static bool has_principal(const json_t *statement, const char *who)
{
	const json_t *principal = json_object_get(statement, "Principal");

	if (json_is_string(principal))
		return strcmp(json_string_value(principal), "*") == 0;
	return covers(json_object_get(principal, "AWS"), who, 0);
}

static bool is_effect(const json_t *statement, const char *effect)
{
	const char *text = "";

	(void)json_get_string(statement, "Effect", &text);
	return strcmp(text, effect) == 0;
}

static const char *sid_of(const json_t *statement)
{
	const char *sid = "without a Sid";

	(void)json_get_string(statement, "Sid", &sid);
	return sid;
}

/* Is it a pair of the context that volumes do not have? */
static bool is_foreign_pair(const char *key)
{
	return strncasecmp(key, CONTEXT, strlen(CONTEXT)) == 0 &&
	       strcmp(key + strlen(CONTEXT), "envelope:volume-id") != 0 &&
	       strcmp(key + strlen(CONTEXT), "envelope:generation") != 0;
}

static void name_condition(const char *key, char *ret, size_t bytes)
{
	size_t i;

	if (is_foreign_pair(key)) {
		snprintf(ret, bytes,
			 "%s, a pair of the encryption context that this volume does not have",
			 key);
		return;
	}
	for (i = 0; i < sizeof(conditions) / sizeof(conditions[0]); i++)
		if (strcasecmp(key, conditions[i].key) == 0) {
			snprintf(ret, bytes, "%s, %s", key, conditions[i].why);
			return;
		}
	snprintf(ret, bytes, "%s", key);
}

/* The rank of @key: what we surely do not fulfil comes first. */
static int rank(const char *key)
{
	if (strcasecmp(key, "kms:GrantIsForAWSResource") == 0 ||
	    strcasecmp(key, "kms:ViaService") == 0)
		return 3;
	if (is_foreign_pair(key))
		return 2;
	return strncasecmp(key, CONTEXT, strlen(CONTEXT)) == 0 ? 0 : 1;
}

/* The condition of @statement that is the likeliest reason; NULL: it has none. */
static const char *likely(const json_t *statement)
{
	json_t *all = json_object_get(statement, "Condition");
	const char *operator, *key, *best = NULL;
	json_t *pairs, *value;

	json_object_foreach(all, operator, pairs)
		json_object_foreach(pairs, key, value)
			if (!best || rank(key) > rank(best))
				best = key;
	return best;
}

struct reading {
	const json_t *statements;
	const char *action;		/* "kms:Decrypt" */
	const char *caller;
	char principal[CALLER_BYTES];	/* role of the caller */
	char root[CALLER_BYTES];	/* of his account */
};

static bool concerns(const struct reading *r, const json_t *s)
{
	return has_action(s, r->action) &&
	       (has_principal(s, r->caller) || has_principal(s, r->principal));
}

static void explain(const struct reading *r, char *ret, size_t bytes)
{
	const json_t *s, *root = NULL;
	char condition[512];
	const char *key;
	size_t i;

	json_array_foreach(r->statements, i, s)
		if (is_effect(s, "Deny") && concerns(r, s)) {
			snprintf(ret, bytes,
				 "statement '%s' of the key policy denies it",
				 sid_of(s));
			return;
		}
	json_array_foreach(r->statements, i, s) {
		if (!is_effect(s, "Allow") || !has_action(s, r->action))
			continue;
		if (has_principal(s, r->root))
			root = s;
		key = concerns(r, s) ? likely(s) : NULL;
		if (!key)
			continue;
		name_condition(key, condition, sizeof(condition));
		snprintf(ret, bytes,
			 "statement '%s' of the key policy allows it under the condition %s",
			 sid_of(s), condition);
		return;
	}
	if (root)
		snprintf(ret, bytes,
			 "statement '%s' of the key policy leaves it to the account's own policies, which do not allow %s",
			 sid_of(root), r->action);
	else
		snprintf(ret, bytes,
			 "no statement of the key policy allows %s to %s",
			 r->action, r->principal);
}

/* In policies, arn:PARTITION:iam::ACCOUNT:root. */
static void find_root(const char *principal, char ret[CALLER_BYTES])
{
	const char *account = strstr(principal, "::");

	snprintf(ret, CALLER_BYTES, "%.*s:%.*s:root",
		 account ? (int)(account - principal + 1) : 0, principal,
		 account ? (int)strcspn(account + 2, ":") : 0,
		 account ? account + 2 : "");
}

static void read_policy(struct reading *r, const char *text, char *ret,
			size_t bytes)
{
	char why[JSON_WHY_BYTES];
	json_t *policy = NULL;

	if (strlen(text) > POLICY_MAX_BYTES ||
	    json_parse_strict(text, strlen(text), POLICY_MAX_DEPTH, &policy,
			      why) < 0) {
		snprintf(ret, bytes, "the key policy is no sound JSON");
		return;
	}
	r->statements = json_object_get(policy, "Statement");
	explain(r, ret, bytes);
	json_decref(policy);
}

/* As scripts/examples/kms-key-policy.json has it. NULL: no memory. */
static json_t *statement(const struct conf_region *region,
			 const struct reading *r, const char *operation)
{
	const char *host = region->host_principal;
	json_t *s = json_pack("{s:s, s:s, s:{s:s}, s:s, s:s}",
			      "Sid", operation, "Effect", "Allow",
			      "Principal", "AWS", r->principal,
			      "Action", r->action, "Resource", "*");
	json_t *c = NULL;

	if (strcmp(operation, "DescribeKey") == 0)
		return s;
	if (strcmp(operation, "CreateGrant") == 0 && host)
		c = json_pack("{s:{s:s}, s:{s:s, s:[s, s]}, s:{s:s, s:s}}",
			"StringEquals", "kms:GranteePrincipal", host,
			"ForAllValues:StringEquals",
			"kms:GrantOperations", "Decrypt",
			"kms:EncryptionContextKeys", "envelope:volume-id",
			"envelope:generation",
			"Null", "kms:GrantOperations", "false",
			CONTEXT "envelope:volume-id", "false");
	else
		c = json_pack("{s:{s:s}, s:{s:[s, s]}}",
			"Null", CONTEXT "envelope:volume-id", "false",
			"ForAllValues:StringEquals",
			"kms:EncryptionContextKeys", "envelope:volume-id",
			"envelope:generation");
	json_object_set_new(s, "Condition", c);
	return s;
}

void doctor_policy_advice(struct doctor *d, const struct conf_region *region,
			  const char *key_arn, const char *operation,
			  const char *caller, char ret[DOCTOR_ADVICE_BYTES])
{
	struct reading r = { .caller = caller };
	char action[64], why[1024];
	char *text = NULL;
	json_t *s;

	snprintf(action, sizeof(action), "kms:%s", operation);
	r.action = action;
	caller_principal(caller[0] ? caller : "ARN of the caller",
			 r.principal);
	find_root(r.principal, r.root);
	if (kms_key_policy(d->k.kms, key_arn, &text) == 0)
		read_policy(&r, text, why, sizeof(why));
	else
		snprintf(why, sizeof(why),
			 "the key policy cannot be read by this caller (kms:GetKeyPolicy); in one made for EBS the likely condition is %s",
			 strcmp(operation, "CreateGrant") == 0 ?
			 "kms:GrantIsForAWSResource" : "kms:ViaService");
	free(text);
	s = statement(region, &r, operation);
	text = json_dumps(s, JSON_COMPACT);
	snprintf(ret, DOCTOR_ADVICE_BYTES,
		 "%s; this statement in the key policy allows it: %s", why,
		 text ? text : "");
	free(text);
	json_decref(s);
}
