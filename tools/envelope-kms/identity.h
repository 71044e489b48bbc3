/* SPDX-License-Identifier: GPL-2.0-or-later */
/* `envelope-kms identity`: what its verbs share. */
#ifndef KMS_IDENTITY_H
#define KMS_IDENTITY_H

#include <jansson.h>
#include <stdio.h>

#include "policy.h"
#include "secret.h"
#include "audit.h"
#include "store_identities.h"

struct identity_options {
	const char *dir;
	const char *account;   /* NULL: the server's own */
	const char *user, *role, *trust, *max_session;
	bool json;
	const char *args[2];   /* behind DIR; NULL: not given */
};

/*
 * One verb. Nobody waits for a database while it is locked: what a verb reads
 * is read before, and what it says is said when the change is made.
 */
struct identity_run {
	const struct identity_options *options;
	struct store *store;
	char account[ACCOUNT_BYTES];
	char *document;         /* a policy that it was given; NULL: none */
	struct policy *policy;  /* the same, parsed */
	int64_t max_session;    /* seconds */
	FILE *out;              /* what it prints, into shown */
	char *shown;
	size_t shown_bytes;
	struct secret *secret;  /* printed past stdio, instead; NULL: none */
	size_t secret_bytes;
	json_t *list;           /* what --json prints in the end; NULL: none */
	const char *list_name;  /* as AWS calls it */
	struct audit_change change; /* for the trail */
};

typedef int identity_fn(struct identity_run *r);

/* identity_who.c: accounts, users, roles. */
identity_fn identity_create_account, identity_list_accounts,
	identity_delete_account, identity_create_user, identity_list_users,
	identity_delete_user, identity_create_role, identity_list_roles,
	identity_set_trust, identity_delete_role;

/* identity_keys.c */
identity_fn identity_create_access_key, identity_list_access_keys,
	identity_activate_access_key, identity_deactivate_access_key,
	identity_delete_access_key;

/* identity_policies.c */
identity_fn identity_attach_policy, identity_put_policy,
	identity_get_policy, identity_list_policies, identity_delete_policy;

/* Before the database is open: check options, read files. */
identity_fn identity_prepare_role, identity_prepare_trust,
	identity_prepare_policy;

/* All print a message where they fail, and return -errno. */

/*
 * What the verb does, as CloudTrail calls and shows it. Steals both objects;
 * @response NULL: there is none.
 */
int identity_change(struct identity_run *r, const char *name,
		    json_t *parameters, json_t *response);

/* Prints @text, or with --json appends @item, which it steals. */
int identity_item(struct identity_run *r, const char *text, json_t *item);

/* AWS's date; json null: unknown. */
json_t *identity_date(int64_t ms);

/* A name as AWS takes it; @what names it in the message. */
int identity_check_name(const char *what, const char *name, size_t max);

/* The user that is called @name. */
int identity_user(struct identity_run *r, const char *name,
		  struct user_row *ret);

/* What the store's error means to whom it is said. */
int identity_failed(int rc, const char *what, const char *name);

/* The text of the file @path, or standard input for "-", to free(3). */
int identity_read_file(const char *path, char **ret);

/* The file @path, well-formed as @kind, into document and policy of @r. */
int identity_read_policy(struct identity_run *r, const char *path,
			 enum policy_kind kind);

#endif
