// SPDX-License-Identifier: GPL-2.0-or-later
/* Databases, transactions, statements, settings. */
#include "store.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"
#include "log.h"
#include "store_private.h"

/* In a file of its own, which no backup of the database has. */
static const char subkey_schema[] =
	"CREATE TABLE IF NOT EXISTS subkey (region TEXT, key_id TEXT,"
	" material_id TEXT, subkey BLOB NOT NULL,"
	" PRIMARY KEY (region, key_id, material_id)) WITHOUT ROWID;";

/* "subkeys.db" beside the database; NULL: no memory. */
static char *subkeys_path(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *beside = NULL;

	return asprintf(&beside, "%.*s" FILE_SUBKEYS,
			slash ? (int)(slash - path + 1) : 0, path) < 0 ?
	       NULL : beside;
}

/* Made once (1); missing later, it would leave all material dead. */
static int check_subkeys(struct store *s, const char *path)
{
	char *made = NULL;
	int rc = store_get(s, "subkeys", &made);

	free(made);
	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	if (access(path, F_OK) == 0)
		return 1;
	log_error("%s: %s; without it no key material can be opened: put it back",
		  path, strerror(errno));
	return -EIO;
}

static int make_subkeys(struct store *s, const char *path)
{
	int rc = store_execute(store_subkeys(s), subkey_schema);

	if (rc == 0)
		rc = parent_sync(path);
	return rc == 0 ? store_set(s, "subkeys", "1") : rc;
}

static int open_subkeys(struct store *s)
{
	char *path = subkeys_path(store_path(s));
	mode_t mask = umask(0077);
	int made = path ? check_subkeys(s, path) : -ENOMEM;
	int rc = made < 0 ? made : store_connect_subkeys(s, path);

	umask(mask);
	if (rc == 0 && !made)
		rc = make_subkeys(s, path);
	free(path);
	return rc;
}

int store_create(const char *path, struct store **ret)
{
	mode_t mask = umask(0077);
	struct store *s = NULL;
	int rc = store_connect(path, SQLITE_OPEN_CREATE, &s);

	umask(mask);
	if (rc < 0)
		return rc;
	rc = store_schema_create(s);
	if (rc == 0)
		rc = open_subkeys(s);
	if (rc < 0) {
		store_close(s);
		return rc;
	}
	*ret = s;
	return 0;
}

int store_open(const char *path, bool update, struct store **ret)
{
	struct store *s = NULL;
	int rc = store_connect(path, 0, &s);

	if (rc < 0)
		return rc;
	rc = store_schema_check(s, path, update);
	if (rc == 0)
		rc = open_subkeys(s);
	if (rc < 0) {
		store_close(s);
		return rc == -ENOENT ? -EIO : rc;
	}
	*ret = s;
	return 0;
}

int store_forget_copies(struct store *s)
{
	return store_schema_forget_copies(store_path(s));
}

int store_begin(struct store *s)
{
	int rc;

	store_write_lock(s);
	rc = store_execute(s, "BEGIN IMMEDIATE");
	if (rc < 0)
		store_unlock(s);
	return rc;
}

int store_commit(struct store *s)
{
	int rc = store_execute(s, "COMMIT");

	if (rc < 0)
		store_execute(s, "ROLLBACK");
	store_unlock(s);
	return rc;
}

void store_rollback(struct store *s)
{
	store_execute(s, "ROLLBACK");
	store_unlock(s);
}

static int bind_all(sqlite3_stmt *stmt, const char *types, va_list args)
{
	int rc = SQLITE_OK;
	int i;

	for (i = 1; rc == SQLITE_OK && *types; i++, types++) {
		if (*types == 't') {
			rc = sqlite3_bind_text(stmt, i,
					       va_arg(args, const char *),
					       -1, SQLITE_STATIC);
		} else if (*types == 'i') {
			rc = sqlite3_bind_int64(stmt, i,
						va_arg(args, int64_t));
		} else {
			const uint8_t *data = va_arg(args, const uint8_t *);

			rc = sqlite3_bind_blob64(stmt, i, data,
						 va_arg(args, size_t),
						 SQLITE_STATIC);
		}
	}
	return rc;
}

static int query_args(struct store *s, sqlite3_stmt **ret, const char *sql,
		      const char *types, va_list args)
{
	sqlite3_stmt *stmt = NULL;
	int rc = store_prepare(s, sql, &stmt);

	if (rc == SQLITE_OK)
		rc = bind_all(stmt, types, args);
	rc = store_convert(s, rc, sql);
	if (rc < 0)
		store_finish(stmt);
	else
		*ret = stmt;
	return rc;
}

int store_query(struct store *s, sqlite3_stmt **ret, const char *sql,
		const char *types, ...)
{
	va_list args;
	int rc;

	va_start(args, types);
	rc = query_args(s, ret, sql, types, args);
	va_end(args);
	return rc;
}

int store_step(struct store *s, sqlite3_stmt *stmt)
{
	int rc = sqlite3_step(stmt);

	if (rc == SQLITE_ROW)
		return 1;
	return store_convert(s, rc, sqlite3_sql(stmt));
}

int store_run(struct store *s, const char *sql, const char *types, ...)
{
	sqlite3_stmt *stmt = NULL;
	va_list args;
	int rc;

	store_write_lock(s);
	va_start(args, types);
	rc = query_args(s, &stmt, sql, types, args);
	va_end(args);
	if (rc == 0)
		rc = store_step(s, stmt);
	store_finish(stmt);
	store_unlock(s);
	return rc;
}

static int each_args(struct store *s, store_read_fn *read, void *arg,
		     const char *sql, const char *types, va_list args)
{
	sqlite3_stmt *stmt = NULL;
	int rc;

	store_lock(s);
	rc = query_args(s, &stmt, sql, types, args);
	while (rc == 0 && (rc = store_step(s, stmt)) > 0)
		rc = read(stmt, arg);
	store_finish(stmt);
	store_unlock(s);
	return rc;
}

int store_each(struct store *s, store_read_fn *read, void *arg,
	       const char *sql, const char *types, ...)
{
	va_list args;
	int rc;

	va_start(args, types);
	rc = each_args(s, read, arg, sql, types, args);
	va_end(args);
	return rc;
}

struct first {
	store_read_fn *read; /* NULL: the row need only be there */
	void *ret;
};

static int read_first(sqlite3_stmt *stmt, void *arg)
{
	const struct first *first = arg;
	int rc = first->read ? first->read(stmt, first->ret) : 0;

	return rc < 0 ? rc : 1;
}

int store_first(struct store *s, store_read_fn *read, void *ret,
		const char *sql, const char *types, ...)
{
	struct first first = { read, ret };
	va_list args;
	int rc;

	va_start(args, types);
	rc = each_args(s, read_first, &first, sql, types, args);
	va_end(args);
	return rc < 0 ? rc : rc > 0 ? 0 : -ENOENT;
}

static int read_number(sqlite3_stmt *stmt, void *ret)
{
	*(int64_t *)ret = sqlite3_column_int64(stmt, 0);
	return 1;
}

int store_number(struct store *s, int64_t *ret, const char *sql,
		 const char *types, ...)
{
	int64_t number = 0;
	va_list args;
	int rc;

	va_start(args, types);
	rc = each_args(s, read_number, &number, sql, types, args);
	va_end(args);
	if (rc < 0)
		return rc;
	*ret = number;
	return 0;
}

void store_text(sqlite3_stmt *stmt, int i, char *ret, size_t bytes)
{
	const char *text = (const char *)sqlite3_column_text(stmt, i);

	ret[0] = '\0';
	if (text)
		strncat(ret, text, bytes - 1);
}

int store_bytes(sqlite3_stmt *stmt, int i, uint8_t **ret, size_t *bytes_ret)
{
	const void *data = sqlite3_column_blob(stmt, i);
	size_t bytes = (size_t)sqlite3_column_bytes(stmt, i);
	uint8_t *copy;

	if (!data || !bytes)
		return -EIO;
	copy = malloc(bytes + 1);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, data, bytes);
	copy[bytes] = '\0';
	*ret = copy;
	*bytes_ret = bytes;
	return 0;
}

int store_set_blob(struct store *s, const char *name, const uint8_t *data,
		   size_t bytes)
{
	return store_run(s, "INSERT OR REPLACE INTO setting VALUES (?, ?)",
			 "tb", name, data, bytes);
}

struct blob {
	uint8_t *data; /* malloc(3)ed */
	size_t bytes;
};

static int read_blob(sqlite3_stmt *stmt, void *arg)
{
	struct blob *blob = arg;

	return store_bytes(stmt, 0, &blob->data, &blob->bytes);
}

int store_get_blob(struct store *s, const char *name, uint8_t **ret,
		   size_t *bytes_ret)
{
	struct blob blob = { NULL, 0 };
	int rc = store_first(s, read_blob, &blob, "SELECT value FROM setting"
			     " WHERE name = ?", "t", name);

	if (rc < 0)
		return rc;
	*ret = blob.data;
	*bytes_ret = blob.bytes;
	return 0;
}

int store_set(struct store *s, const char *name, const char *value)
{
	return store_set_blob(s, name, (const uint8_t *)value, strlen(value));
}

int store_get(struct store *s, const char *name, char **ret)
{
	uint8_t *data;
	size_t bytes;
	int rc = store_get_blob(s, name, &data, &bytes);

	if (rc == 0)
		*ret = (char *)data;
	return rc;
}
