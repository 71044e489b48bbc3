// SPDX-License-Identifier: GPL-2.0-or-later
/* SQL of grants; every look-up that a call waits for is by an index. */
#include "store_grants.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store_private.h"

#define COLUMNS "region, account, key_id, grant_id, issuer, name, grantee," \
	" grantee_uid, retiring, anchor, operations, constraint_kind," \
	" pairs, created_ms, retiring_uid"

void grant_row_free(struct grant_row *g)
{
	free(g->pairs);
	g->pairs = NULL;
}

static int read_grant(sqlite3_stmt *stmt, void *ret)
{
	struct grant_row g = { .pairs = NULL };
	const char *pairs = (const char *)sqlite3_column_text(stmt, 12);

	store_text(stmt, 0, g.region, sizeof(g.region));
	store_text(stmt, 1, g.account, sizeof(g.account));
	store_text(stmt, 2, g.key_id, sizeof(g.key_id));
	store_text(stmt, 3, g.grant_id, sizeof(g.grant_id));
	store_text(stmt, 4, g.issuer, sizeof(g.issuer));
	store_text(stmt, 5, g.name, sizeof(g.name));
	store_text(stmt, 6, g.grantee, sizeof(g.grantee));
	store_text(stmt, 7, g.grantee_uid, sizeof(g.grantee_uid));
	store_text(stmt, 8, g.retiring, sizeof(g.retiring));
	store_text(stmt, 9, g.anchor, sizeof(g.anchor));
	g.operations = sqlite3_column_int64(stmt, 10);
	g.constraint = (enum grant_constraint)sqlite3_column_int(stmt, 11);
	g.pairs = strdup(pairs ? pairs : "{}");
	g.created_ms = sqlite3_column_int64(stmt, 13);
	store_text(stmt, 14, g.retiring_uid, sizeof(g.retiring_uid));
	if (!g.pairs)
		return -ENOMEM;
	*(struct grant_row *)ret = g;
	return 0;
}

int store_grant_add(struct store *s, const struct grant_row *g)
{
	return store_run(s, "INSERT INTO kms_grant (" COLUMNS ") VALUES"
			 " (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			 "ttttttttttiitit", g->region, g->account, g->key_id,
			 g->grant_id, g->issuer, g->name, g->grantee,
			 g->grantee_uid, g->retiring, g->anchor,
			 g->operations, (int64_t)g->constraint, g->pairs,
			 g->created_ms, g->retiring_uid);
}

int store_grant_get(struct store *s, const char *region, const char *key_id,
		    const char *grant_id, struct grant_row *ret)
{
	return store_first(s, read_grant, ret, "SELECT " COLUMNS
			   " FROM kms_grant WHERE region = ? AND key_id = ?"
			   " AND grant_id = ?", "ttt", region, key_id,
			   grant_id);
}

static int read_grant_id(sqlite3_stmt *stmt, void *ret)
{
	store_text(stmt, 0, ret, GRANT_ID_BYTES);
	return 0;
}

int store_grant_same(struct store *s, const struct grant_row *g,
		     char ret[static GRANT_ID_BYTES])
{
	return store_first(s, read_grant_id, ret, "SELECT grant_id FROM"
			   " kms_grant INDEXED BY kms_grant_use WHERE"
			   " region = ? AND key_id = ? AND grantee = ? AND"
			   " anchor = ? AND grantee_uid = ? AND name = ? AND"
			   " retiring = ? AND retiring_uid = ? AND issuer = ?"
			   " AND operations = ? AND constraint_kind = ? AND"
			   " pairs = ?", "tttttttttiit", g->region, g->key_id,
			   g->grantee, g->anchor, g->grantee_uid, g->name,
			   g->retiring, g->retiring_uid, g->issuer,
			   g->operations, (int64_t)g->constraint, g->pairs);
}

int store_grant_delete(struct store *s, const struct grant_row *g)
{
	return store_run(s, "DELETE FROM kms_grant"
			 " WHERE region = ? AND key_id = ? AND grant_id = ?",
			 "ttt", g->region, g->key_id, g->grant_id);
}

int store_grant_count(struct store *s, const struct key_row *key,
		      int64_t *ret)
{
	return store_number(s, ret, "SELECT grants FROM kms_grant_count"
			    " WHERE region = ? AND key_id = ?", "tt",
			    key->region, key->key_id);
}

struct walk {
	store_grant_fn *fn;
	void *arg;
};

static int hand_over(sqlite3_stmt *stmt, void *arg)
{
	const struct walk *walk = arg;
	struct grant_row g = { .pairs = NULL };
	int rc = read_grant(stmt, &g);

	if (rc == 0)
		rc = walk->fn(&g, walk->arg);
	grant_row_free(&g);
	return rc;
}

int store_grant_find(struct store *s, const struct key_row *key,
		     const char *grantees, const char *anchors,
		     store_grant_fn *fn, void *arg)
{
	static const char any[] = "SELECT " COLUMNS
		" FROM kms_grant INDEXED BY kms_grant_use"
		" WHERE region = ? AND key_id = ? AND grantee"
		" IN (SELECT value FROM json_each(?))";
	static const char anchored[] = "SELECT " COLUMNS
		" FROM kms_grant INDEXED BY kms_grant_use"
		" WHERE region = ? AND key_id = ? AND grantee"
		" IN (SELECT value FROM json_each(?)) AND"
		" anchor IN (SELECT value FROM json_each(?))";
	struct walk walk = { fn, arg };

	return store_each(s, hand_over, &walk, anchors ? anchored : any,
			  anchors ? "tttt" : "ttt", key->region, key->key_id,
			  grantees, anchors);
}

int store_grant_list(struct store *s, const struct key_row *key,
		     const char *grantee, const char *after, int limit,
		     store_grant_fn *fn, void *arg)
{
	static const char one[] = "SELECT " COLUMNS
		" FROM kms_grant INDEXED BY kms_grant_grantee"
		" WHERE region = ?1 AND key_id = ?2 AND grant_id > ?3"
		" AND grantee = ?5 ORDER BY grant_id LIMIT ?4";
	static const char all[] = "SELECT " COLUMNS
		" FROM kms_grant WHERE region = ? AND key_id = ?"
		" AND grant_id > ? ORDER BY grant_id LIMIT ?";
	struct walk walk = { fn, arg };

	return store_each(s, hand_over, &walk, grantee ? one : all,
			  grantee ? "tttit" : "ttti", key->region,
			  key->key_id, after, (int64_t)limit, grantee);
}

int store_grant_retirable(struct store *s, const char *region,
			  const char *retiring, const char *after, int limit,
			  store_grant_fn *fn, void *arg)
{
	struct walk walk = { fn, arg };

	return store_each(s, hand_over, &walk, "SELECT " COLUMNS
			  " FROM kms_grant INDEXED BY kms_grant_retiring"
			  " WHERE region = ? AND retiring = ?"
			  " AND grant_id > ? ORDER BY grant_id LIMIT ?",
			  "ttti", region, retiring, after, (int64_t)limit);
}
