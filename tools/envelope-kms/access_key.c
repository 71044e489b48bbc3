// SPDX-License-Identifier: GPL-2.0-or-later
/* Makes the ids and secrets of identities. */
#include "access_key.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "crypto.h"
#include "seal.h"

#define ID_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

/*
 * @count characters of @alphabet, whose length divides 256 so that each is
 * equally likely.
 */
static int random_text(const char *alphabet, char *ret, size_t count)
{
	size_t n = strlen(alphabet), i;
	int rc = crypto_random(ret, count);

	for (i = 0; rc == 0 && i < count; i++)
		ret[i] = alphabet[(unsigned char)ret[i] % n];
	return rc;
}

int unique_id(const char *prefix, char ret[static UNIQUE_ID_BYTES])
{
	memcpy(ret, prefix, 4);
	ret[UNIQUE_ID_BYTES - 1] = '\0';
	return random_text(ID_CHARS, ret + 4, UNIQUE_ID_BYTES - 5);
}

int secret_key_new(struct secret **ret)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"abcdefghijklmnopqrstuvwxyz0123456789+/";
	struct secret *key = secret_new(SECRET_KEY_CHARS);
	int rc = -ENOMEM;

	if (key)
		rc = random_text(alphabet, (char *)secret_bytes(key),
				 SECRET_KEY_CHARS);
	if (rc < 0) {
		secret_free(key);
		return rc;
	}
	*ret = key;
	return 0;
}

int access_key_create(struct store *s, const struct secret *root,
		      const struct user_row *user, int64_t now_ms,
		      char id_ret[static UNIQUE_ID_BYTES],
		      struct secret **ret)
{
	char id[UNIQUE_ID_BYTES];
	struct seal_place place = { SEAL_ACCESS_KEY, user->account, "", id,
				    user->name };
	struct secret *key = NULL;
	uint8_t *sealed = NULL;
	size_t bytes;
	int rc = unique_id("AKIA", id);

	if (rc == 0)
		rc = secret_key_new(&key);
	if (rc == 0)
		rc = seal_close(root, &place, key, &sealed, &bytes);
	if (rc == 0)
		rc = store_access_key_add(s, user, id, sealed, bytes, now_ms);
	free(sealed);
	if (rc < 0) {
		secret_free(key);
		return rc;
	}
	memcpy(id_ret, id, sizeof(id));
	*ret = key;
	return 0;
}
