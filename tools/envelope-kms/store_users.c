// SPDX-License-Identifier: GPL-2.0-or-later
/* Rows of users and their access keys. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store.h"
#include "store_kept.h"
#include "store_private.h"

int store_read_user(sqlite3_stmt *stmt, void *arg)
{
	struct user_row *ret = arg;

	store_text(stmt, 0, ret->account, sizeof(ret->account));
	store_text(stmt, 1, ret->name, sizeof(ret->name));
	store_text(stmt, 2, ret->user_id, sizeof(ret->user_id));
	store_text(stmt, 3, ret->arn, sizeof(ret->arn));
	ret->created_ms = sqlite3_column_int64(stmt, 4);
	return 0;
}

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
	return store_first(s, store_read_user, ret, "SELECT "
			   STORE_USER_COLUMNS " FROM user"
			   " WHERE account = ? AND arn = ?", "tt", account,
			   arn);
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

struct sealed_key {
	struct user_row user;
	uint8_t *sealed; /* malloc(3)ed */
	size_t bytes;
};

static int read_key(sqlite3_stmt *stmt, void *arg)
{
	struct sealed_key *ret = arg;

	store_read_user(stmt, &ret->user);
	return store_bytes(stmt, 5, &ret->sealed, &ret->bytes);
}

struct next_key {
	struct sealed_key found;
	char id[ACCESS_KEY_BYTES];
};

static int read_next(sqlite3_stmt *stmt, void *arg)
{
	struct next_key *ret = arg;
	struct user_row *user = &ret->found.user;

	store_text(stmt, 0, user->account, sizeof(user->account));
	store_text(stmt, 1, user->name, sizeof(user->name));
	store_text(stmt, 2, ret->id, ACCESS_KEY_BYTES);
	return store_bytes(stmt, 3, &ret->found.sealed, &ret->found.bytes);
}

int store_access_key_next(struct store *s, const char *after,
			  struct user_row *ret,
			  char id_ret[static ACCESS_KEY_BYTES],
			  uint8_t **sealed_ret, size_t *sealed_bytes_ret)
{
	struct next_key next = { .id = "" };
	int rc = store_first(s, read_next, &next, "SELECT account, user_name,"
			     " access_key_id, sealed FROM access_key"
			     " WHERE access_key_id > ? ORDER BY access_key_id"
			     " LIMIT 1", "t", after);

	if (rc < 0)
		return rc;
	*ret = next.found.user;
	strcpy(id_ret, next.id);
	*sealed_ret = next.found.sealed;
	*sealed_bytes_ret = next.found.bytes;
	return 0;
}

static int copy_sealed(const void *from, void *to)
{
	struct sealed_key copy = *(const struct sealed_key *)from;

	copy.sealed = malloc(copy.bytes + 1);
	if (!copy.sealed)
		return -ENOMEM;
	memcpy(copy.sealed, ((const struct sealed_key *)from)->sealed,
	       copy.bytes + 1);
	*(struct sealed_key *)to = copy;
	return 0;
}

static void free_sealed(void *key)
{
	free(((struct sealed_key *)key)->sealed);
}

int store_access_key_get(struct store *s, const char *access_key_id,
			 struct user_row *ret, uint8_t **sealed_ret,
			 size_t *sealed_bytes_ret)
{
	static const struct kept_kind kind = {
		sizeof(struct sealed_key), false, read_key, copy_sealed,
		free_sealed
	};
	const char *const args[KEPT_ARGS] = { access_key_id };
	struct sealed_key found;
	int rc = store_kept_get(s, &kind, &found, "SELECT "
				STORE_USER_COLUMNS ", sealed FROM (SELECT"
				" u.*, a.sealed FROM access_key a JOIN user u"
				" ON u.account = a.account"
				" AND u.name = a.user_name"
				" WHERE a.access_key_id = ? AND a.active)",
				args);

	if (rc < 0)
		return rc;
	*ret = found.user;
	*sealed_ret = found.sealed;
	*sealed_bytes_ret = found.bytes;
	return 0;
}
