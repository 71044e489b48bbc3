/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who may do what: the only place that says yes. */
#ifndef KMS_AUTHZ_H
#define KMS_AUTHZ_H

#include "call.h"

/*
 * What is asked for, as policies and grants see it. Handlers fill it before
 * they resolve a key; a zeroed one with an action is complete.
 */
struct facts {
	const char *action;      /* "kms:Decrypt" */
	const json_t *context;   /* encryption context; NULL: none; not ours */
	const json_t *tokens;    /* GrantTokens; NULL: none; not ours */
	json_t *conditions;      /* what only this operation knows, e.g.
				  * "kms:WrappingKeySpec": text, or an array
				  * of texts; NULL: nothing; facts_free() */
	char alias[ALIAS_BYTES]; /* kms:RequestAlias; "": none; resolve.c */
};

/*
 * Takes GrantTokens and the encryption context of the parameter @context
 * (NULL: the operation has none) from the request, checked elsewhere.
 */
void facts_read(const struct call *c, const char *context, struct facts *f);

/* Sets the text or, called again, adds to the texts of @name. 0; -ENOMEM. */
int facts_add(struct facts *f, const char *name, const char *value);
int facts_add_bool(struct facts *f, const char *name, bool value);
int facts_add_int(struct facts *f, const char *name, int64_t value);
void facts_free(struct facts *f);

/*
 * May the caller do @f->action to @key? No policy may deny it, and:
 *  - in his own account, the key policy allows him, or leaves it to the
 *    account and his own policies allow it;
 *  - in another, the key policy allows him or his account, and his own
 *    policies allow it;
 *  - or a grant allows it.
 * The policy of a session must allow it, too.
 *
 * 0; call_fail()'s AccessDeniedException; -ENOMEM; -EIO (also: a stored policy
 * is no good).
 */
int authorise(struct call *c, const struct facts *f,
	      const struct key_row *key);

/*
 * May the caller do what a grant on @key gives him by itself? No policy may
 * deny it, and that of a session must allow it. Returns as authorise().
 */
int authorise_granted(struct call *c, const struct facts *f,
		      const struct key_row *key);

/*
 * Does the policy of @key alone allow that to the caller, or leave it to his
 * account? 1; 0; -ENOMEM; -EIO.
 */
int authorise_by_key_policy(struct call *c, const struct facts *f,
			    const struct key_row *key);

/*
 * As authorise() for the resource @arn that is no key, or "*" where the action has
 * none: only the caller's own policies count.
 */
int authorise_other(struct call *c, const struct facts *f, const char *arn);

/*
 * May the caller assume @role? Its trust policy must name him, or leave it to
 * his account and his own policies allow it; one of another account needs
 * both. 1; 0; -ENOMEM; -EIO.
 */
struct role_row;
int authorise_role(struct call *c, const struct facts *f, const char *arn,
		   const struct role_row *role);

/* As authorise() for a key that is not there, without telling so. */
int authorise_absent(struct call *c, const struct facts *f,
		     const struct key_row *named);

#endif
