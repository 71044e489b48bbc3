/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The CiphertextBlob, byte by byte:
 *
 *     0   4  magic "EKMS"
 *     4   1  version, 1
 *     5   1  zero
 *     6  36  key id, text (a UUID, or mrk- and 32 digits)
 *    42  32  key-material id
 *    74  32  N, random
 *   106   8  the first bytes of SHA-256 over bytes 0 to 105
 *   114   n  ciphertext
 * 114+n  16  tag
 *
 * Each blob has a key of its own: KDF(material, "envelope-kms blob v1", N),
 * so no number of blobs exhausts the nonces of one key (NIST SP 800-38D,
 * section 8.3, allows 2^32 random ones). AES-256-GCM, zero IV; bytes 0 to 113
 * and then the canonical encryption context are the additional data. The
 * digest proves nothing against intent: it tells a damaged key id from one
 * that this server does not have.
 */
#ifndef KMS_BLOB_H
#define KMS_BLOB_H

#include <stddef.h>
#include <stdint.h>

#include "context.h"
#include "crypto.h"
#include "secret.h"

#define BLOB_KEY_ID_BYTES 36
#define BLOB_MATERIAL_ID_BYTES 32
#define BLOB_HEADER_BYTES 114
#define BLOB_OVERHEAD_BYTES (BLOB_HEADER_BYTES + CRYPTO_TAG_BYTES)
#define BLOB_MAX_BYTES 6144 /* of a CiphertextBlob in the API */

/* Which key made a blob: all that may be read of it without that key. */
struct blob_key {
	char key_id[BLOB_KEY_ID_BYTES + 1];
	uint8_t material_id[BLOB_MATERIAL_ID_BYTES];
};

/* 0; -EBADMSG: not one of our blobs, or damaged. */
int blob_read_key(const uint8_t *blob, size_t bytes, struct blob_key *ret);

/*
 * Encrypt @plaintext. 0 with malloc(3)ed memory in *@ret; -ENOMEM; -EIO.
 * blob_open(): @blob passed blob_read_key() and @material is the one named
 * there. 0 with a secret in *@ret; -EBADMSG (other context, or tampered
 * with); -ENOMEM; -EIO.
 */
int blob_seal(const struct secret *material, const struct blob_key *key,
	      const struct context *context, const struct secret *plaintext,
	      uint8_t **ret, size_t *bytes_ret);
int blob_open(const struct secret *material, const struct context *context,
	      const uint8_t *blob, size_t bytes, struct secret **ret);

#endif
