// SPDX-License-Identifier: GPL-2.0-or-later
/* What can be wrong with the tables that no constraint of theirs keeps out. */
#include <stdio.h>
#include <string.h>

#include "store.h"
#include "store_private.h"

struct walk {
	const char *where; /* in front of each sentence */
	store_text_fn *fn;
	void *arg;
};

static int hand_over(sqlite3_stmt *stmt, void *arg)
{
	const struct walk *walk = arg;
	char said[256], text[512];

	store_text(stmt, 0, said, sizeof(said));
	if (strcmp(said, "ok") == 0)
		return 0;
	snprintf(text, sizeof(text), "%s: %s", walk->where, said);
	return walk->fn(text, walk->arg);
}

/* Each gives one column of sentences. */
static const char *const queries[] = {
	"PRAGMA integrity_check(20)",
	"SELECT 'row of ' || \"table\" || ' of no ' || parent"
	" FROM pragma_foreign_key_check",
	"SELECT 'key ' || region || '/' || key_id || ' has no material '"
	" || material_id FROM kms_key k WHERE material_id <> ''"
	" AND NOT EXISTS (SELECT 1 FROM material m WHERE m.region = k.region"
	" AND m.key_id = k.key_id AND m.material_id = k.material_id)",
	"SELECT 'key ' || region || '/' || key_id || ' is ' || state"
	" || ' without its material' FROM kms_key k WHERE state IN"
	" ('Enabled', 'Disabled') AND EXISTS (SELECT 1 FROM material m"
	" WHERE m.region = k.region AND m.key_id = k.key_id"
	" AND m.material_id = k.material_id AND length(sealed) = 0)",
	"SELECT 'key ' || region || '/' || key_id || ' has a wrong count of"
	" grants' FROM kms_grant_count c WHERE grants <> (SELECT count(*)"
	" FROM kms_grant g WHERE g.region = c.region"
	" AND g.key_id = c.key_id)",
	"SELECT 'policy ' || name || ' of no ' || kind || ' ' || owner"
	" FROM identity_policy p WHERE NOT EXISTS (SELECT 1 FROM user u"
	" WHERE kind = 'user' AND u.account = p.account"
	" AND u.name = p.owner UNION ALL SELECT 1 FROM role r"
	" WHERE kind = 'role' AND r.account = p.account"
	" AND r.name = p.owner)",
	"SELECT 'key ' || region || '/' || key_id || ' is of no account '"
	" || account FROM kms_key WHERE account NOT IN"
	" (SELECT account FROM account)",
};

int store_check(struct store *s, store_text_fn *fn, void *arg)
{
	struct walk walk = { "database", fn, arg };
	size_t i;
	int rc = 0;

	for (i = 0; rc == 0 && i < sizeof(queries) / sizeof(queries[0]); i++)
		rc = store_each(s, hand_over, &walk, queries[i], "");
	walk.where = "subkeys";
	if (rc == 0)
		rc = store_each(store_subkeys(s), hand_over, &walk,
				"PRAGMA integrity_check(20)", "");
	return rc;
}

struct count {
	struct store *store;
	int64_t orphans;
};

static int count_orphan(sqlite3_stmt *stmt, void *arg)
{
	struct count *count = arg;
	char region[REGION_BYTES], key_id[KEY_ID_BYTES];
	char material_id[MATERIAL_ID_BYTES];
	int64_t there = 0;
	int rc;

	store_text(stmt, 0, region, sizeof(region));
	store_text(stmt, 1, key_id, sizeof(key_id));
	store_text(stmt, 2, material_id, sizeof(material_id));
	rc = store_number(count->store, &there, "SELECT count(*) FROM material"
			  " WHERE region = ? AND key_id = ?"
			  " AND material_id = ?", "ttt", region, key_id,
			  material_id);
	if (!there)
		count->orphans++;
	return rc;
}

int store_subkey_orphans(struct store *s, int64_t *ret)
{
	struct count count = { s, 0 };
	int rc = store_each(store_subkeys(s), count_orphan, &count,
			    "SELECT region, key_id, material_id FROM subkey",
			    "");

	if (rc == 0)
		*ret = count.orphans;
	return rc;
}
