/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Key material: made, sealed into the database, and fetched for use. */
#ifndef KMS_MATERIAL_H
#define KMS_MATERIAL_H

#include "blob.h"
#include "secret.h"
#include "store.h"

#define MATERIAL_BYTES 32

/*
 * A new symmetric key with fresh material, Enabled: fills key_id,
 * material_id, state, usage, spec, origin, manager and created_ms of @key,
 * whose account, region and description are set, and stores both.
 *
 * Call inside a transaction. 0; -ENOMEM; -EIO; -ENOSPC.
 */
int key_create(struct store *s, const struct secret *root,
	       struct key_row *key);

/*
 * The material of @key that @material_id (64 hexadecimal digits) names. A
 * secret for the caller in *@ret. 0; -ENOENT; -EBADMSG (the row was altered);
 * -ENOMEM; -EIO.
 */
int material_get(struct store *s, const struct secret *root,
		 const struct key_row *key, const char *material_id,
		 struct secret **ret);

/* What a blob of @key's current material carries. */
void material_blob_key(const struct key_row *key, struct blob_key *ret);

#endif
