/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The database: all SQL of the program is in store*.c. One connection behind
 * one recursive lock; every function here may be called from any thread and
 * may sleep on the disk. Times are milliseconds since 1970, UTC.
 *
 * Errors of all functions: -EIO (SQLite failed; its message has been logged),
 * -ENOSPC (the disk is full), -ENOMEM. Others are listed.
 */
#ifndef KMS_STORE_H
#define KMS_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "region.h"

#define ACCOUNT_BYTES 13 /* 12 digits and a NUL */
#define KEY_ID_BYTES 37
#define ALIAS_BYTES 257
#define MATERIAL_ID_BYTES 65 /* 64 hexadecimal digits and a NUL */
#define ACCESS_KEY_BYTES 129

struct store;

/*
 * store_create(): the file must not exist. store_open(): it must, and is
 * brought to this program's version of the tables.
 */
int store_create(const char *path, struct store **ret);
int store_open(const char *path, struct store **ret);
/* NULL is accepted. */
void store_close(struct store *s);

/*
 * A transaction holds the lock until commit or rollback, so that what is
 * audited is what is written.
 */
int store_begin(struct store *s);
int store_commit(struct store *s);
void store_rollback(struct store *s);

/* Settings. store_get(): -ENOENT; text to free(3) in *@ret. */
int store_set(struct store *s, const char *name, const char *value);
int store_get(struct store *s, const char *name, char **ret);
int store_set_blob(struct store *s, const char *name, const uint8_t *data,
		   size_t bytes);
int store_get_blob(struct store *s, const char *name, uint8_t **ret,
		   size_t *bytes_ret);

/* Users and their access keys (store_users.c). */
struct user_row {
	char account[ACCOUNT_BYTES];
	char name[65];
	char user_id[65]; /* AIDA… */
	char arn[256];
};

int store_user_add(struct store *s, const struct user_row *user);
/* -ENOENT. */
int store_user_by_arn(struct store *s, const char *account, const char *arn,
		      struct user_row *ret);
int store_access_key_add(struct store *s, const struct user_row *user,
			 const char *access_key_id, const uint8_t *sealed,
			 size_t sealed_bytes);
/* -ENOENT; *@sealed_ret to free(3). */
int store_access_key_get(struct store *s, const char *access_key_id,
			 struct user_row *ret, uint8_t **sealed_ret,
			 size_t *sealed_bytes_ret);

/* Keys and their material (store_keys.c). */
struct key_row {
	char account[ACCOUNT_BYTES];
	char region[REGION_BYTES];
	char key_id[KEY_ID_BYTES];
	char state[32];          /* a KeyState of the API */
	char usage[32], spec[32], origin[32], manager[16];
	char material_id[MATERIAL_ID_BYTES]; /* the current one */
	char *description;       /* key_row_free() */
	int64_t created_ms;
	int64_t deletion_ms;     /* 0: not pending deletion */
};

void key_row_free(struct key_row *key);

int store_key_add(struct store *s, const struct key_row *key);
/* -ENOENT. key_row_free() is owed on success. */
int store_key_get(struct store *s, const char *region, const char *key_id,
		  struct key_row *ret);
/* Writes state and deletion_ms of @key. */
int store_key_set_state(struct store *s, const struct key_row *key);
int store_key_count(struct store *s, const char *account, const char *region,
		    int64_t *ret);

/* Called in the order of the key or name; a negative return ends the walk. */
typedef int store_key_fn(const struct key_row *key, void *arg);

/* Ids only, from behind @after ("" for all), at most @limit. */
int store_key_list(struct store *s, const char *account, const char *region,
		   const char *after, int limit, store_key_fn *fn, void *arg);

/* A key whose deletion date is at or before @now_ms. -ENOENT: none. */
int store_key_due(struct store *s, int64_t now_ms, struct key_row *ret);

/*
 * Removes the copies that were made before updates of the tables. Call it
 * where key material is deleted: they still have it.
 */
void store_forget_copies(struct store *s);

/* Removes the key, all its material and all its aliases. */
int store_key_purge(struct store *s, const struct key_row *key);

/*
 * Brings what was deleted out of the write-ahead log: until then the log
 * still holds pages from before. -EBUSY: somebody reads, try again later.
 */
int store_truncate_log(struct store *s);

int store_material_add(struct store *s, const struct key_row *key,
		       const char *material_id, const uint8_t *sealed,
		       size_t sealed_bytes, int64_t created_ms);
/* -ENOENT; *@ret to free(3). */
int store_material_get(struct store *s, const struct key_row *key,
		       const char *material_id, uint8_t **ret,
		       size_t *bytes_ret);

/* Aliases (store_aliases.c). */
struct alias_row {
	char name[ALIAS_BYTES]; /* alias/… */
	char key_id[KEY_ID_BYTES];
	int64_t created_ms, updated_ms;
};

/* -EEXIST. */
int store_alias_add(struct store *s, const char *account, const char *region,
		    const struct alias_row *alias);
/* -ENOENT. */
int store_alias_get(struct store *s, const char *account, const char *region,
		    const char *name, struct alias_row *ret);
int store_alias_set_key(struct store *s, const char *account,
			const char *region, const struct alias_row *alias);
int store_alias_delete(struct store *s, const char *account,
		       const char *region, const char *name);
int store_alias_count(struct store *s, const char *account,
		      const char *region, const char *key_id, int64_t *ret);

typedef int store_alias_fn(const struct alias_row *alias, void *arg);

/* @key_id NULL: those of all keys. */
int store_alias_list(struct store *s, const char *account, const char *region,
		     const char *key_id, const char *after, int limit,
		     store_alias_fn *fn, void *arg);

#endif
