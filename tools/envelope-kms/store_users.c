// SPDX-License-Identifier: GPL-2.0-or-later
/* Rows of users and their access keys. */
#include <errno.h>

#include "store.h"
#include "store_private.h"

int store_user_add(struct store *s, const struct user_row *user)
{
	return store_run(s, "INSERT INTO user (account, name, user_id,"
			 " arn, created_ms) VALUES (?, ?, ?, ?, ?)", "tttti",
			 user->account, user->name, user->user_id, user->arn,
			 user->created_ms);
}

int store_user_by_arn(struct store *s, const char *account, const char *arn,
		      struct user_row *ret)
{
	sqlite3_stmt *stmt = NULL;
	int rc;

	store_lock(s);
	rc = store_query(s, &stmt, "SELECT account, name, user_id, arn"
			 " FROM user WHERE account = ? AND arn = ?", "tt",
			 account, arn);
	if (rc == 0)
		rc = store_step(s, stmt);
	if (rc == 0)
		rc = -ENOENT;
	if (rc > 0) {
		store_text(stmt, 0, ret->account, sizeof(ret->account));
		store_text(stmt, 1, ret->name, sizeof(ret->name));
		store_text(stmt, 2, ret->user_id, sizeof(ret->user_id));
		store_text(stmt, 3, ret->arn, sizeof(ret->arn));
		rc = 0;
	}
	store_finish(stmt);
	store_unlock(s);
	return rc;
}

int store_access_key_add(struct store *s, const struct user_row *user,
			 const char *access_key_id, const uint8_t *sealed,
			 size_t sealed_bytes, int64_t created_ms)
{
	return store_run(s, "INSERT INTO access_key (access_key_id, account,"
			 " user_name, sealed, created_ms) VALUES"
			 " (?, ?, ?, ?, ?)", "tttbi", access_key_id,
			 user->account, user->name, sealed, sealed_bytes,
			 created_ms);
}

int store_access_key_get(struct store *s, const char *access_key_id,
			 struct user_row *ret, uint8_t **sealed_ret,
			 size_t *sealed_bytes_ret)
{
	static const char sql[] =
		"SELECT u.account, u.name, u.user_id, u.arn, a.sealed,"
		" u.created_ms"
		" FROM access_key a JOIN user u"
		" ON u.account = a.account AND u.name = a.user_name"
		" WHERE a.access_key_id = ? AND a.active";
	sqlite3_stmt *stmt = NULL;
	int rc;

	store_lock(s);
	rc = store_query(s, &stmt, sql, "t", access_key_id);
	if (rc == 0)
		rc = store_step(s, stmt);
	if (rc == 0)
		rc = -ENOENT;
	if (rc > 0) {
		store_text(stmt, 0, ret->account, sizeof(ret->account));
		store_text(stmt, 1, ret->name, sizeof(ret->name));
		store_text(stmt, 2, ret->user_id, sizeof(ret->user_id));
		store_text(stmt, 3, ret->arn, sizeof(ret->arn));
		ret->created_ms = sqlite3_column_int64(stmt, 5);
		rc = store_bytes(stmt, 4, sealed_ret, sealed_bytes_ret);
	}
	store_finish(stmt);
	store_unlock(s);
	return rc;
}
