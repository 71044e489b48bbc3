/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Recovery keys: 256 random bits on paper that open a volume without a KMS.
 *
 * As people write them down: 13 groups of five characters, of the alphabet
 * 0123456789ABCDEFGHJKMNPQRSTVWXYZ, with - between them. Small letters are
 * taken as large ones, O as 0, I and L as 1; blanks and - between groups do not
 * count. The first four characters of a group are 20 bits of the key, first
 * ones first (the last four of all are zero), the fifth one is their check:
 * with digits as elements of GF(32), x^5 + x^2 + 1, and a = x,
 *
 *	check = N a^5 + d1 a^4 + d2 a^3 + d3 a^2 + d4 a	(N: 1 to 13)
 *
 * so one wrong character, two that were swapped, and groups in each other's
 * place are found, and which group it is.
 */
#ifndef ENVELOPE_RECOVERY_H
#define ENVELOPE_RECOVERY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "secret.h"

#define RECOVERY_PROVIDER "recovery"
#define RECOVERY_KEY_BYTES 32
#define RECOVERY_GROUPS 13
#define RECOVERY_GROUP_CHARS 5
#define RECOVERY_TEXT_CHARS 78		/* with the NUL */
#define RECOVERY_ID_CHARS 26		/* "recovery:", 16 digits, NUL */
#define RECOVERY_WRAPPED_BYTES 92	/* nonce 12, DEK 64, tag 16 */

/* A new key, of RECOVERY_KEY_BYTES. -EIO, -ENOMEM. Prints nothing, as all. */
int recovery_new(struct secret **ret);

/* As people write it down, with a NUL. -ENOMEM. */
int recovery_print(const struct secret *key, struct secret **ret);

/*
 * The way back from @chars characters at @text. -EBADMSG: bit N - 1 of
 * *@wrong_ret is set if group N has a typing error; none is, if there are more
 * or fewer than 13 groups of five. -ENOMEM.
 */
int recovery_parse(const char *text, size_t chars, struct secret **ret,
		   unsigned int *wrong_ret);

/*
 * The key id that its slot has: "recovery:" and the first 8 bytes of
 * SHA-256("envelope recovery v1" || key) in hexadecimal. -ENOMEM.
 */
int recovery_id(const struct secret *key, char ret[RECOVERY_ID_CHARS]);

bool recovery_id_valid(const char *text);

/*
 * @dek under @key: AES-256-GCM, with the canonical form (context.h) of
 * @context, the whole one, as additional data. -EINVAL (sizes), -EIO, -ENOMEM.
 */
int recovery_wrap(const struct secret *key, const json_t *context,
		  const struct secret *dek,
		  uint8_t ret[RECOVERY_WRAPPED_BYTES]);

/* -EBADMSG: not wrapped by that key, or for another context. */
int recovery_unwrap(const struct secret *key, const json_t *context,
		    const uint8_t *wrapped, size_t wrapped_bytes,
		    struct secret **dek_ret);

#endif
