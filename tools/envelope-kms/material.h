/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Key material: made, sealed into the database, and fetched for use. */
#ifndef KMS_MATERIAL_H
#define KMS_MATERIAL_H

#include <stdbool.h>

#include "blob.h"
#include "secret.h"
#include "store.h"

#define MATERIAL_BYTES 32

/*
 * Each material is sealed in its row under the root key and a random subkey
 * of its own, which is in a file that no backup of the database has: what is
 * deleted here does not come back with a backup.
 */

/*
 * A new symmetric key: fills key_id, material_id, state, usage, spec and
 * created_ms of @key, whose account, region and description are set, and
 * stores it with fresh material, Enabled. Of @key as it comes, origin EXTERNAL
 * makes one without material, PendingImport; a primary_region a multi-Region
 * one; an empty origin or manager is AWS_KMS, CUSTOMER.
 *
 * Call inside a transaction. 0; -ENOMEM; -EIO; -ENOSPC.
 */
int key_create(struct store *s, const struct secret *root,
	       struct key_row *key);
/* The same with the key_id of @key, and of @material, if any, its material_id. */
int key_create_as(struct store *s, const struct secret *root,
		  struct key_row *key, const struct secret *material);

/*
 * The material of @key that @material_id (64 hexadecimal digits) names. A
 * secret for the caller in *@ret. 0; -ENOENT; -EBADMSG (the row was altered);
 * -ENOMEM; -EIO.
 */
int material_get(struct store *s, const struct secret *root,
		 const struct key_row *key, const char *material_id,
		 struct secret **ret);

/* A random id for material of our own making, which tells nothing of it. */
int material_new_id(char ret[static MATERIAL_ID_BYTES]);

/*
 * Seals @material into the row @row of @key and stores it, inside a
 * transaction. 0; -ENOMEM; -EIO; -ENOSPC.
 */
int material_put(struct store *s, const struct secret *root,
		 const struct key_row *key, struct material_row *row,
		 const struct secret *material);

/* The material of @from, sealed into the place of @to as well. */
int material_copy_all(struct store *s, const struct secret *root,
		      const struct key_row *from, const struct key_row *to);

/*
 * Deletes a material for good, inside a transaction; its row stays, unless
 * @forget.
 */
int material_erase(struct store *s, const struct key_row *key,
		   const char *material_id, bool forget);

/* Gives subkeys to the material of a database from before there were any. */
int material_upgrade(struct store *s, const struct secret *root);

/* What a blob of @key's current material carries. */
void material_blob_key(const struct key_row *key, struct blob_key *ret);

#endif
