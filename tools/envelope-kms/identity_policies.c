// SPDX-License-Identifier: GPL-2.0-or-later
/* Policies of users and roles on the command line. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>

#include "builtin.h"
#include "identity.h"
#include "log.h"
#include "policy.h"

#define POLICY_NAME_MAX_CHARS 128

struct owner {
	const char *kind, *name;
};

/* Whom --user or --role means. */
static int find_owner(struct identity_run *r, struct owner *ret)
{
	const struct identity_options *o = r->options;
	struct role_row role;
	struct user_row user;
	int rc;

	if (!o->user == !o->role) {
		log_error("give --user NAME or --role NAME");
		return -EINVAL;
	}
	ret->kind = o->user ? KIND_USER : KIND_ROLE;
	ret->name = o->user ? o->user : o->role;
	if (o->user)
		return identity_user(r, o->user, &user);
	rc = store_role_get(r->store, r->account, o->role, &role);
	if (rc == 0)
		role_row_free(&role);
	return identity_failed(rc, "role", o->role);
}

/*
 * A change of one policy, with @value for @member if there is one; for a user
 * it has the name @of_user, else @of_role.
 */
static int note(struct identity_run *r, const struct owner *who,
		const char *of_user, const char *of_role, const char *member,
		const char *value)
{
	bool user = strcmp(who->kind, KIND_USER) == 0;

	return identity_change(r, user ? of_user : of_role,
			       json_pack("{s:s, s:s, s:s*}",
					 user ? "userName" : "roleName",
					 who->name, "policyName",
					 r->options->args[0], member, value),
			       NULL);
}

int identity_attach_policy(struct identity_run *r)
{
	const char *name = r->options->args[0];
	const char *document = builtin_policy(name);
	struct owner who;
	int rc = find_owner(r, &who);

	if (rc < 0)
		return rc;
	if (!document) {
		log_error("policy %s: does not come with this server; see envelope-kms identity list-policies DIR, or put-policy",
			  name);
		return -ENOENT;
	}
	rc = store_policy_put(r->store, r->account, who.kind, who.name, name,
			      document);
	return rc < 0 ? rc : note(r, &who, "AttachUserPolicy",
				  "AttachRolePolicy", "policyDocument", NULL);
}

int identity_prepare_policy(struct identity_run *r)
{
	int rc = identity_check_name("policy", r->options->args[0],
				     POLICY_NAME_MAX_CHARS);

	return rc < 0 ? rc : identity_read_policy(r, r->options->args[1],
						  POLICY_IDENTITY);
}

int identity_put_policy(struct identity_run *r)
{
	struct owner who;
	int rc = find_owner(r, &who);

	if (rc == 0)
		rc = store_policy_put(r->store, r->account, who.kind, who.name,
				      r->options->args[0], r->document);
	return rc < 0 ? rc : note(r, &who, "PutUserPolicy", "PutRolePolicy",
				  "policyDocument", r->document);
}

/* A walk for one policy: 1 is "found and shown". */
static int show_named(const char *const text[4], int64_t created_ms,
		      void *arg)
{
	struct identity_run *r = arg;

	(void)created_ms;
	if (strcmp(text[0], r->options->args[0]) != 0)
		return 0;
	fprintf(r->out, "%s\n", text[1]);
	return 1;
}

int identity_get_policy(struct identity_run *r)
{
	const char *name = r->options->args[0];
	struct owner who;
	int rc = find_owner(r, &who);

	if (rc == 0)
		rc = store_policy_list(r->store, r->account, who.kind,
				       who.name, show_named, r);
	else
		return rc;
	return identity_failed(rc == 0 ? -ENOENT : rc > 0 ? 0 : rc, "policy",
			       name);
}

static int show_policy(const char *const text[4], int64_t created_ms,
		       void *arg)
{
	(void)created_ms;
	return identity_item(arg, text[0],
			     json_pack("{s:s, s:o}", "PolicyName", text[0],
				       "PolicyDocument",
				       json_loads(text[1], 0, NULL)));
}

int identity_list_policies(struct identity_run *r)
{
	struct owner who;
	const char *name;
	size_t i;
	int rc = 0;

	r->list_name = "Policies";
	if (r->options->user || r->options->role) {
		rc = find_owner(r, &who);
		return rc < 0 ? rc : store_policy_list(r->store, r->account,
						       who.kind, who.name,
						       show_policy, r);
	}
	for (i = 0; rc == 0 && (name = builtin_policy_name(i)); i++) {
		const char *const text[4] = { name, builtin_policy(name) };

		rc = show_policy(text, 0, r);
	}
	return rc;
}

int identity_delete_policy(struct identity_run *r)
{
	const char *name = r->options->args[0];
	struct owner who;
	int rc = find_owner(r, &who);

	if (rc < 0)
		return rc;
	rc = identity_failed(store_policy_delete(r->store, r->account,
						 who.kind, who.name, name),
			     "policy", name);
	return rc < 0 ? rc : note(r, &who, "DeleteUserPolicy",
				  "DeleteRolePolicy", "policyDocument", NULL);
}
