/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Signing keys of users, kept for the next request of the same day. To open a
 * sealed secret key and to derive from it takes longer than the rest of the
 * signature.
 *
 * A kept key is found by a digest of all that it is made of: the row as it
 * stands in the database now, its place, and the scope. So a row that is
 * changed, moved or gone is never answered for from here.
 */
#ifndef KMS_SIGNING_KEYS_H
#define KMS_SIGNING_KEYS_H

#include "seal.h"
#include "sigv4.h"

struct signing_keys;

/* 0; -ENOMEM. NULL is accepted by signing_keys_free(). */
int signing_keys_new(struct signing_keys **ret);
void signing_keys_free(struct signing_keys *k);

/* The secret key of an access key, as the database has it. */
struct sealed_key {
	struct seal_place place;
	const uint8_t *data;
	size_t bytes;
};

/*
 * The key that signs within the scope of @claim, a secret for the caller. 0;
 * seal_open()'s errors. Any thread.
 */
int signing_key_get(struct signing_keys *k, const struct secret *root,
		    const struct sealed_key *sealed,
		    const struct sigv4_claim *claim, struct secret **ret);

#endif
