/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The key that signs digests of the audit trail: RSA of 2048 bits, PKCS #1
 * v1.5 over SHA-256, as CloudTrail has it.
 */
#ifndef KMS_AUDIT_SIGN_H
#define KMS_AUDIT_SIGN_H

#include <stddef.h>

#include "crypto.h"

#define AUDIT_SIGNATURE_HEX (2 * 256 + 1)
#define AUDIT_HASH_HEX (2 * CRYPTO_SHA256_BYTES + 1)

struct audit_key;

/*
 * The private key in @dir, made with its public half beside it where there is
 * none. 0; -errno with a message printed. audit_key_free() accepts NULL.
 */
int audit_key_open(const char *dir, struct audit_key **ret);
void audit_key_free(struct audit_key *key);

/* A public key from a PEM file. 0; -errno with a message printed. */
int audit_key_read_public(const char *path, struct audit_key **ret);

/* Hex SHA-256 of the public key as PKCS #1 in DER. */
int audit_key_fingerprint(const struct audit_key *key,
			  char ret[static AUDIT_HASH_HEX]);

/* 0; -EIO. */
int audit_key_sign(const struct audit_key *key, const char *text,
		   char ret[static AUDIT_SIGNATURE_HEX]);

/* 0; -EBADMSG: not of this key over this text. */
int audit_key_verify(const struct audit_key *key, const char *text,
		     const char *signature_hex);

#endif
