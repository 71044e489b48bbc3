/* SPDX-License-Identifier: GPL-2.0-or-later */
/* RSA keys under which key material travels into the server. */
#ifndef KMS_WRAP_H
#define KMS_WRAP_H

#include <stddef.h>
#include <stdint.h>

#include "secret.h"

/* The numbers stand in import tokens. */
enum wrap_algorithm {
	WRAP_OAEP_SHA_1 = 1,
	WRAP_OAEP_SHA_256 = 2,
	WRAP_AES_SHA_1 = 3,    /* RSA-OAEP of an AES-256 key, then AES-KWP */
	WRAP_AES_SHA_256 = 4,
};

/*
 * A new RSA key of @bits: the private one as DER, a secret for the caller, and
 * the public one as DER SubjectPublicKeyInfo to free(3). Takes seconds. 0;
 * -ENOMEM; -EIO.
 */
int wrap_new_key(unsigned int bits, struct secret **private_ret,
		 uint8_t **public_ret, size_t *public_bytes_ret);

/*
 * What @wrapped holds, a secret for the caller. 0; -EBADMSG, whatever is wrong
 * with it; -ENOMEM; -EIO.
 */
int wrap_open(const uint8_t *private_der, size_t private_bytes,
	      enum wrap_algorithm algorithm, const uint8_t *wrapped,
	      size_t bytes, struct secret **ret);

#endif
