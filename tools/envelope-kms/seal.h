/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Secrets in the database, sealed under the root key:
 *
 *    0  32  N, random
 *   32   n  ciphertext
 * 32+n  16  tag
 *
 * Key: KDF(KDF(root, "envelope-kms seal v1", kind), "envelope-kms row v1", N),
 * so kinds never share a key and no key seals twice. AES-256-GCM, zero IV.
 * Additional data: kind, account, region, key id and material id, each behind
 * its big-endian u32 length, so that no row opens in another row's place.
 */
#ifndef KMS_SEAL_H
#define KMS_SEAL_H

#include <stddef.h>
#include <stdint.h>

#include "secret.h"

/* Kinds of secret. Stored rows depend on these words. */
#define SEAL_MATERIAL "material"
#define SEAL_IMPORT_TOKEN "import-token"
#define SEAL_ACCESS_KEY "access-key"
#define SEAL_SESSION "session"
#define SEAL_CHECK "root-check"
#define SEAL_GRANT_TOKEN "grant-token"

/*
 * Where a sealed secret belongs; a part that does not apply is "". An access
 * key has its id as the key id, and its user's name as the material id.
 */
struct seal_place {
	const char *kind, *account, *region, *key_id, *material_id;
};

/*
 * 0 with malloc(3)ed memory in *@ret; -ENOMEM; -EIO.
 * seal_open(): 0 with a secret in *@ret; -EBADMSG (other root key, other
 * place, or damaged); -ENOMEM; -EIO.
 */
int seal_close(const struct secret *root, const struct seal_place *place,
	       const struct secret *plaintext, uint8_t **ret,
	       size_t *bytes_ret);
int seal_open(const struct secret *root, const struct seal_place *place,
	      const uint8_t *sealed, size_t bytes, struct secret **ret);

#endif
