// SPDX-License-Identifier: GPL-2.0-or-later
/* Rows of accounts, roles, and of the policies of identities. */
#include "store_identities.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store_private.h"

void role_row_free(struct role_row *role)
{
	free(role->trust);
	role->trust = NULL;
}

static int first_row(struct store *s, sqlite3_stmt *stmt)
{
	int rc = store_step(s, stmt);

	return rc == 0 ? -ENOENT : rc;
}

int store_account_add(struct store *s, const char *account,
		      int64_t created_ms)
{
	return store_run(s, "INSERT INTO account VALUES (?, ?)", "ti",
			 account, created_ms);
}

/* 0; -ENOENT. @sql asks for the row of two texts, the second unused if NULL. */
static int row_there(struct store *s, const char *sql, const char *a,
		     const char *b)
{
	sqlite3_stmt *stmt = NULL;
	int rc;

	store_lock(s);
	rc = store_query(s, &stmt, sql, b ? "tt" : "t", a, b);
	if (rc == 0)
		rc = first_row(s, stmt);
	store_finish(stmt);
	store_unlock(s);
	return rc > 0 ? 0 : rc;
}

int store_account_get(struct store *s, const char *account)
{
	return row_there(s, "SELECT 1 FROM account WHERE account = ?",
			 account, NULL);
}

int store_account_delete(struct store *s, const char *account)
{
	int rc = store_account_get(s, account);

	if (rc < 0)
		return rc;
	rc = row_there(s, "SELECT 1 FROM kms_key WHERE account = ?1 UNION ALL"
		       " SELECT 1 FROM user WHERE account = ?1 UNION ALL"
		       " SELECT 1 FROM role WHERE account = ?1", account,
		       NULL);
	if (rc != -ENOENT)
		return rc == 0 ? -EEXIST : rc;
	return store_run(s, "DELETE FROM account WHERE account = ?", "t",
			 account);
}

int store_user_get(struct store *s, const char *account, const char *name,
		   struct user_row *ret)
{
	struct user_row user = { .name = "" };
	sqlite3_stmt *stmt = NULL;
	int rc;

	store_lock(s);
	rc = store_query(s, &stmt, "SELECT account, name, user_id, arn,"
			 " created_ms FROM user WHERE account = ? AND name = ?",
			 "tt", account, name);
	if (rc == 0)
		rc = first_row(s, stmt);
	if (rc > 0) {
		store_text(stmt, 0, user.account, sizeof(user.account));
		store_text(stmt, 1, user.name, sizeof(user.name));
		store_text(stmt, 2, user.user_id, sizeof(user.user_id));
		store_text(stmt, 3, user.arn, sizeof(user.arn));
		user.created_ms = sqlite3_column_int64(stmt, 4);
		*ret = user;
		rc = 0;
	}
	store_finish(stmt);
	store_unlock(s);
	return rc;
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
	int rc = row_there(s, "SELECT 1 FROM user WHERE account = ?"
			   " AND name = ?", account, name);

	return rc < 0 ? rc : run_each(s, sql, account, name);
}

int store_role_add(struct store *s, const struct role_row *role)
{
	return store_run(s, "INSERT INTO role (account, name, role_id, trust,"
			 " max_seconds, created_ms) VALUES (?, ?, ?, ?, ?, ?)",
			 "ttttii", role->account, role->name, role->role_id,
			 role->trust, role->max_seconds, role->created_ms);
}

static int read_role(sqlite3_stmt *stmt, struct role_row *ret)
{
	struct role_row role = { .trust = NULL };

	store_text(stmt, 0, role.account, sizeof(role.account));
	store_text(stmt, 1, role.name, sizeof(role.name));
	store_text(stmt, 2, role.role_id, sizeof(role.role_id));
	role.max_seconds = sqlite3_column_int64(stmt, 3);
	role.created_ms = sqlite3_column_int64(stmt, 4);
	role.trust = strdup((const char *)sqlite3_column_text(stmt, 5));
	if (!role.trust)
		return -ENOMEM;
	*ret = role;
	return 0;
}

int store_role_get(struct store *s, const char *account, const char *name,
		   struct role_row *ret)
{
	sqlite3_stmt *stmt = NULL;
	int rc;

	store_lock(s);
	rc = store_query(s, &stmt, "SELECT account, name, role_id,"
			 " max_seconds, created_ms, trust FROM role"
			 " WHERE account = ? AND name = ?", "tt", account,
			 name);
	if (rc == 0)
		rc = first_row(s, stmt);
	if (rc > 0)
		rc = read_role(stmt, ret);
	store_finish(stmt);
	store_unlock(s);
	return rc;
}

int store_role_set(struct store *s, const struct role_row *role)
{
	return store_run(s, "UPDATE role SET trust = ?, max_seconds = ?"
			 " WHERE account = ? AND name = ?", "titt",
			 role->trust, role->max_seconds, role->account,
			 role->name);
}

int store_role_delete(struct store *s, const char *account, const char *name)
{
	static const char *const sql[] = {
		"DELETE FROM identity_policy WHERE account = ? AND owner = ?"
		" AND kind = 'role'",
		"DELETE FROM role WHERE account = ? AND name = ?", NULL
	};
	int rc = row_there(s, "SELECT 1 FROM role WHERE account = ?"
			   " AND name = ?", account, name);

	return rc < 0 ? rc : run_each(s, sql, account, name);
}

static int access_key_there(struct store *s, const struct user_row *user,
			    const char *id)
{
	sqlite3_stmt *stmt = NULL;
	int rc;

	store_lock(s);
	rc = store_query(s, &stmt, "SELECT 1 FROM access_key WHERE"
			 " access_key_id = ? AND account = ? AND user_name = ?",
			 "ttt", id, user->account, user->name);
	if (rc == 0)
		rc = first_row(s, stmt);
	store_finish(stmt);
	store_unlock(s);
	return rc > 0 ? 0 : rc;
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
	sqlite3_stmt *stmt = NULL;
	int rc;

	store_lock(s);
	rc = store_query(s, &stmt, "DELETE FROM identity_policy WHERE"
			 " account = ? AND kind = ? AND owner = ?"
			 " AND name = ? RETURNING 1", "tttt", account, kind,
			 owner, name);
	if (rc == 0)
		rc = first_row(s, stmt);
	if (rc > 0)
		rc = store_step(s, stmt);
	store_finish(stmt);
	store_unlock(s);
	return rc;
}

/* Calls @fn for every row of @stmt; ends the query. */
static int walk(struct store *s, sqlite3_stmt *stmt, store_row_fn *fn,
		void *arg)
{
	int rc = 0;

	while (rc == 0 && (rc = store_step(s, stmt)) > 0) {
		const char *text[4];
		int i;

		for (i = 0; i < 4; i++)
			text[i] = (const char *)sqlite3_column_text(stmt, i);
		rc = fn(text, sqlite3_column_int64(stmt, 4), arg);
	}
	store_finish(stmt);
	return rc;
}

int store_account_list(struct store *s, store_row_fn *fn, void *arg)
{
	sqlite3_stmt *stmt = NULL;
	int rc;

	store_lock(s);
	rc = store_query(s, &stmt, "SELECT account, NULL, NULL, NULL,"
			 " created_ms FROM account ORDER BY account", "");
	if (rc == 0)
		rc = walk(s, stmt, fn, arg);
	store_unlock(s);
	return rc;
}

int store_user_list(struct store *s, const char *account, store_row_fn *fn,
		    void *arg)
{
	sqlite3_stmt *stmt = NULL;
	int rc;

	store_lock(s);
	rc = store_query(s, &stmt, "SELECT name, user_id, arn, NULL,"
			 " created_ms FROM user WHERE account = ?"
			 " ORDER BY name", "t", account);
	if (rc == 0)
		rc = walk(s, stmt, fn, arg);
	store_unlock(s);
	return rc;
}

int store_role_list(struct store *s, const char *account, store_row_fn *fn,
		    void *arg)
{
	sqlite3_stmt *stmt = NULL;
	int rc;

	store_lock(s);
	rc = store_query(s, &stmt, "SELECT name, role_id, trust, NULL,"
			 " created_ms FROM role WHERE account = ?"
			 " ORDER BY name", "t", account);
	if (rc == 0)
		rc = walk(s, stmt, fn, arg);
	store_unlock(s);
	return rc;
}

int store_access_key_list(struct store *s, const struct user_row *user,
			  store_row_fn *fn, void *arg)
{
	sqlite3_stmt *stmt = NULL;
	int rc;

	store_lock(s);
	rc = store_query(s, &stmt, "SELECT access_key_id,"
			 " iif(active, 'Active', 'Inactive'), NULL, NULL,"
			 " created_ms FROM access_key WHERE account = ?"
			 " AND user_name = ? ORDER BY access_key_id", "tt",
			 user->account, user->name);
	if (rc == 0)
		rc = walk(s, stmt, fn, arg);
	store_unlock(s);
	return rc;
}

int store_policy_list(struct store *s, const char *account, const char *kind,
		      const char *owner, store_row_fn *fn, void *arg)
{
	sqlite3_stmt *stmt = NULL;
	int rc;

	store_lock(s);
	rc = store_query(s, &stmt, "SELECT name, document, NULL, NULL, 0"
			 " FROM identity_policy WHERE account = ? AND kind = ?"
			 " AND owner = ? ORDER BY name", "ttt", account, kind,
			 owner);
	if (rc == 0)
		rc = walk(s, stmt, fn, arg);
	store_unlock(s);
	return rc;
}
