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

static int read_grant(sqlite3_stmt *stmt, struct grant_row *ret)
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
	*ret = g;
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
	sqlite3_stmt *stmt = NULL;
	int rc;

	store_lock(s);
	rc = store_query(s, &stmt, "SELECT " COLUMNS " FROM kms_grant"
			 " WHERE region = ? AND key_id = ? AND grant_id = ?",
			 "ttt", region, key_id, grant_id);
	if (rc == 0)
		rc = store_step(s, stmt);
	if (rc == 0)
		rc = -ENOENT;
	if (rc > 0)
		rc = read_grant(stmt, ret);
	store_finish(stmt);
	store_unlock(s);
	return rc;
}

int store_grant_same(struct store *s, const struct grant_row *g,
		     char ret[static GRANT_ID_BYTES])
{
	sqlite3_stmt *stmt = NULL;
	int rc;

	store_lock(s);
	rc = store_query(s, &stmt, "SELECT grant_id FROM kms_grant"
			 " INDEXED BY kms_grant_use WHERE region = ? AND"
			 " key_id = ? AND grantee = ? AND anchor = ? AND"
			 " grantee_uid = ? AND name = ? AND retiring = ? AND"
			 " retiring_uid = ? AND issuer = ? AND operations = ?"
			 " AND constraint_kind = ? AND pairs = ?",
			 "tttttttttiit",
			 g->region, g->key_id, g->grantee, g->anchor,
			 g->grantee_uid, g->name, g->retiring,
			 g->retiring_uid, g->issuer, g->operations,
			 (int64_t)g->constraint, g->pairs);
	if (rc == 0)
		rc = store_step(s, stmt);
	if (rc == 0)
		rc = -ENOENT;
	if (rc > 0) {
		store_text(stmt, 0, ret, GRANT_ID_BYTES);
		rc = 0;
	}
	store_finish(stmt);
	store_unlock(s);
	return rc;
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
	sqlite3_stmt *stmt = NULL;
	int rc;

	store_lock(s);
	rc = store_query(s, &stmt, "SELECT grants FROM kms_grant_count"
			 " WHERE region = ? AND key_id = ?", "tt",
			 key->region, key->key_id);
	if (rc == 0)
		rc = store_step(s, stmt);
	if (rc >= 0) {
		*ret = rc ? sqlite3_column_int64(stmt, 0) : 0;
		rc = 0;
	}
	store_finish(stmt);
	store_unlock(s);
	return rc;
}

/* Hands each row of a prepared query of COLUMNS to @fn; ends the query. */
static int walk(struct store *s, sqlite3_stmt *stmt, int rc,
		store_grant_fn *fn, void *arg)
{
	struct grant_row g;

	while (rc == 0 && (rc = store_step(s, stmt)) > 0) {
		rc = read_grant(stmt, &g);
		if (rc < 0)
			break;
		rc = fn(&g, arg);
		grant_row_free(&g);
	}
	store_finish(stmt);
	return rc;
}

int store_grant_find(struct store *s, const struct key_row *key,
		     const char *grantees, const char *anchors,
		     store_grant_fn *fn, void *arg)
{
	sqlite3_stmt *stmt = NULL;
	int rc;

	store_lock(s);
	if (anchors)
		rc = store_query(s, &stmt, "SELECT " COLUMNS
				 " FROM kms_grant INDEXED BY kms_grant_use"
				 " WHERE region = ? AND key_id = ? AND grantee"
				 " IN (SELECT value FROM json_each(?)) AND"
				 " anchor IN (SELECT value FROM json_each(?))",
				 "tttt", key->region, key->key_id, grantees,
				 anchors);
	else
		rc = store_query(s, &stmt, "SELECT " COLUMNS
				 " FROM kms_grant INDEXED BY kms_grant_use"
				 " WHERE region = ? AND key_id = ? AND grantee"
				 " IN (SELECT value FROM json_each(?))", "ttt",
				 key->region, key->key_id, grantees);
	rc = walk(s, stmt, rc, fn, arg);
	store_unlock(s);
	return rc;
}

int store_grant_list(struct store *s, const struct key_row *key,
		     const char *grantee, const char *after, int limit,
		     store_grant_fn *fn, void *arg)
{
	sqlite3_stmt *stmt = NULL;
	int rc;

	store_lock(s);
	if (grantee)
		rc = store_query(s, &stmt, "SELECT " COLUMNS
				 " FROM kms_grant INDEXED BY kms_grant_grantee"
				 " WHERE region = ? AND key_id = ? AND"
				 " grantee = ? AND grant_id > ?"
				 " ORDER BY grant_id LIMIT ?", "tttti",
				 key->region, key->key_id, grantee, after,
				 (int64_t)limit);
	else
		rc = store_query(s, &stmt, "SELECT " COLUMNS
				 " FROM kms_grant WHERE region = ? AND"
				 " key_id = ? AND grant_id > ?"
				 " ORDER BY grant_id LIMIT ?", "ttti",
				 key->region, key->key_id, after,
				 (int64_t)limit);
	rc = walk(s, stmt, rc, fn, arg);
	store_unlock(s);
	return rc;
}

int store_grant_retirable(struct store *s, const char *region,
			  const char *retiring, const char *after, int limit,
			  store_grant_fn *fn, void *arg)
{
	sqlite3_stmt *stmt = NULL;
	int rc;

	store_lock(s);
	rc = store_query(s, &stmt, "SELECT " COLUMNS " FROM kms_grant"
			 " INDEXED BY kms_grant_retiring WHERE region = ?"
			 " AND retiring = ? AND grant_id > ?"
			 " ORDER BY grant_id LIMIT ?", "ttti", region,
			 retiring, after, (int64_t)limit);
	rc = walk(s, stmt, rc, fn, arg);
	store_unlock(s);
	return rc;
}
