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
 * For what the trail tells: the date of a material that @key has (-ENOENT: it
 * has none of that id), and the end of all its material whose date is @at_ms
 * or before. Inside a transaction; errors otherwise as import_erase()'s.
 */
int import_set_expiry(struct store *s, struct key_row *key,
		      const char *material_id, int64_t expires_ms);
int import_expire_by(struct store *s, struct key_row *key, int64_t at_ms);

/*
 * The reaper's duty: deletes material that has expired, of one key. 0;
 * -ENOENT: there is none; other errors are logged where they happen.
 */
int import_expire_one(struct server *s);

#endif
