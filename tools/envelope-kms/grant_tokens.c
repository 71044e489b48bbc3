// SPDX-License-Identifier: GPL-2.0-or-later
/* Makes and opens grant tokens. */
#include "grant_tokens.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "seal.h"

/* What is sealed: key id and grant id, without a NUL. */
#define NAME_BYTES (KEY_ID_BYTES - 1 + GRANT_ID_BYTES - 1)

static struct seal_place place_of(const struct call *c)
{
	struct seal_place place = { SEAL_GRANT_TOKEN, "", c->who.region,
				    "", "" };

	return place;
}

int grant_token_make(struct call *c, const struct grant_row *g,
		     char ret[static GRANT_TOKEN_BYTES])
{
	struct seal_place place = place_of(c);
	struct secret *name = secret_new(NAME_BYTES);
	uint8_t *sealed = NULL;
	size_t bytes;
	int rc = -ENOMEM;

	if (!name)
		return rc;
	memcpy(secret_bytes(name), g->key_id, KEY_ID_BYTES - 1);
	memcpy(secret_bytes(name) + KEY_ID_BYTES - 1, g->grant_id,
	       GRANT_ID_BYTES - 1);
	rc = seal_close(c->server->root, &place, name, &sealed, &bytes);
	if (rc == 0 && BASE64_TEXT_BYTES(bytes) >= GRANT_TOKEN_BYTES)
		rc = -EIO;
	if (rc == 0)
		base64_encode(sealed, bytes, ret);
	secret_free(name);
	free(sealed);
	return rc;
}

/* The ids in @token. -EBADMSG: it has none. */
static int open_token(struct call *c, const char *token,
		      char key_id[static KEY_ID_BYTES],
		      char grant_id[static GRANT_ID_BYTES])
{
	struct seal_place place = place_of(c);
	uint8_t sealed[GRANT_TOKEN_BYTES];
	struct secret *name = NULL;
	long bytes = -1;
	int rc;

	if (strlen(token) < GRANT_TOKEN_BYTES)
		bytes = base64_decode(token, strlen(token), sealed);
	if (bytes < 0)
		return -EBADMSG;
	rc = seal_open(c->server->root, &place, sealed, (size_t)bytes, &name);
	if (rc < 0)
		return rc;
	if (secret_len(name) == NAME_BYTES) {
		memcpy(key_id, secret_cbytes(name), KEY_ID_BYTES - 1);
		memcpy(grant_id, secret_cbytes(name) + KEY_ID_BYTES - 1,
		       GRANT_ID_BYTES - 1);
	} else {
		rc = -EBADMSG;
	}
	secret_free(name);
	return rc;
}

int grant_token_open(struct call *c, const char *token,
		     struct grant_row *ret)
{
	char key_id[KEY_ID_BYTES] = "", grant_id[GRANT_ID_BYTES] = "";
	int rc = open_token(c, token, key_id, grant_id);

	if (rc == 0)
		rc = store_grant_get(c->server->store, c->who.region,
				     key_id, grant_id, ret);
	if (rc == -EBADMSG || rc == -ENOENT)
		rc = call_fail(c, ERR_INVALID_GRANT_TOKEN, "%s", "");
	return rc;
}

int grant_tokens_check(struct call *c)
{
	const json_t *tokens = json_object_get(c->params, "GrantTokens");
	struct grant_row grant;
	json_t *token;
	size_t i;
	int rc;

	json_array_foreach(tokens, i, token) {
		rc = grant_token_open(c, json_string_value(token), &grant);
		if (rc < 0)
			return rc;
		grant_row_free(&grant);
	}
	return 0;
}
