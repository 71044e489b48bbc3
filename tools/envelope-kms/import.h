/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keys whose material comes from outside, and can go again. */
#ifndef KMS_IMPORT_H
#define KMS_IMPORT_H

#include "call.h"
#include "wrap.h"

#define IMPORT_BLOB_MAX 6144

/* What an import token says; the private key is in it. */
struct import_token {
	enum wrap_algorithm algorithm;
	int64_t expires_ms;
	const uint8_t *private_der; /* inside opened */
	size_t private_bytes;
	struct secret *opened;      /* to secret_free() */
};

/*
 * Opens @token, which belongs to @key alone. 0; call_fail()'s
 * InvalidImportTokenException or ExpiredImportTokenException; -ENOMEM; -EIO.
 */
int import_token_open(struct call *c, const struct key_row *key,
		      const struct secret *token, struct import_token *ret);

/* 0 for a key of origin EXTERNAL, else UnsupportedOperationException. */
int require_external(struct call *c, const struct key_row *key);

/* Is material missing that @key once had? 1; 0; -ENOMEM; -EIO. */
int import_missing(struct store *s, const struct key_row *key);

/*
 * Deletes a material, inside a transaction; its row stays, unless no
 * ciphertext can have named it yet: @pending. The key's state follows.
 * -ENOMEM; -EIO; -ENOSPC; an errno of the file.
 */
int import_erase(struct store *s, struct key_row *key,
		 const char *material_id, bool pending);

/*
 * The reaper's duty: deletes material that has expired, of one key. 0;
 * -ENOENT: there is none; other errors are logged where they happen.
 */
int import_expire_one(struct server *s);

#endif
