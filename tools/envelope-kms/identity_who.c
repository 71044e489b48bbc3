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
#include "server.h"

#define SESSION_SECONDS_MIN 3600
#define SESSION_SECONDS_MAX 43200
#define NAME_MAX_CHARS 64

int identity_create_account(struct identity_run *r)
{
	const char *id = r->options->args[0];

	if (strlen(id) != 12 || strspn(id, "0123456789") != 12) {
		log_error("account %s: not 12 digits", id);
		return -EINVAL;
	}
	return identity_failed(store_account_add(r->store, id,
						 server_now_ms()),
			       "account", id);
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
		return identity_failed(rc, "account", id);
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

	return identity_failed(store_user_delete(r->store, r->account, name),
			       "user", name);
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

static int read_max_session(const char *text, int64_t *ret)
{
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
	*ret = n;
	return 0;
}

static void role_arn(const struct role_row *role, char ret[static 256])
{
	snprintf(ret, 256, "arn:aws:iam::%s:role/%s", role->account,
		 role->name);
}

static int add_role(struct identity_run *r, struct role_row *role)
{
	char arn[256];
	int rc = unique_id("AROA", role->role_id);

	if (rc == 0)
		rc = identity_failed(store_role_add(r->store, role), "role",
				     role->name);
	if (rc < 0)
		return rc;
	role_arn(role, arn);
	return identity_item(r, arn, role_json(role->name, role->role_id, arn,
					       role->trust,
					       role->created_ms));
}

int identity_create_role(struct identity_run *r)
{
	const char *name = r->options->args[0];
	struct role_row role = { .max_seconds = SESSION_SECONDS_MIN,
				 .created_ms = server_now_ms() };
	int rc = identity_check_name("role", name, NAME_MAX_CHARS);

	if (rc == 0 && !r->options->trust) {
		log_error("create-role: give --trust FILE, who may assume it");
		rc = -EINVAL;
	}
	if (rc == 0)
		rc = read_max_session(r->options->max_session,
				      &role.max_seconds);
	if (rc == 0)
		rc = identity_failed(store_account_get(r->store, r->account),
				     "account", r->account);
	if (rc == 0)
		rc = identity_read_policy(r->options->trust, POLICY_TRUST,
					  &role.trust);
	if (rc < 0)
		return rc;
	strcpy(role.account, r->account);
	snprintf(role.name, sizeof(role.name), "%s", name);
	rc = add_role(r, &role);
	role_row_free(&role);
	return rc;
}

static int show_role(const char *const text[4], int64_t created_ms, void *arg)
{
	struct identity_run *r = arg;
	char arn[256];

	snprintf(arn, sizeof(arn), "arn:aws:iam::%s:role/%s", r->account,
		 text[0]);
	return identity_item(r, arn, role_json(text[0], text[1], arn, text[2],
					       created_ms));
}

int identity_list_roles(struct identity_run *r)
{
	r->list_name = "Roles";
	return store_role_list(r->store, r->account, show_role, r);
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
	rc = identity_read_policy(r->options->args[1], POLICY_TRUST,
				  &role.trust);
	if (rc == 0)
		rc = read_max_session(r->options->max_session,
				      &role.max_seconds);
	if (rc == 0)
		rc = store_role_set(r->store, &role);
	role_row_free(&role);
	return rc;
}

int identity_delete_role(struct identity_run *r)
{
	const char *name = r->options->args[0];

	return identity_failed(store_role_delete(r->store, r->account, name),
			       "role", name);
}
