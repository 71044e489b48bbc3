// SPDX-License-Identifier: GPL-2.0-or-later
/* Rows of aliases. */
#include "store.h"
#include "store_kept.h"
#include "store_private.h"

int store_alias_add(struct store *s, const char *account, const char *region,
		    const struct alias_row *alias)
{
	return store_run(s, "INSERT INTO alias VALUES (?, ?, ?, ?, ?, ?)",
			 "ttttii", account, region, alias->name,
			 alias->key_id, alias->created_ms, alias->updated_ms);
}

static int read_alias(sqlite3_stmt *stmt, void *arg)
{
	struct alias_row *ret = arg;

	store_text(stmt, 0, ret->name, sizeof(ret->name));
	store_text(stmt, 1, ret->key_id, sizeof(ret->key_id));
	ret->created_ms = sqlite3_column_int64(stmt, 2);
	ret->updated_ms = sqlite3_column_int64(stmt, 3);
	return 0;
}

static int copy_alias(const void *from, void *to)
{
	*(struct alias_row *)to = *(const struct alias_row *)from;
	return 0;
}

int store_alias_get(struct store *s, const char *account, const char *region,
		    const char *name, struct alias_row *ret)
{
	static const struct kept_kind aliases = {
		sizeof(struct alias_row), false, read_alias, copy_alias, NULL
	};
	const char *const args[KEPT_ARGS] = { account, region, name };

	return store_kept_get(s, &aliases, ret, "SELECT name, key_id,"
			      " created_ms, updated_ms FROM alias"
			      " WHERE account = ? AND region = ? AND name = ?",
			      args);
}

int store_alias_set_key(struct store *s, const char *account,
			const char *region, const struct alias_row *alias)
{
	return store_run(s, "UPDATE alias SET key_id = ?, updated_ms = ?"
			 " WHERE account = ? AND region = ? AND name = ?",
			 "tittt", alias->key_id, alias->updated_ms, account,
			 region, alias->name);
}

int store_alias_delete(struct store *s, const char *account,
		       const char *region, const char *name)
{
	return store_run(s, "DELETE FROM alias"
			 " WHERE account = ? AND region = ? AND name = ?",
			 "ttt", account, region, name);
}

int store_alias_count(struct store *s, const char *account,
		      const char *region, const char *key_id, int64_t *ret)
{
	return store_number(s, ret, "SELECT count(*) FROM alias"
			    " WHERE account = ? AND region = ?"
			    " AND key_id = ?", "ttt", account, region, key_id);
}

struct walk {
	store_alias_fn *fn;
	void *arg;
};

static int hand_over(sqlite3_stmt *stmt, void *arg)
{
	const struct walk *walk = arg;
	struct alias_row alias;

	read_alias(stmt, &alias);
	return walk->fn(&alias, walk->arg);
}

int store_alias_list(struct store *s, const char *account, const char *region,
		     const char *key_id, const char *after, int limit,
		     store_alias_fn *fn, void *arg)
{
	struct walk walk = { fn, arg };

	return store_each(s, hand_over, &walk, "SELECT name, key_id,"
			  " created_ms, updated_ms FROM alias"
			  " WHERE account = ? AND region = ? AND name > ?"
			  " AND (? = '' OR key_id = ?) ORDER BY name LIMIT ?",
			  "ttttti", account, region, after,
			  key_id ? key_id : "", key_id ? key_id : "",
			  (int64_t)limit);
}
