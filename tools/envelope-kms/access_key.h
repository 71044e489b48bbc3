/* SPDX-License-Identifier: GPL-2.0-or-later */
/* New ids and secret keys, as AWS shapes them. */
#ifndef KMS_ACCESS_KEY_H
#define KMS_ACCESS_KEY_H

#include "secret.h"
#include "store.h"

#define SECRET_KEY_CHARS 40
#define UNIQUE_ID_BYTES 21 /* AKIA, AIDA, AROA or ASIA, 16 more, NUL */

/* @prefix, of four letters, and 16 random ones. 0; -EIO. */
int unique_id(const char *prefix, char ret[static UNIQUE_ID_BYTES]);

/* SECRET_KEY_CHARS of random text, no NUL, in *@ret. 0; -ENOMEM; -EIO. */
int secret_key_new(struct secret **ret);

/*
 * A new access key of @user: its row is added to the store, sealed under
 * @root; *@ret is the caller's. 0; -ENOMEM; -EIO; -ENOSPC.
 */
int access_key_create(struct store *s, const struct secret *root,
		      const struct user_row *user, int64_t now_ms,
		      char id_ret[static UNIQUE_ID_BYTES],
		      struct secret **ret);

#endif
