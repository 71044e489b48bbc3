// SPDX-License-Identifier: GPL-2.0-or-later
/* Default deny: key policy, the caller's own policies and grants together. */
#include "authz.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "builtin.h"
#include "facts.h"
#include "grants.h"
#include "managed.h"
#include "policy_cache.h"
#include "store_identities.h"

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

struct asked {
	struct fact_source source;
	struct policy_request request;
};

static void ask(struct call *c, const struct facts *f,
		const struct key_row *key, const char *arn, struct asked *ret)
{
	const struct identity *who = &c->who;
	struct asked a = {
		.source = { c, f, key },
		.request = {
			.action = f->action,
			.resource = arn,
			.caller = { who->user.account, who->user.arn,
				    who->role_arn[0] ? who->role_arn : NULL,
				    who->role_arn[0] ? who->role_id :
						       who->user.user_id },
			.value = fact_value,
		},
	};

	*ret = a;
	ret->request.arg = &ret->source;
}

/* @bound as in policy.h. */
static int evaluate_text(struct call *c, const char *text,
			 enum policy_kind kind, const char *bound,
			 const struct asked *a)
{
	struct policy_request request = a->request;
	struct policy_entry *entry = NULL;
	int rc = policy_cache_get(c->server->policies, text, kind, &entry);

	request.bound = bound;
	if (rc == 0)
		rc = policy_evaluate(policy_entry_policy(entry), &request);
	policy_cache_put(entry);
	return rc;
}

static int key_verdict(struct call *c, const struct key_row *key,
		       const struct asked *a)
{
	char text[KEY_POLICY_DEFAULT_BYTES];

	if (key->policy && key->policy[0])
		return evaluate_text(c, key->policy, POLICY_KEY,
				     key->principals, a);
	key_policy_default(key->account, text);
	return evaluate_text(c, text, POLICY_KEY, NULL, a);
}

struct own {
	struct call *call;
	const struct asked *asked;
	int verdict;
};

static int add_own(const char *const text[4], int64_t created_ms, void *arg)
{
	struct own *own = arg;
	int rc = evaluate_text(own->call, text[1], POLICY_IDENTITY, NULL,
			       own->asked);

	(void)created_ms;
	if (rc < 0)
		return rc;
	own->verdict |= rc;
	return 0;
}

/* What the caller's own policies say together. */
static int own_verdict(struct call *c, const struct asked *a)
{
	const struct identity *who = &c->who;
	struct own own = { c, a, 0 };
	int rc = store_policy_list(c->server->store, who->user.account,
				   who->role_arn[0] ? KIND_ROLE : KIND_USER,
				   who->user.name, add_own, &own);

	return rc < 0 ? rc : own.verdict;
}

/* What the policy of the session says, which can only take away. */
static int session_verdict(struct call *c, const struct asked *a)
{
	if (!c->who.session_policy)
		return POLICY_ALLOWS;
	return evaluate_text(c, c->who.session_policy, POLICY_IDENTITY, NULL,
			     a);
}

static int refuse(struct call *c, const struct facts *f, const char *arn,
		  const char *why, bool explicit_deny)
{
	if (explicit_deny)
		return call_fail(c, ERR_ACCESS_DENIED,
				 "User: %s is not authorized to perform: %s on resource: %s with an explicit deny in %s policy",
				 c->who.user.arn, f->action, arn, why);
	return call_fail(c, ERR_ACCESS_DENIED,
			 "User: %s is not authorized to perform: %s on resource: %s because no %s policy allows the %s action",
			 c->who.user.arn, f->action, arn, why, f->action);
}

struct verdicts {
	int key, own, session;
};

static int collect(struct call *c, const struct asked *a,
		   const struct key_row *key, struct verdicts *v)
{
	v->key = key ? key_verdict(c, key, a) : POLICY_DELEGATES;
	if (v->key < 0)
		return v->key;
	v->own = own_verdict(c, a);
	if (v->own < 0)
		return v->own;
	v->session = session_verdict(c, a);
	return v->session < 0 ? v->session : 0;
}

/* 0: nothing denies it; else the refusal, worded by who denies. */
static int denied(struct call *c, const struct facts *f, const char *arn,
		  const struct verdicts *v, bool foreign)
{
	if (!((v->key | v->own | v->session) & POLICY_DENIES))
		return 0;
	/* Strangers must not tell this from a key that is not there. */
	if (foreign && !(v->key & (POLICY_ALLOWS | POLICY_DELEGATES)))
		return refuse(c, f, arn, "resource-based", false);
	if (v->own & POLICY_DENIES)
		return refuse(c, f, arn, "an identity-based", true);
	if (v->session & POLICY_DENIES)
		return refuse(c, f, arn, "a session", true);
	return refuse(c, f, arn, "a resource-based", true);
}

/* NULL: allowed, else whose permission is missing. */
static const char *missing(const struct verdicts *v, bool foreign)
{
	bool own = v->own & POLICY_ALLOWS;

	if (foreign && !(v->key & (POLICY_ALLOWS | POLICY_DELEGATES)))
		return "resource-based";
	if (!own && (foreign || !(v->key & POLICY_ALLOWS)))
		return "identity-based";
	if (!(v->key & (POLICY_ALLOWS | POLICY_DELEGATES)))
		return "resource-based";
	return v->session & POLICY_ALLOWS ? NULL : "session";
}

/* What another account can be allowed at all; the rest is the owner's. */
static bool is_for_strangers(const char *action)
{
	static const char *const actions[] = {
		"CreateGrant", "Decrypt", "DescribeKey", "Encrypt",
		"GenerateDataKey", "GenerateDataKeyWithoutPlaintext",
		"GetKeyRotationStatus", "ListGrants", "ReEncryptFrom",
		"ReEncryptTo", "RetireGrant", "RevokeGrant", NULL
	};
	size_t i;

	for (i = 0; actions[i]; i++)
		if (strcmp(action + strlen("kms:"), actions[i]) == 0)
			return true;
	return false;
}

/* What there is to say about a request to a key. */
struct check {
	char shown[CALL_ARN_BYTES]; /* the key, in messages */
	struct verdicts v;
	bool foreign;               /* the caller's account is not the key's */
};

/* 0: no policy denies it. */
static int check_denials(struct call *c, const struct facts *f,
			 const struct key_row *key, struct check *ret)
{
	struct check k = {
		.foreign = strcmp(key->account, c->who.user.account) != 0,
	};
	char arn[CALL_ARN_BYTES];
	struct asked a;
	int rc;

	call_key_arn(key, arn);
	strcpy(k.shown, arn);
	/* The id behind a foreign alias is none of the caller's business. */
	if (k.foreign && f->alias[0])
		snprintf(k.shown, sizeof(k.shown), "arn:aws:kms:%s:%s:%s",
			 key->region, key->account, f->alias);
	ask(c, f, key, arn, &a);
	rc = collect(c, &a, key, &k.v);
	if (rc == 0 && k.foreign && !is_for_strangers(f->action))
		k.v.key &= POLICY_DENIES;
	if (rc == 0)
		rc = denied(c, f, k.shown, &k.v, k.foreign);
	if (rc == 0)
		*ret = k;
	return rc;
}

int authorise(struct call *c, const struct facts *f,
	      const struct key_row *key)
{
	struct check k;
	const char *why;
	int rc = check_denials(c, f, key, &k);

	if (rc < 0)
		return rc;
	why = missing(&k.v, k.foreign);
	if (!why)
		return 0;
	/* A grant needs no policy, but a session stays within its own. */
	if (k.v.session & POLICY_ALLOWS &&
	    !(k.foreign && key_is_managed(key))) {
		rc = grant_allows(c, key, f, k.v.own & POLICY_ALLOWS);
		if (rc != 0)
			return rc < 0 ? rc : 0;
	}
	return refuse(c, f, k.shown, why, false);
}

int authorise_granted(struct call *c, const struct facts *f,
		      const struct key_row *key)
{
	struct check k;
	int rc = check_denials(c, f, key, &k);

	if (rc < 0)
		return rc;
	return k.v.session & POLICY_ALLOWS ? 0 :
	       refuse(c, f, k.shown, "session", false);
}

int authorise_by_key_policy(struct call *c, const struct facts *f,
			    const struct key_row *key)
{
	char arn[CALL_ARN_BYTES];
	struct asked a;
	int rc;

	call_key_arn(key, arn);
	ask(c, f, key, arn, &a);
	rc = key_verdict(c, key, &a);
	if (rc < 0)
		return rc;
	return !(rc & POLICY_DENIES) &&
	       (rc & (POLICY_ALLOWS | POLICY_DELEGATES));
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
	bool foreign = strcmp(arn, "*") != 0 &&
		       !owned_by(arn, c->who.user.account);
	struct verdicts v;
	struct asked a;
	const char *why;
	int rc;

	ask(c, f, NULL, arn, &a);
	rc = collect(c, &a, NULL, &v);
	if (rc == 0 && foreign)
		v.key = 0;
	if (rc == 0)
		rc = denied(c, f, arn, &v, foreign);
	if (rc < 0)
		return rc;
	why = missing(&v, foreign);
	return why ? refuse(c, f, arn, why, false) : 0;
}

int authorise_absent(struct call *c, const struct facts *f,
		     const struct key_row *named)
{
	char arn[CALL_ARN_BYTES];

	call_key_arn(named, arn);
	return authorise_other(c, f, arn);
}

int authorise_role(struct call *c, const struct facts *f, const char *arn,
		   const struct role_row *role)
{
	bool foreign = strcmp(role->account, c->who.user.account) != 0;
	struct verdicts v;
	struct asked a;
	int rc;

	ask(c, f, NULL, arn, &a);
	rc = collect(c, &a, NULL, &v);
	if (rc == 0)
		v.key = rc = evaluate_text(c, role->trust, POLICY_TRUST,
					   role->principals, &a);
	if (rc < 0)
		return rc;
	if ((v.key | v.own | v.session) & POLICY_DENIES)
		return 0;
	return !missing(&v, foreign);
}
