// SPDX-License-Identifier: GPL-2.0-or-later
/* Seals and opens session tokens. */
#include "session.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "access_key.h"
#include "base64.h"
#include "seal.h"

#define VERSION 2
#define HEAD_BYTES (1 + 8 + 8 + SECRET_KEY_CHARS)
#define TEXTS 7
#define TOKEN_CHARS_MAX 8192

struct field {
	char *text;
	size_t bytes; /* with its NUL */
};

static void fields_of(struct session *s, struct field ret[static TEXTS])
{
	const struct field fields[TEXTS] = {
		{ s->account, sizeof(s->account) },
		{ s->role, sizeof(s->role) },
		{ s->role_id, sizeof(s->role_id) },
		{ s->name, sizeof(s->name) },
		{ s->policy, sizeof(s->policy) },
		{ s->began_by, sizeof(s->began_by) },
		{ s->chain, sizeof(s->chain) },
	};

	memcpy(ret, fields, sizeof(fields));
}

static struct secret *pack(struct session *s, const struct secret *key)
{
	uint64_t issued = htobe64((uint64_t)s->issued_seconds);
	uint64_t expiry = htobe64((uint64_t)s->expiry_seconds);
	struct field fields[TEXTS];
	struct secret *plain;
	size_t bytes = HEAD_BYTES, i;
	uint8_t *p;

	fields_of(s, fields);
	for (i = 0; i < TEXTS; i++)
		bytes += strlen(fields[i].text) + 1;
	plain = secret_new(bytes);
	if (!plain)
		return NULL;
	p = secret_bytes(plain);
	*p++ = VERSION;
	memcpy(p, &issued, 8);
	memcpy(p + 8, &expiry, 8);
	memcpy(p + 16, secret_cbytes(key), SECRET_KEY_CHARS);
	p += 16 + SECRET_KEY_CHARS;
	for (i = 0; i < TEXTS; i++) {
		size_t n = strlen(fields[i].text) + 1;

		memcpy(p, fields[i].text, n);
		p += n;
	}
	return plain;
}

int session_seal(const struct secret *root, const struct session *s,
		 const char *access_key_id, const struct secret *secret_key,
		 char **ret)
{
	struct seal_place place = { SEAL_SESSION, "", "", access_key_id, "" };
	struct session copy = *s;
	struct secret *plain = pack(&copy, secret_key);
	uint8_t *sealed = NULL;
	char *text = NULL;
	size_t bytes;
	int rc = plain ? seal_close(root, &place, plain, &sealed, &bytes) :
			 -ENOMEM;

	if (rc == 0) {
		text = malloc(BASE64_TEXT_BYTES(bytes) + 1);
		rc = text ? 0 : -ENOMEM;
	}
	if (rc == 0) {
		base64_encode(sealed, bytes, text);
		*ret = text;
	}
	free(sealed);
	secret_free(plain);
	return rc;
}

/* What was sealed is ours, but maybe of another version. */
static int unpack(const struct secret *plain, struct session *ret,
		  struct secret **key_ret)
{
	const uint8_t *p = secret_cbytes(plain);
	const uint8_t *end = p + secret_len(plain);
	struct field fields[TEXTS];
	uint64_t issued, expiry;
	size_t i;

	if (secret_len(plain) < HEAD_BYTES || *p++ != VERSION)
		return -EBADMSG;
	memcpy(&issued, p, 8);
	memcpy(&expiry, p + 8, 8);
	ret->issued_seconds = (int64_t)be64toh(issued);
	ret->expiry_seconds = (int64_t)be64toh(expiry);
	fields_of(ret, fields);
	for (i = 0, p += 16 + SECRET_KEY_CHARS; i < TEXTS; i++) {
		const uint8_t *nul = memchr(p, 0, (size_t)(end - p));
		size_t n = nul ? (size_t)(nul - p) + 1 : 0;

		if (!n || n > fields[i].bytes)
			return -EBADMSG;
		memcpy(fields[i].text, p, n);
		p += n;
	}
	*key_ret = secret_new(SECRET_KEY_CHARS);
	if (!*key_ret)
		return -ENOMEM;
	memcpy(secret_bytes(*key_ret), secret_cbytes(plain) + 17,
	       SECRET_KEY_CHARS);
	return 0;
}

int session_open(const struct secret *root, const char *access_key_id,
		 const char *token, struct session *ret,
		 struct secret **key_ret)
{
	struct seal_place place = { SEAL_SESSION, "", "", access_key_id, "" };
	size_t chars = strlen(token);
	uint8_t *sealed = NULL;
	struct secret *plain = NULL;
	long bytes;
	int rc = -EBADMSG;

	if (!chars || chars > TOKEN_CHARS_MAX)
		return rc;
	sealed = malloc(chars / 4 * 3 + 3);
	if (!sealed)
		return -ENOMEM;
	bytes = base64_decode(token, chars, sealed);
	if (bytes > 0)
		rc = seal_open(root, &place, sealed, (size_t)bytes, &plain);
	if (rc == 0)
		rc = unpack(plain, ret, key_ret);
	secret_free(plain);
	free(sealed);
	return rc;
}
