/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Policies: parsed once, then asked many times. Pure: no store, no call, no
 * clock; what a condition compares with comes from the caller.
 *
 * Nothing is accepted that would be ignored: an unknown member, operator or
 * condition key refuses the whole document.
 */
#ifndef KMS_POLICY_H
#define KMS_POLICY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define POLICY_WHY_BYTES 256

/* Where a document stands, which says what its statements must have. */
enum policy_kind {
	POLICY_KEY,      /* Principal; without Action or Resource no effect */
	POLICY_IDENTITY, /* of a user, role or session: no Principal */
	POLICY_TRUST,    /* of a role: Principal, no Resource */
};

struct policy;

/*
 * 0; -EBADMSG with a sentence in @why; -ENOMEM. @text need not end in NUL.
 */
int policy_parse(const char *text, size_t bytes, enum policy_kind kind,
		 struct policy **ret, char why[static POLICY_WHY_BYTES]);
/* NULL is accepted. */
void policy_free(struct policy *p);

/* Who asks. */
struct policy_caller {
	const char *account;
	const char *arn;      /* of the user or the role's session */
	const char *role_arn; /* of the role behind a session; NULL: none */
	const char *uid;      /* of the user or the role; NULL: bound is, too */
};

/*
 * The value of condition key @name, spelled as in policy_keys.c: NULL
 * (absent), a text, or an array of texts for a key with many values; a new
 * reference in *@ret. 0; negative: policy_evaluate() ends with it.
 */
typedef int policy_value_fn(void *arg, const char *name, json_t **ret);

struct policy_request {
	const char *action;    /* "kms:Decrypt" */
	const char *resource;  /* ARN, or "*" where the action has none */
	struct policy_caller caller;
	policy_value_fn *value;
	void *arg;
	/*
	 * Who the users and roles in the policy were when it was written, "ARN
	 * UID\n" each; NULL: names are enough. A name is not his who got it
	 * later; one of which nothing is known allows nobody.
	 */
	const char *bound;
};

enum policy_verdict {
	POLICY_DENIES = 1,
	POLICY_ALLOWS = 2,     /* the caller himself */
	POLICY_DELEGATES = 4,  /* his account, whose own policies decide */
};

/*
 * The verdicts of all statements together, 0 for none; negative: @r->value's.
 *
 * Root of an account as Principal is the account: an Allow delegates to it, a
 * Deny reaches everybody in it. As NotPrincipal of a Deny it exempts nobody
 * but root.
 */
int policy_evaluate(const struct policy *p, const struct policy_request *r);

/*
 * Calls @fn for each AWS principal of Principal and NotPrincipal that is not
 * "*" or an account, until it returns nonzero, and returns that; else 0.
 */
typedef int policy_principal_fn(const char *arn, void *arg);
int policy_principals(const struct policy *p, policy_principal_fn *fn,
		      void *arg);

/*
 * True when some statement allows @action on every resource without a
 * condition to somebody beyond one key's own list (policy-lint).
 */
typedef int policy_broad_fn(const char *sid, size_t index, const char *why,
			    void *arg);
int policy_broad(const struct policy *p, const char *action,
		 policy_broad_fn *fn, void *arg);

#endif
