/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The database: all SQL of the program is in store*.c. One connection writes,
 * behind one recursive lock, and a few read beside it; every function here
 * may be called from any thread and may sleep on the disk. Times are milliseconds since 1970, UTC.
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
#include "secret.h"

#define ACCOUNT_BYTES 13 /* 12 digits and a NUL */
#define KEY_ID_BYTES 37
#define ALIAS_BYTES 257
#define MATERIAL_ID_BYTES 65 /* 64 hexadecimal digits and a NUL */
#define ACCESS_KEY_BYTES 129

struct store;

/*
 * store_create(): the file must not exist. store_open(): it must. @update
 * brings it to this program's version of the tables, which only who holds the
 * lock of the directory may; without, an older one is -EIO with a message.
 */
int store_create(const char *path, struct store **ret);
int store_open(const char *path, bool update, struct store **ret);
/* NULL is accepted. */
void store_close(struct store *s);

/*
 * A transaction holds the lock until commit or rollback, so that what is
 * audited is what is written.
 */
int store_begin(struct store *s);
int store_commit(struct store *s);
void store_rollback(struct store *s);

/*
 * The database as a file would have it, as it is at the moment of @still,
 * which is called while nobody else can change it. Others go on working; for
 * store_snapshot_free(). -EBUSY; what @still returned.
 */
int store_snapshot(struct store *s, int (*still)(void *arg), void *arg,
		   uint8_t **ret, size_t *bytes_ret);
void store_snapshot_free(uint8_t *data);

/*
 * From here to store_read_end() all that this thread reads is of one moment,
 * for which the database is locked once and not for each query; what it
 * writes itself is seen. Few can do that at a time, so that nothing in between
 * may take long. store_read_end() may come early, and then again.
 */
void store_read_begin(struct store *s);
void store_read_end(struct store *s);

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
	char user_id[97]; /* AIDA… */
	char arn[256];
	int64_t created_ms; /* 0: unknown */
};

/* -EEXIST. */
int store_user_add(struct store *s, const struct user_row *user);
/* -ENOENT. */
int store_user_by_arn(struct store *s, const char *account, const char *arn,
		      struct user_row *ret);
int store_access_key_add(struct store *s, const struct user_row *user,
			 const char *access_key_id, const uint8_t *sealed,
			 size_t sealed_bytes, int64_t created_ms);
/* Of an active key. -ENOENT; *@sealed_ret to free(3). */
int store_access_key_get(struct store *s, const char *access_key_id,
			 struct user_row *ret, uint8_t **sealed_ret,
			 size_t *sealed_bytes_ret);

/* The first one behind the id @after; its user's account and name alone. */
int store_access_key_next(struct store *s, const char *after,
			  struct user_row *ret,
			  char id_ret[static ACCESS_KEY_BYTES],
			  uint8_t **sealed_ret, size_t *sealed_bytes_ret);

/* What is wrong with the tables (store_check.c). */
typedef int store_text_fn(const char *text, void *arg);

/* Each thing that is wrong, as a sentence without a full stop. */
int store_check(struct store *s, store_text_fn *fn, void *arg);
/* How many subkeys are of no material: of no use, and no harm. */
int store_subkey_orphans(struct store *s, int64_t *ret);

/* Keys and their material (store_keys.c). */
struct key_row {
	char account[ACCOUNT_BYTES];
	char region[REGION_BYTES];
	char key_id[KEY_ID_BYTES];
	char state[32];          /* a KeyState of the API */
	char usage[32], spec[32], origin[32], manager[16];
	char material_id[MATERIAL_ID_BYTES]; /* the current one */
	char *description;       /* key_row_free() */
	char *policy;            /* the same; NULL, "": the default one */
	char *principals;        /* the same; whom it names, as in policy.h */
	int64_t created_ms;
	int64_t deletion_ms;     /* 0: not pending deletion */
	char primary_region[REGION_BYTES]; /* "": no multi-Region key */
	int64_t rotation_days;   /* 0: no automatic rotation */
	int64_t rotation_ms;     /* when the next one is due; 0: never */
	int64_t window_days;     /* while it waits for its replicas' end */
	int64_t expires_ms;      /* of its first material; 0: never */
};

void key_row_free(struct key_row *key);

int store_key_add(struct store *s, const struct key_row *key);
/* -ENOENT. key_row_free() is owed on success. */
int store_key_get(struct store *s, const char *region, const char *key_id,
		  struct key_row *ret);
/* Writes state, deletion_ms and window_days of @key. */
int store_key_set_state(struct store *s, const struct key_row *key);
/* Writes policy and principals of @key. */
int store_key_set_policy(struct store *s, const struct key_row *key);
int store_key_count(struct store *s, const char *account, const char *region,
		    int64_t *ret);

/*
 * The first key behind the one of that region and id, in their order; "", ""
 * for the first of all. As store_key_get().
 */
int store_key_next(struct store *s, const char *region, const char *key_id,
		   struct key_row *ret);

/* Of all accounts and regions. */
int store_key_total(struct store *s, int64_t *ret);

/* Called in the order of the key or name; a negative return ends the walk. */
typedef int store_key_fn(const struct key_row *key, void *arg);

/* Ids only, from behind @after ("" for all), at most @limit. */
int store_key_list(struct store *s, const char *account, const char *region,
		   const char *after, int limit, store_key_fn *fn, void *arg);

/* A key whose deletion date is at or before @now_ms. -ENOENT: none. */
int store_key_due(struct store *s, int64_t now_ms, struct key_row *ret);

/*
 * Removes the copies that were made before updates of the tables. Call it
 * where key material is deleted, inside the transaction, which must fail if
 * this does: they still have it. Other errors than -ENOMEM are an errno and
 * have been logged.
 */
int store_forget_copies(struct store *s);

/* Removes the key, all its material and all its aliases. */
int store_key_purge(struct store *s, const struct key_row *key);

/*
 * Brings what was deleted out of the write-ahead log: until then the log
 * still holds pages from before. -EBUSY: somebody reads, try again later.
 */
int store_truncate_log(struct store *s);

/* A key of whose material some has no subkey yet. -ENOENT: none. */
int store_key_unsubkeyed(struct store *s, struct key_row *ret);

/* Keys of several regions, their rotation and expiry (store_related.c). */

/* The rows of @key's id in all regions, the primary and its replicas. */
int store_key_related(struct store *s, const struct key_row *key,
		      store_key_fn *fn, void *arg);
int store_key_set_primary(struct store *s, const struct key_row *key,
			  const char *region);
/* Writes rotation_days and rotation_ms of @key, in all regions. */
int store_key_set_rotation(struct store *s, const struct key_row *key);
/* Writes material_id and expires_ms of @key. */
int store_key_set_material(struct store *s, const struct key_row *key);

/* An enabled key whose rotation is due at @now_ms. -ENOENT: none. */
int store_key_rotation_due(struct store *s, int64_t now_ms,
			   struct key_row *ret);
/* A key of which material expires by @now_ms. -ENOENT: none. */
int store_key_expired(struct store *s, int64_t now_ms, struct key_row *ret);

/* The material of keys (store_material.c). */
#define MATERIAL_STATE_BYTES 24
#define MATERIAL_CURRENT "CURRENT"
#define MATERIAL_NON_CURRENT "NON_CURRENT"
#define MATERIAL_PENDING "PENDING_ROTATION"

struct material_row {
	char material_id[MATERIAL_ID_BYTES];
	char state[MATERIAL_STATE_BYTES];
	char rotation_type[16];  /* AUTOMATIC, ON_DEMAND; "": the first one */
	char description[257 * 4];
	int64_t seq;             /* 0, 1 … of the key */
	int64_t created_ms;
	int64_t rotated_ms;      /* when it became the current one; 0: never */
	int64_t expires_ms;      /* 0: never */
	bool imported;
	bool present;            /* the material is there, not only its row */
	bool subkeyed;           /* sealed under a subkey, too (material.h) */
};

/* A row for @sealed, or in place of the one with that id. */
int store_material_put(struct store *s, const struct key_row *key,
		       const struct material_row *row, const uint8_t *sealed,
		       size_t sealed_bytes);
/* Writes what @row says of itself; the sealed bytes stay. */
int store_material_set(struct store *s, const struct key_row *key,
		       const struct material_row *row);
/* Overwrites the sealed bytes; the row stays. */
int store_material_erase(struct store *s, const struct key_row *key,
			 const char *material_id);
int store_material_delete(struct store *s, const struct key_row *key,
			  const char *material_id);

/* -ENOENT: no such row, or its material is gone; *@ret to free(3). */
int store_material_get(struct store *s, const struct key_row *key,
		       const char *material_id, struct material_row *row_ret,
		       uint8_t **ret, size_t *bytes_ret);
/* The row alone. -ENOENT. */
int store_material_find(struct store *s, const struct key_row *key,
			const char *material_id, struct material_row *ret);

typedef int store_material_fn(const struct material_row *row, void *arg);

/*
 * In the order of seq, from behind @after (-1: all), at most @limit (-1: no
 * limit); @rotated: only what a rotation made the current one.
 */
int store_material_list(struct store *s, const struct key_row *key,
			bool rotated, int64_t after, int limit,
			store_material_fn *fn, void *arg);

/* How many, of the rotation type @type ("": all), which is the next seq. */
int store_material_count(struct store *s, const struct key_row *key,
			 const char *type, int64_t *ret);

/*
 * Subkeys (store_subkeys.c): one for each material, in a database of their
 * own that no backup has. Written at once, outside of transactions.
 */

/* -ENOENT; a secret for the caller in *@ret. */
int store_subkey_get(struct store *s, const struct key_row *key,
		     const char *material_id, struct secret **ret);
/* -EEXIST. */
int store_subkey_add(struct store *s, const struct key_row *key,
		     const char *material_id, const struct secret *subkey);

/* The whole database of them, without the pages of those that are gone. */
int store_subkeys_copy(const char *from, const char *to);

/*
 * Notes, inside the transaction that deletes a material ("": all of the
 * key's), that its subkey must go; forgets that where it comes back.
 */
int store_shred_note(struct store *s, const struct key_row *key,
		     const char *material_id);
int store_shred_forget(struct store *s, const struct key_row *key,
		       const char *material_id);

/* Deletes a subkey that is noted. -ENOENT: none is. */
int store_shred_one(struct store *s);

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
