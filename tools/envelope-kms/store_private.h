/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the store*.c files share and nobody else may use. */
#ifndef KMS_STORE_PRIVATE_H
#define KMS_STORE_PRIVATE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store.h"

/*
 * Connections (store_connection.c). Everything below runs between a lock and
 * store_unlock(); both nest. store_lock() is for queries: one of a few
 * connections that only read, or, inside of a transaction, the one that
 * writes. store_write_lock() waits for the latter.
 */
int store_connect(const char *path, int flags, struct store **ret);
const char *store_path(const struct store *s);

/*
 * The database of subkeys, whose lock is taken last. store_connect_subkeys()
 * makes it where there is none.
 */
int store_connect_subkeys(struct store *s, const char *path);
struct store *store_subkeys(struct store *s);

void store_lock(struct store *s);
void store_write_lock(struct store *s);
void store_unlock(struct store *s);

/* An errno for SQLite's @rc; others than its usual ones are logged. */
int store_convert(struct store *s, int rc, const char *what);

/*
 * An SQLite code. The statement is kept for the next time that the same @sql
 * comes, which must be a constant of the program.
 */
int store_prepare(struct store *s, const char *sql, sqlite3_stmt **ret);

/*
 * A statement with its arguments, under the lock that the caller holds.
 * @types has one letter for each: t (const char *), i (int64_t), b (const
 * uint8_t *, size_t). The caller ends it with store_finish().
 */
int store_query(struct store *s, sqlite3_stmt **ret, const char *sql,
		const char *types, ...);

/* 1: a row; 0: no more; negative: as in store.h, -EEXIST (constraint). */
int store_step(struct store *s, sqlite3_stmt *stmt);
void store_finish(sqlite3_stmt *stmt);

/* A statement without rows: lock, run, unlock. Arguments as store_query(). */
int store_run(struct store *s, const char *sql, const char *types, ...);

/*
 * What a row is read by: 0 goes on to the next one, positive ends the walk
 * and is returned, as is a negative errno.
 */
typedef int store_read_fn(sqlite3_stmt *stmt, void *arg);

/*
 * A query: lock, each of its rows to @read, unlock. store_first(): the first
 * row alone, -ENOENT without one; @read NULL: whether there is one.
 * store_number(): its first column, 0 without a row. Arguments as
 * store_query().
 */
int store_each(struct store *s, store_read_fn *read, void *arg,
	       const char *sql, const char *types, ...);
int store_first(struct store *s, store_read_fn *read, void *ret,
		const char *sql, const char *types, ...);
int store_number(struct store *s, int64_t *ret, const char *sql,
		 const char *types, ...);

/* Column @i as text, cut to @bytes with its NUL; NULL reads as "". */
void store_text(sqlite3_stmt *stmt, int i, char *ret, size_t bytes);

/* Column @i as malloc(3)ed bytes. 0; -ENOMEM; -EIO (empty). */
int store_bytes(sqlite3_stmt *stmt, int i, uint8_t **ret, size_t *bytes_ret);

/* What store_read_key() reads, in this order. */
#define STORE_KEY_COLUMNS "account, region, key_id, state, usage, spec, " \
	"origin, manager, material_id, description, created_ms, " \
	"deletion_ms, primary_region, rotation_days, rotation_ms, " \
	"window_days, expires_ms, policy, principals"

/* Into a struct key_row; key_row_free() is owed. 0; -ENOMEM. */
int store_read_key(sqlite3_stmt *stmt, void *ret);

/* What store_read_user() reads, in this order, into a struct user_row. */
#define STORE_USER_COLUMNS "account, name, user_id, arn, created_ms"

int store_read_user(sqlite3_stmt *stmt, void *ret);

/* Statements without arguments or rows, separated by semicolons. */
int store_execute(struct store *s, const char *sql);

/* The tables of a new database (store_schema.c). */
int store_schema_create(struct store *s);

/*
 * Is the database at @path of the version of this program? With @update, it
 * is brought there in one transaction, after a copy of it to PATH.vN, N its
 * version. -ENOENT: no version in it; -EIO: a newer one, or an older one
 * without @update, a message is printed.
 */
int store_schema_check(struct store *s, const char *path, bool update);

/* As store_forget_copies(). */
int store_schema_forget_copies(const char *path);

#endif
