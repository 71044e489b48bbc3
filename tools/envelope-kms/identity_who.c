// SPDX-License-Identifier: GPL-2.0-or-later
/* Accounts, users and roles on the command line. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access_key.h"
#include "identity.h"
#include "log.h"
#include "policy.h"
#include "principal.h"
#include "server.h"

#define SESSION_SECONDS_MIN 3600
#define SESSION_SECONDS_MAX 43200
#define NAME_MAX_CHARS 64

/* Accounts are a matter of another service, which names them itself. */
static int account_done(struct identity_run *r, const char *change, int rc)
{
	const char *id = r->options->args[0];

	if (identity_failed(rc, "account", id) < 0)
		return rc;
	r->change.source = "organizations.amazonaws.com";
	return identity_change(r, change, json_pack("{s:s}", "accountId", id),
			       NULL);
}

int identity_create_account(struct identity_run *r)
{
	const char *id = r->options->args[0];

	if (strlen(id) != 12 || strspn(id, "0123456789") != 12) {
		log_error("account %s: not 12 digits", id);
		return -EINVAL;
	}
	return account_done(r, "CreateAccount",
			    store_account_add(r->store, id, server_now_ms()));
}

static int show_account(const char *const text[4], int64_t created_ms,
			void *arg)
{
	return identity_item(arg, text[0],
			     json_pack("{s:s, s:o}", "AccountId", text[0],
				       "CreateDate",
				       identity_date(created_ms)));
}

int identity_list_accounts(struct identity_run *r)
{
	r->list_name = "Accounts";
	return store_account_list(r->store, show_account, r);
}

int identity_delete_account(struct identity_run *r)
{
	const char *id = r->options->args[0];
	int rc = store_account_delete(r->store, id);

	if (rc != -EEXIST)
		return account_done(r, "CloseAccount", rc);
	log_error("account %s: still has users, roles or keys", id);
	return rc;
}

static json_t *user_json(const char *name, const char *id, const char *arn,
			 int64_t created_ms)
{
	return json_pack("{s:s, s:s, s:s, s:o}", "UserName", name, "UserId",
			 id, "Arn", arn, "CreateDate",
			 identity_date(created_ms));
}

int identity_create_user(struct identity_run *r)
{
	const char *name = r->options->args[0];
	struct user_row user = { .created_ms = server_now_ms() };
	int rc = identity_check_name("user", name, NAME_MAX_CHARS);

	if (rc == 0)
		rc = identity_failed(store_account_get(r->store, r->account),
				     "account", r->account);
	if (rc == 0)
		rc = unique_id("AIDA", user.user_id);
	if (rc < 0)
		return rc;
	strcpy(user.account, r->account);
	snprintf(user.name, sizeof(user.name), "%s", name);
	snprintf(user.arn, sizeof(user.arn), "arn:aws:iam::%s:user/%s",
		 user.account, user.name);
	rc = identity_failed(store_user_add(r->store, &user), "user", name);
	if (rc == 0)
		rc = identity_change(r, "CreateUser",
				     json_pack("{s:s}", "userName", name),
				     json_pack("{s:{s:s, s:s, s:s}}", "user",
					       "userName", name, "userId",
					       user.user_id, "arn",
					       user.arn));
	if (rc < 0)
		return rc;
	return identity_item(r, user.arn,
			     user_json(user.name, user.user_id, user.arn,
				       user.created_ms));
}

static int show_user(const char *const text[4], int64_t created_ms, void *arg)
{
	return identity_item(arg, text[2], user_json(text[0], text[1], text[2],
						     created_ms));
}

int identity_list_users(struct identity_run *r)
{
	r->list_name = "Users";
	return store_user_list(r->store, r->account, show_user, r);
}

int identity_delete_user(struct identity_run *r)
{
	const char *name = r->options->args[0];
	int rc = identity_failed(store_user_delete(r->store, r->account, name),
				 "user", name);

	return rc < 0 ? rc : identity_change(r, "DeleteUser",
					     json_pack("{s:s}", "userName",
						       name), NULL);
}

static json_t *role_json(const char *name, const char *id, const char *arn,
			 const char *trust, int64_t created_ms)
{
	return json_pack("{s:s, s:s, s:s, s:o, s:o}", "RoleName", name,
			 "RoleId", id, "Arn", arn, "CreateDate",
			 identity_date(created_ms),
			 "AssumeRolePolicyDocument",
			 json_loads(trust, 0, NULL));
}

static int read_max_session(struct identity_run *r)
{
	const char *text = r->options->max_session;
	char *end;
	long n;

	if (!text)
		return 0;
	n = strtol(text, &end, 10);
	if (end == text || *end || n < SESSION_SECONDS_MIN ||
	    n > SESSION_SECONDS_MAX) {
		log_error("--max-session %s: not a number from %d to %d", text,
			  SESSION_SECONDS_MIN, SESSION_SECONDS_MAX);
		return -EINVAL;
	}
	r->max_session = n;
	return 0;
}

/* Whom the trust policy that was read means, into @role. */
static int bind_trust(struct identity_run *r, struct role_row *role)
{
	int rc = principals_bind(r->store, r->policy, &role->principals);

	if (rc > 0) {
		log_error("role %s: the trust policy names a user or a role that does not exist",
			  r->options->args[0]);
		return -ENOENT;
	}
	role->trust = rc == 0 ? strdup(r->document) : NULL;
	return rc == 0 && !role->trust ? -ENOMEM : rc;
}

static void role_arn(const struct role_row *role, char ret[static 256])
{
	snprintf(ret, 256, "arn:aws:iam::%s:role/%s", role->account,
		 role->name);
}

/* Steals @response. */
static int note_role(struct identity_run *r, const char *change,
		     const struct role_row *role, json_t *response)
{
	return identity_change(r, change,
			       json_pack("{s:s, s:s, s:I}", "roleName",
					 role->name,
					 "assumeRolePolicyDocument",
					 role->trust, "maxSessionDuration",
					 (json_int_t)role->max_seconds),
			       response);
}

static int add_role(struct identity_run *r, struct role_row *role)
{
	char arn[256];
	int rc = unique_id("AROA", role->role_id);

	if (rc == 0)
		rc = identity_failed(store_role_add(r->store, role), "role",
				     role->name);
	role_arn(role, arn);
	if (rc == 0)
		rc = note_role(r, "CreateRole", role,
			       json_pack("{s:{s:s, s:s, s:s}}", "role",
					 "roleName", role->name, "roleId",
					 role->role_id, "arn", arn));
	if (rc < 0)
		return rc;
	return identity_item(r, arn, role_json(role->name, role->role_id, arn,
					       role->trust,
					       role->created_ms));
}

int identity_prepare_role(struct identity_run *r)
{
	int rc = identity_check_name("role", r->options->args[0],
				     NAME_MAX_CHARS);

	if (rc == 0 && !r->options->trust) {
		log_error("create-role: give --trust FILE, who may assume it");
		rc = -EINVAL;
	}
	if (rc == 0)
		rc = read_max_session(r);
	return rc < 0 ? rc : identity_read_policy(r, r->options->trust,
						  POLICY_TRUST);
}

int identity_create_role(struct identity_run *r)
{
	struct role_row role = { .created_ms = server_now_ms() };
	int rc = identity_failed(store_account_get(r->store, r->account),
				 "account", r->account);

	strcpy(role.account, r->account);
	snprintf(role.name, sizeof(role.name), "%s", r->options->args[0]);
	role.max_seconds = r->max_session ? r->max_session :
					    SESSION_SECONDS_MIN;
	if (rc == 0)
		rc = bind_trust(r, &role);
	if (rc == 0)
		rc = add_role(r, &role);
	role_row_free(&role);
	return rc;
}

static int show_role(const char *const text[4], int64_t created_ms, void *arg)
{
	struct identity_run *r = arg;
	char arn[256], *trust = NULL;
	int rc;

	snprintf(arn, sizeof(arn), "arn:aws:iam::%s:role/%s", r->account,
		 text[0]);
	rc = principals_show(r->store, text[2], text[3], &trust);
	if (rc == 0)
		rc = identity_item(r, arn, role_json(text[0], text[1], arn,
						     trust, created_ms));
	free(trust);
	return rc;
}

int identity_list_roles(struct identity_run *r)
{
	r->list_name = "Roles";
	return store_role_list(r->store, r->account, show_role, r);
}

int identity_prepare_trust(struct identity_run *r)
{
	int rc = read_max_session(r);

	return rc < 0 ? rc : identity_read_policy(r, r->options->args[1],
						  POLICY_TRUST);
}

int identity_set_trust(struct identity_run *r)
{
	const char *name = r->options->args[0];
	struct role_row role = { .trust = NULL };
	int rc = identity_failed(store_role_get(r->store, r->account, name,
						&role), "role", name);

	if (rc < 0)
		return rc;
	role_row_free(&role);
	if (r->max_session)
		role.max_seconds = r->max_session;
	rc = bind_trust(r, &role);
	if (rc == 0)
		rc = store_role_set(r->store, &role);
	if (rc == 0)
		rc = note_role(r, "UpdateAssumeRolePolicy", &role, NULL);
	role_row_free(&role);
	return rc;
}

int identity_delete_role(struct identity_run *r)
{
	const char *name = r->options->args[0];
	int rc = identity_failed(store_role_delete(r->store, r->account, name),
				 "role", name);

	return rc < 0 ? rc : identity_change(r, "DeleteRole",
					     json_pack("{s:s}", "roleName",
						       name), NULL);
}
