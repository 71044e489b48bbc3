/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keys of `init --test --seed`: known ids and material, for tests. */
#ifndef KMS_SEED_H
#define KMS_SEED_H

#include "secret.h"
#include "store.h"

/*
 * Makes the keys of the file @path ("-": standard input) for @account, inside
 * a transaction. The file is one JSON object, {"Keys": [...]}, each key with
 *
 *   KeyId        a UUID, or mrk- and 32 digits for a multi-Region primary key
 *   Region?      one of @regions; the first one by default
 *   Description?
 *   Material?    32 bytes in base64; random by default
 *   Aliases?     names, alias/...
 *
 * The same KeyId and Material have the same KeyMaterialId everywhere: what
 * one server encrypted another one decrypts.
 *
 * 0; -EBADMSG (not such a file), and other -errno, with a message printed.
 */
int seed_keys(struct store *s, const struct secret *root, const char *path,
	      const char *account, const char *regions);

#endif
