/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rows of grants; errors and threads as in store.h. */
#ifndef KMS_STORE_GRANTS_H
#define KMS_STORE_GRANTS_H

#include "store.h"

#define GRANT_ID_BYTES 65   /* 64 hexadecimal digits and a NUL */
#define GRANT_NAME_BYTES 257
#define PRINCIPAL_BYTES 257
#define ANCHOR_BYTES 33     /* 32 hexadecimal digits and a NUL */

/* What the encryption context of a call must be for a grant to allow it. */
enum grant_constraint {
	GRANT_ANY,    /* no matter */
	GRANT_EQUALS, /* just the pairs of the grant */
	GRANT_SUBSET, /* all pairs of the grant, and maybe others */
};

struct grant_row {
	char region[REGION_BYTES];
	char account[ACCOUNT_BYTES]; /* that owns the key */
	char key_id[KEY_ID_BYTES];
	char grant_id[GRANT_ID_BYTES];
	char issuer[ACCOUNT_BYTES];  /* that created the grant */
	char name[GRANT_NAME_BYTES]; /* "": none */
	char grantee[PRINCIPAL_BYTES];
	char grantee_uid[65];        /* whose ARN it was then */
	char retiring[PRINCIPAL_BYTES]; /* "": none */
	char retiring_uid[65];       /* as grantee_uid */
	char anchor[ANCHOR_BYTES];   /* one pair's digest (grants.h); "": none */
	int64_t operations;          /* bits of grant_operations[] */
	enum grant_constraint constraint;
	char *pairs;                 /* canonical JSON; grant_row_free() */
	int64_t created_ms;
};

void grant_row_free(struct grant_row *g);

int store_grant_add(struct store *s, const struct grant_row *g);

/* -ENOENT; grant_row_free() is owed for *@ret. */
int store_grant_get(struct store *s, const char *region, const char *key_id,
		    const char *grant_id, struct grant_row *ret);

/* -ENOENT; the id of a grant that is @g in all but id and time. */
int store_grant_same(struct store *s, const struct grant_row *g,
		     char ret[static GRANT_ID_BYTES]);

int store_grant_delete(struct store *s, const struct grant_row *g);

/* How many grants the key has, at the same cost for any number. */
int store_grant_count(struct store *s, const struct key_row *key,
		      int64_t *ret);

/*
 * Called for each grant found; the row is the caller's. 0 goes on, positive
 * ends the walk, which then returns it, and so does a negative errno.
 */
typedef int store_grant_fn(const struct grant_row *g, void *arg);

/*
 * The grants of @key for one of @grantees with one of @anchors, which are
 * JSON arrays of texts; @anchors NULL: with any. By index, so that the cost
 * does not grow with the grants of others.
 */
int store_grant_find(struct store *s, const struct key_row *key,
		     const char *grantees, const char *anchors,
		     store_grant_fn *fn, void *arg);

/*
 * In the order of the ids, from behind @after, at most @limit: those of
 * @key, of one @grantee or of all (NULL); those that @retiring may retire.
 */
int store_grant_list(struct store *s, const struct key_row *key,
		     const char *grantee, const char *after, int limit,
		     store_grant_fn *fn, void *arg);
int store_grant_retirable(struct store *s, const char *region,
			  const char *retiring, const char *after, int limit,
			  store_grant_fn *fn, void *arg);

#endif
