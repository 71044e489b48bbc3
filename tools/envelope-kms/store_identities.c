// SPDX-License-Identifier: GPL-2.0-or-later
/* Rows of accounts, roles, and of the policies of identities. */
#include "store_identities.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store_kept.h"
#include "store_private.h"

void role_row_free(struct role_row *role)
{
	free(role->trust);
	role->trust = NULL;
	free(role->principals);
	role->principals = NULL;
}

int store_account_add(struct store *s, const char *account,
		      int64_t created_ms)
{
	return store_run(s, "INSERT INTO account VALUES (?, ?)", "ti",
			 account, created_ms);
}

int store_account_get(struct store *s, const char *account)
{
	return store_first(s, NULL, NULL, "SELECT 1 FROM account"
			   " WHERE account = ?", "t", account);
}

int store_account_delete(struct store *s, const char *account)
{
	int rc = store_account_get(s, account);

	if (rc < 0)
		return rc;
	rc = store_first(s, NULL, NULL, "SELECT 1 FROM kms_key"
			 " WHERE account = ?1 UNION ALL"
			 " SELECT 1 FROM user WHERE account = ?1 UNION ALL"
			 " SELECT 1 FROM role WHERE account = ?1", "t",
			 account);
	if (rc != -ENOENT)
		return rc == 0 ? -EEXIST : rc;
	return store_run(s, "DELETE FROM account WHERE account = ?", "t",
			 account);
}

int store_user_get(struct store *s, const char *account, const char *name,
		   struct user_row *ret)
{
	return store_first(s, store_read_user, ret, "SELECT "
			   STORE_USER_COLUMNS " FROM user"
			   " WHERE account = ? AND name = ?", "tt", account,
			   name);
}

/* Runs each of @sql with account and name. */
static int run_each(struct store *s, const char *const *sql,
		    const char *account, const char *name)
{
	int rc = 0;

	for (; rc == 0 && *sql; sql++)
		rc = store_run(s, *sql, "tt", account, name);
	return rc;
}

int store_user_delete(struct store *s, const char *account, const char *name)
{
	static const char *const sql[] = {
		"DELETE FROM access_key WHERE account = ? AND user_name = ?",
		"DELETE FROM identity_policy WHERE account = ? AND owner = ?"
		" AND kind = 'user'",
		"DELETE FROM user WHERE account = ? AND name = ?", NULL
	};
	int rc = store_first(s, NULL, NULL, "SELECT 1 FROM user"
			     " WHERE account = ? AND name = ?", "tt", account,
			     name);

	return rc < 0 ? rc : run_each(s, sql, account, name);
}

int store_role_add(struct store *s, const struct role_row *role)
{
	return store_run(s, "INSERT INTO role (account, name, role_id, trust,"
			 " principals, max_seconds, created_ms) VALUES"
			 " (?, ?, ?, ?, ?, ?, ?)", "tttttii", role->account,
			 role->name, role->role_id, role->trust,
			 role->principals, role->max_seconds,
			 role->created_ms);
}

static int read_role(sqlite3_stmt *stmt, void *ret)
{
	struct role_row role = { .trust = NULL };

	store_text(stmt, 0, role.account, sizeof(role.account));
	store_text(stmt, 1, role.name, sizeof(role.name));
	store_text(stmt, 2, role.role_id, sizeof(role.role_id));
	role.max_seconds = sqlite3_column_int64(stmt, 3);
	role.created_ms = sqlite3_column_int64(stmt, 4);
	role.trust = strdup((const char *)sqlite3_column_text(stmt, 5));
	role.principals = strdup((const char *)sqlite3_column_text(stmt, 6));
	if (!role.trust || !role.principals) {
		role_row_free(&role);
		return -ENOMEM;
	}
	*(struct role_row *)ret = role;
	return 0;
}

int store_role_get(struct store *s, const char *account, const char *name,
		   struct role_row *ret)
{
	return store_first(s, read_role, ret, "SELECT account, name, role_id,"
			   " max_seconds, created_ms, trust, principals FROM role"
			   " WHERE account = ? AND name = ?", "tt", account,
			   name);
}

int store_role_set(struct store *s, const struct role_row *role)
{
	return store_run(s, "UPDATE role SET trust = ?, principals = ?,"
			 " max_seconds = ? WHERE account = ? AND name = ?",
			 "ttitt", role->trust, role->principals,
			 role->max_seconds, role->account, role->name);
}

int store_role_delete(struct store *s, const char *account, const char *name)
{
	static const char *const sql[] = {
		"DELETE FROM identity_policy WHERE account = ? AND owner = ?"
		" AND kind = 'role'",
		"DELETE FROM role WHERE account = ? AND name = ?", NULL
	};
	int rc = store_first(s, NULL, NULL, "SELECT 1 FROM role"
			     " WHERE account = ? AND name = ?", "tt", account,
			     name);

	return rc < 0 ? rc : run_each(s, sql, account, name);
}

static int access_key_there(struct store *s, const struct user_row *user,
			    const char *id)
{
	return store_first(s, NULL, NULL, "SELECT 1 FROM access_key WHERE"
			   " access_key_id = ? AND account = ?"
			   " AND user_name = ?", "ttt", id, user->account,
			   user->name);
}

int store_access_key_set_active(struct store *s, const struct user_row *user,
				const char *access_key_id, bool active)
{
	int rc = access_key_there(s, user, access_key_id);

	if (rc < 0)
		return rc;
	return store_run(s, "UPDATE access_key SET active = ?"
			 " WHERE access_key_id = ?", "it", (int64_t)active,
			 access_key_id);
}

int store_access_key_delete(struct store *s, const struct user_row *user,
			    const char *access_key_id)
{
	int rc = access_key_there(s, user, access_key_id);

	if (rc < 0)
		return rc;
	return store_run(s, "DELETE FROM access_key WHERE access_key_id = ?",
			 "t", access_key_id);
}

int store_policy_put(struct store *s, const char *account, const char *kind,
		     const char *owner, const char *name,
		     const char *document)
{
	return store_run(s, "INSERT OR REPLACE INTO identity_policy"
			 " (account, kind, owner, name, document)"
			 " VALUES (?, ?, ?, ?, ?)", "ttttt", account, kind,
			 owner, name, document);
}

int store_policy_delete(struct store *s, const char *account,
			const char *kind, const char *owner,
			const char *name)
{
	int rc = store_first(s, NULL, NULL, "SELECT 1 FROM identity_policy"
			     " WHERE account = ? AND kind = ? AND owner = ?"
			     " AND name = ?", "tttt", account, kind, owner,
			     name);

	if (rc < 0)
		return rc;
	return store_run(s, "DELETE FROM identity_policy WHERE account = ?"
			 " AND kind = ? AND owner = ? AND name = ?", "tttt",
			 account, kind, owner, name);
}

struct walk {
	store_row_fn *fn;
	void *arg;
};

static int hand_over(sqlite3_stmt *stmt, void *arg)
{
	const struct walk *walk = arg;
	const char *text[4];
	int i;

	for (i = 0; i < 4; i++)
		text[i] = (const char *)sqlite3_column_text(stmt, i);
	return walk->fn(text, sqlite3_column_int64(stmt, 4), walk->arg);
}

int store_account_list(struct store *s, store_row_fn *fn, void *arg)
{
	struct walk walk = { fn, arg };

	return store_each(s, hand_over, &walk, "SELECT account, NULL, NULL,"
			  " NULL, created_ms FROM account ORDER BY account",
			  "");
}

int store_user_list(struct store *s, const char *account, store_row_fn *fn,
		    void *arg)
{
	struct walk walk = { fn, arg };

	return store_each(s, hand_over, &walk, "SELECT name, user_id, arn,"
			  " NULL, created_ms FROM user WHERE account = ?"
			  " ORDER BY name", "t", account);
}

int store_role_list(struct store *s, const char *account, store_row_fn *fn,
		    void *arg)
{
	struct walk walk = { fn, arg };

	return store_each(s, hand_over, &walk, "SELECT name, role_id, trust,"
			  " principals, created_ms FROM role WHERE account = ?"
			  " ORDER BY name", "t", account);
}

int store_access_key_list(struct store *s, const struct user_row *user,
			  store_row_fn *fn, void *arg)
{
	struct walk walk = { fn, arg };

	return store_each(s, hand_over, &walk, "SELECT access_key_id,"
			  " iif(active, 'Active', 'Inactive'), NULL, NULL,"
			  " created_ms FROM access_key WHERE account = ?"
			  " AND user_name = ? ORDER BY access_key_id", "tt",
			  user->account, user->name);
}

struct policies {
	size_t count;
	struct {
		char *name, *document;
	} *list;
};

static int add_policy(struct policies *p, const char *name,
		      const char *document)
{
	void *more = realloc(p->list, (p->count + 1) * sizeof(*p->list));

	if (!more)
		return -ENOMEM;
	p->list = more;
	p->list[p->count].name = strdup(name);
	p->list[p->count].document = strdup(document);
	p->count++;
	return p->list[p->count - 1].name &&
	       p->list[p->count - 1].document ? 0 : -ENOMEM;
}

static int read_policy(sqlite3_stmt *stmt, void *ret)
{
	return add_policy(ret, (const char *)sqlite3_column_text(stmt, 0),
			  (const char *)sqlite3_column_text(stmt, 1));
}

static void free_policies(void *policies)
{
	struct policies *p = policies;
	size_t i;

	for (i = 0; i < p->count; i++) {
		free(p->list[i].name);
		free(p->list[i].document);
	}
	free(p->list);
}

static int copy_policies(const void *from, void *to)
{
	const struct policies *p = from;
	struct policies copy = { 0, NULL };
	size_t i;
	int rc = 0;

	for (i = 0; rc == 0 && i < p->count; i++)
		rc = add_policy(&copy, p->list[i].name, p->list[i].document);
	if (rc < 0)
		free_policies(&copy);
	else
		*(struct policies *)to = copy;
	return rc;
}

int store_policy_list(struct store *s, const char *account, const char *kind,
		      const char *owner, store_row_fn *fn, void *arg)
{
	static const struct kept_kind policies = {
		sizeof(struct policies), true, read_policy, copy_policies,
		free_policies
	};
	const char *const args[KEPT_ARGS] = { account, kind, owner };
	struct policies found;
	size_t i;
	int rc = store_kept_get(s, &policies, &found, "SELECT name, document"
				" FROM identity_policy WHERE account = ?"
				" AND kind = ? AND owner = ? ORDER BY name",
				args);

	if (rc < 0)
		return rc;
	for (i = 0; rc == 0 && i < found.count; i++) {
		const char *const text[4] = { found.list[i].name,
					      found.list[i].document };

		rc = fn(text, 0, arg);
	}
	free_policies(&found);
	return rc;
}
