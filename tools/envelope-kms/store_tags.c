// SPDX-License-Identifier: GPL-2.0-or-later
/* SQL of what people write on a key: its tags and its description. */
#include "store_tags.h"

#include <errno.h>
#include <string.h>

#include "store_private.h"

int store_tag_set(struct store *s, const struct key_row *key,
		  const char *name, const char *value)
{
	return store_run(s, "INSERT OR REPLACE INTO tag VALUES (?, ?, ?, ?)",
			 "tttt", key->region, key->key_id, name, value);
}

int store_tag_delete(struct store *s, const struct key_row *key,
		     const char *name)
{
	return store_run(s, "DELETE FROM tag"
			 " WHERE region = ? AND key_id = ? AND name = ?",
			 "ttt", key->region, key->key_id, name);
}

static int read_value(sqlite3_stmt *stmt, void *ret)
{
	char *value = strdup((const char *)sqlite3_column_text(stmt, 0));

	if (!value)
		return -ENOMEM;
	*(char **)ret = value;
	return 0;
}

int store_tag_get(struct store *s, const struct key_row *key,
		  const char *name, char **ret)
{
	return store_first(s, read_value, ret, "SELECT value FROM tag"
			   " WHERE region = ? AND key_id = ?"
			   " AND name = ? COLLATE NOCASE"
			   " ORDER BY name = ? DESC, name LIMIT 1", "tttt",
			   key->region, key->key_id, name, name);
}

int store_tag_count(struct store *s, const struct key_row *key,
		    int64_t *ret)
{
	return store_number(s, ret, "SELECT count(*) FROM tag"
			    " WHERE region = ? AND key_id = ?", "tt",
			    key->region, key->key_id);
}

struct walk {
	store_tag_fn *fn;
	void *arg;
};

static int hand_over(sqlite3_stmt *stmt, void *arg)
{
	const struct walk *walk = arg;

	return walk->fn((const char *)sqlite3_column_text(stmt, 0),
			(const char *)sqlite3_column_text(stmt, 1),
			walk->arg);
}

int store_tag_list(struct store *s, const struct key_row *key,
		   const char *after, int limit, store_tag_fn *fn, void *arg)
{
	struct walk walk = { fn, arg };

	return store_each(s, hand_over, &walk, "SELECT name, value FROM tag"
			  " WHERE region = ? AND key_id = ? AND name > ?"
			  " ORDER BY name LIMIT ?", "ttti", key->region,
			  key->key_id, after, (int64_t)limit);
}

int store_key_set_description(struct store *s, const struct key_row *key,
			      const char *description)
{
	return store_run(s, "UPDATE kms_key SET description = ?"
			 " WHERE region = ? AND key_id = ?", "ttt",
			 description, key->region, key->key_id);
}
