// SPDX-License-Identifier: GPL-2.0-or-later
/* What the trail tells of accounts, users, roles and their policies. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "builtin.h"
#include "policy.h"
#include "replay.h"
#include "store_identities.h"

/* 0 also where there is nobody any more. */
static int gone(int rc)
{
	return rc == -ENOENT ? 0 : rc;
}

/* The text of a member; NULL: it has none. */
static const char *need(const struct replay_event *e, const char *name)
{
	const char *text = replay_text(e->parameters, name);

	return *text ? text : NULL;
}

static int delete_account(struct replay *r, struct replay_event *e)
{
	const char *account = need(e, "accountId");

	return account ? gone(store_account_delete(r->store, account)) :
			 -EBADMSG;
}

static int delete_user(struct replay *r, struct replay_event *e)
{
	const char *name = need(e, "userName");

	return name ? gone(store_user_delete(r->store, e->account, name)) :
		      -EBADMSG;
}

static int delete_role(struct replay *r, struct replay_event *e)
{
	const char *name = need(e, "roleName");

	return name ? gone(store_role_delete(r->store, e->account, name)) :
		      -EBADMSG;
}

static int find_user(struct replay *r, struct replay_event *e,
		     struct user_row *ret)
{
	const char *name = need(e, "userName");

	return name ? store_user_get(r->store, e->account, name, ret) :
		      -EBADMSG;
}

static int delete_access_key(struct replay *r, struct replay_event *e)
{
	const char *id = need(e, "accessKeyId");
	struct user_row user;
	int rc = id ? find_user(r, e, &user) : -EBADMSG;

	return rc < 0 ? gone(rc) :
	       gone(store_access_key_delete(r->store, &user, id));
}

static int update_access_key(struct replay *r, struct replay_event *e)
{
	const char *id = need(e, "accessKeyId"), *status = need(e, "status");
	struct user_row user;
	int rc = id && status ? find_user(r, e, &user) : -EBADMSG;

	return rc < 0 ? gone(rc) :
	       gone(store_access_key_set_active(r->store, &user, id,
						strcmp(status, "Active") == 0 &&
						!replay_is_closed(r, e)));
}

/* The kind of who has the policy, and his name; NULL: neither. */
static const char *owner(const struct replay_event *e, const char **kind_ret)
{
	const char *user = need(e, "userName");

	*kind_ret = user ? KIND_USER : KIND_ROLE;
	return user ? user : need(e, "roleName");
}

/* Is he there? Whoever came after the backup is not. */
static int find_owner(struct replay *r, struct replay_event *e,
		      const char *kind, const char *name)
{
	struct role_row role = { .trust = NULL };
	struct user_row user;
	int rc = strcmp(kind, KIND_USER) == 0 ?
		 store_user_get(r->store, e->account, name, &user) :
		 store_role_get(r->store, e->account, name, &role);

	role_row_free(&role);
	return rc;
}

static int put_policy(struct replay *r, struct replay_event *e)
{
	const char *text = need(e, "policyDocument");
	const char *name = need(e, "policyName"), *kind;
	const char *who = owner(e, &kind);
	int rc = who && name && text ? find_owner(r, e, kind, who) : -EBADMSG;

	return rc < 0 ? gone(rc) : store_policy_put(r->store, e->account, kind,
						    who, name, text);
}

/* It comes with the program, so the trail has only its name. */
static int attach_policy(struct replay *r, struct replay_event *e)
{
	const char *name = need(e, "policyName"), *kind;
	const char *text = name ? builtin_policy(name) : NULL;
	const char *who = owner(e, &kind);
	int rc = who && text ? find_owner(r, e, kind, who) : -EBADMSG;

	return rc < 0 ? gone(rc) : store_policy_put(r->store, e->account, kind,
						    who, name, text);
}

static int set_trust(struct replay *r, struct replay_event *e)
{
	const char *text = need(e, "assumeRolePolicyDocument");
	int64_t seconds = json_integer_value(
		json_object_get(e->parameters, "maxSessionDuration"));
	const char *name = need(e, "roleName");
	struct role_row role = { .trust = NULL };
	char *bound = NULL;
	int rc = name && text ? store_role_get(r->store, e->account, name,
					       &role) : -EBADMSG;

	if (rc < 0)
		return gone(rc);
	rc = replay_bind(r, text, POLICY_TRUST, &bound);
	if (rc == 0) {
		free(role.trust);
		free(role.principals);
		role.trust = strdup(text);
		role.principals = bound;
		role.max_seconds = seconds ? seconds : role.max_seconds;
		rc = role.trust ? store_role_set(r->store, &role) : -ENOMEM;
	}
	role_row_free(&role);
	return rc;
}

static int delete_policy(struct replay *r, struct replay_event *e)
{
	const char *name = need(e, "policyName"), *kind;
	const char *who = owner(e, &kind);

	return who && name ? gone(store_policy_delete(r->store, e->account,
						      kind, who, name)) :
			     -EBADMSG;
}

static int deactivate(const char *const text[4], int64_t created_ms, void *arg)
{
	json_t *ids = arg;

	(void)created_ms;
	return json_array_append_new(ids, json_string(text[0])) < 0 ?
	       -ENOMEM : 0;
}

static int deactivate_all(struct replay *r, const struct user_row *user)
{
	json_t *ids = json_array(), *id;
	size_t i;
	int rc = ids ? store_access_key_list(r->store, user, deactivate, ids) :
		 -ENOMEM;

	json_array_foreach(ids, i, id)
		if (rc == 0)
			rc = store_access_key_set_active(r->store, user,
				json_string_value(id), false);
	json_decref(ids);
	return rc;
}

int replay_close_person(struct replay *r, struct replay_event *e)
{
	const char *role = need(e, "roleName");
	struct user_row user;
	int rc;

	if (role)
		return gone(store_role_delete(r->store, e->account, role));
	rc = find_user(r, e, &user);
	if (rc == 0)
		rc = deactivate_all(r, &user);
	return rc == -EBADMSG ? 0 : gone(rc);
}

#define LOST "made after the backup and lost"
#define AGAIN "not in the backup; do it again"

const struct replay_verb replay_people_verbs[] = {
	{ "CloseAccount", delete_account, NULL },
	{ "DeleteUser", delete_user, NULL },
	{ "DeleteRole", delete_role, NULL },
	{ "DeleteAccessKey", delete_access_key, NULL },
	{ "UpdateAccessKey", update_access_key, NULL },
	{ "PutUserPolicy", put_policy, NULL },
	{ "PutRolePolicy", put_policy, NULL },
	{ "AttachUserPolicy", attach_policy, NULL },
	{ "AttachRolePolicy", attach_policy, NULL },
	{ "UpdateAssumeRolePolicy", set_trust, NULL },
	{ "DeleteUserPolicy", delete_policy, NULL },
	{ "DeleteRolePolicy", delete_policy, NULL },

	{ "CreateAccount", NULL, LOST },
	{ "CreateUser", NULL, LOST },
	{ "CreateRole", NULL, LOST },
	{ "CreateAccessKey", NULL, LOST },
	{ NULL, NULL, NULL },
};
