/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the operations that use key material have in common. */
#ifndef KMS_CIPHER_H
#define KMS_CIPHER_H

#include "call.h"
#include "context.h"
#include "material.h"
#include "params.h"

/*
 * Reads the parameter @name and puts the default in its place if it is
 * absent, so that the trail shows it. NULL: wrong.
 */
const char *cipher_algorithm(struct call *c, const char *name);

/* 0; call_fail()'s InvalidKeyUsageException: not one of a symmetric key. */
int cipher_check_algorithm(struct call *c, const char *algorithm,
			   const struct key_row *key);

/* call_fail()'s DryRunOperationException. */
int cipher_dry_run(struct call *c);

/*
 * Encrypts @plaintext under the current material of @key and sets
 * CiphertextBlob in the call's answer. 0; -ENOMEM; -EIO.
 */
int cipher_encrypt(struct call *c, const struct key_row *key,
		   const struct context *context,
		   const struct secret *plaintext);

#endif
