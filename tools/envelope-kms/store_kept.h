/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What queries have found, kept beside the connection that asked, for as long
 * as the database is what it was (store_connection.c).
 */
#ifndef KMS_STORE_KEPT_H
#define KMS_STORE_KEPT_H

#include "store_private.h"

#define KEPT_ARGS 3

/* A kind of value that queries give. Nothing that is a secret in the clear. */
struct kept_kind {
	size_t bytes;               /* of a value */
	bool list;                  /* of all rows, each of which @read adds */
	store_read_fn *read;        /* a row into a value, zero before; 0 */
	/* Owned parts become the copy's own. 0; -ENOMEM. */
	int (*copy)(const void *from, void *to);
	void (*free)(void *value);  /* owned parts; NULL: it has none */
};

/*
 * The value that @sql, a constant of the program, gives for up to KEPT_ARGS
 * texts, of which NULL ends the list; the caller frees its owned parts. As
 * store_first() or, for lists, as store_each().
 */
int store_kept_get(struct store *s, const struct kept_kind *kind, void *ret,
		   const char *sql, const char *const args[static KEPT_ARGS]);

/* NULL: out of memory. */
struct kept *kept_new(void);
/* @kept may be NULL. */
void kept_forget(struct kept *kept);
void kept_free(struct kept *kept);

/*
 * The table of this thread's connection, whose values are true now; NULL:
 * it reads no moment, or it writes.
 */
struct kept *store_kept(struct store *s);

#endif
