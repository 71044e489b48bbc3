/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rows of accounts, users, roles, their access keys and their policies.
 * Errors as in store.h.
 */
#ifndef KMS_STORE_IDENTITIES_H
#define KMS_STORE_IDENTITIES_H

#include "store.h"

#define IDENTITY_NAME_BYTES 65
#define POLICY_NAME_BYTES 129

/* Kinds of who has policies. Rows depend on these words. */
#define KIND_USER "user"
#define KIND_ROLE "role"

struct role_row {
	char account[ACCOUNT_BYTES];
	char name[IDENTITY_NAME_BYTES];
	char role_id[65];    /* AROA… */
	char *trust;         /* role_row_free() */
	char *principals;    /* the same; whom it names, as in policy.h */
	int64_t max_seconds; /* of a session */
	int64_t created_ms;
};

void role_row_free(struct role_row *role);

/* -EEXIST. */
int store_account_add(struct store *s, const char *account,
		      int64_t created_ms);
/* 0: there; -ENOENT. */
int store_account_get(struct store *s, const char *account);
/* -ENOENT; -EEXIST (it has users, roles or keys). */
int store_account_delete(struct store *s, const char *account);

/* -ENOENT. */
int store_user_get(struct store *s, const char *account, const char *name,
		   struct user_row *ret);
/* With its access keys and policies. -ENOENT. */
int store_user_delete(struct store *s, const char *account,
		      const char *name);

/* -EEXIST. */
int store_role_add(struct store *s, const struct role_row *role);
/* -ENOENT; role_row_free() is owed on success. */
int store_role_get(struct store *s, const char *account, const char *name,
		   struct role_row *ret);
/* Writes trust, principals and max_seconds. */
int store_role_set(struct store *s, const struct role_row *role);
/* With its policies. -ENOENT. */
int store_role_delete(struct store *s, const char *account,
		      const char *name);

/* -ENOENT: no such key of that user. */
int store_access_key_set_active(struct store *s, const struct user_row *user,
				const char *access_key_id, bool active);
int store_access_key_delete(struct store *s, const struct user_row *user,
			    const char *access_key_id);

/* Puts or replaces. */
int store_policy_put(struct store *s, const char *account, const char *kind,
		     const char *owner, const char *name,
		     const char *document);
/* -ENOENT. */
int store_policy_delete(struct store *s, const char *account,
			const char *kind, const char *owner,
			const char *name);

/*
 * One line of a list: up to four texts, in the order of the first; a negative
 * return ends the walk and is returned.
 */
typedef int store_row_fn(const char *const text[4], int64_t created_ms,
			 void *arg);

/* Account. */
int store_account_list(struct store *s, store_row_fn *fn, void *arg);
/* Name, id, ARN. */
int store_user_list(struct store *s, const char *account, store_row_fn *fn,
		    void *arg);
/* Name, id, trust policy, whom it names. */
int store_role_list(struct store *s, const char *account, store_row_fn *fn,
		    void *arg);
/* Access key id, "Active" or "Inactive". */
int store_access_key_list(struct store *s, const struct user_row *user,
			  store_row_fn *fn, void *arg);
/* Name, document. */
int store_policy_list(struct store *s, const char *account, const char *kind,
		      const char *owner, store_row_fn *fn, void *arg);

#endif
