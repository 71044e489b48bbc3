// SPDX-License-Identifier: GPL-2.0-or-later
/* Reads the root key and checks it against the constant that init sealed. */
#include "root_key.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "crypto.h"
#include "files.h"
#include "log.h"
#include "seal.h"

int root_key_read(const char *dir, struct secret **ret)
{
	struct secret *file = NULL, *root = NULL;
	int rc = file_read(dir, FILE_ROOT_KEY, 1, &file);

	if (rc < 0)
		return rc;
	if (secret_len(file) != CRYPTO_KEY_BYTES + 1) {
		log_error("%s/" FILE_ROOT_KEY ": not a root key: it has %zu bytes, not %d",
			  dir, secret_len(file) - 1, CRYPTO_KEY_BYTES);
		rc = -EINVAL;
		goto out;
	}
	root = secret_new(CRYPTO_KEY_BYTES);
	if (!root) {
		rc = -ENOMEM;
		goto out;
	}
	memcpy(secret_bytes(root), secret_cbytes(file), CRYPTO_KEY_BYTES);
	*ret = root;
out:
	secret_free(file);
	return rc;
}

int root_key_check(const char *dir, const struct secret *root,
		   struct store *s)
{
	struct seal_place place = { SEAL_CHECK, "", "", "", "" };
	struct secret *known = NULL;
	uint8_t *sealed = NULL;
	size_t bytes;
	int rc = store_get_blob(s, "root-check", &sealed, &bytes);

	if (rc == 0)
		rc = seal_open(root, &place, sealed, bytes, &known);
	if (rc == -EBADMSG)
		log_error("%s/" FILE_ROOT_KEY ": not the root key of this database; put the one back that init made",
			  dir);
	secret_free(known);
	free(sealed);
	return rc;
}
