// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What comes back to the server in base64 after it sealed it, or somebody
 * wrapped it for the server. The first byte says what the rest is:
 *
 *   b  a ciphertext blob, whose digest is made right first
 *   t  the token of a session
 *   p  what is inside of such a token
 *   w  wrapped material, behind a byte for the algorithm
 *   6  base64
 *
 * Whatever comes, only what was made with the key opens.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "access_key.h"
#include "base64.h"
#include "blob.h"
#include "seal.h"
#include "session.h"
#include "wrap.h"

#define DIGEST_AT 106
#define DIGEST_BYTES 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static struct secret *new_key(void)
{
	struct secret *key = secret_new(CRYPTO_KEY_BYTES);

	if (!key || crypto_random(secret_bytes(key), CRYPTO_KEY_BYTES) < 0)
		abort();
	return key;
}

static void open_blob(const uint8_t *data, size_t bytes)
{
	struct context context = { .data = NULL };
	uint8_t digest[CRYPTO_SHA256_BYTES];
	struct secret *key, *plain = NULL;
	uint8_t *copy = malloc(bytes + 1);
	struct blob_key named;

	if (!copy)
		abort();
	memcpy(copy, data, bytes);
	if (bytes >= BLOB_HEADER_BYTES) {
		crypto_sha256(copy, DIGEST_AT, digest);
		memcpy(copy + DIGEST_AT, digest, DIGEST_BYTES);
	}
	if (blob_read_key(copy, bytes, &named) == 0) {
		key = new_key();
		if (context_encode(NULL, &context) < 0 ||
		    strlen(named.key_id) > BLOB_KEY_ID_BYTES ||
		    blob_open(key, &context, copy, bytes, &plain) == 0)
			abort();
		context_free(&context);
		secret_free(key);
	}
	free(copy);
}

static void open_token(const uint8_t *data, size_t bytes)
{
	struct secret *root = new_key(), *key = NULL;
	struct session session = { .name = "" };
	char *token = calloc(1, bytes + 1);

	if (!token)
		abort();
	memcpy(token, data, bytes);
	if (session_open(root, "ASIAEXAMPLE", token, &session, &key) == 0)
		abort();
	free(token);
	secret_free(root);
}

/* Only this server can have sealed it, but maybe another version. */
static void open_session(const uint8_t *data, size_t bytes)
{
	struct seal_place place = { SEAL_SESSION, "", "", "ASIAEXAMPLE", "" };
	struct secret *root = new_key(), *plain = secret_new(bytes);
	struct session session = { .name = "" };
	struct secret *key = NULL;
	uint8_t *sealed = NULL;
	size_t sealed_bytes;
	char *token;

	if (!plain)
		abort();
	memcpy(secret_bytes(plain), data, bytes);
	if (seal_close(root, &place, plain, &sealed, &sealed_bytes) < 0)
		abort();
	token = malloc(BASE64_TEXT_BYTES(sealed_bytes) + 1);
	if (!token)
		abort();
	base64_encode(sealed, sealed_bytes, token);
	if (session_open(root, "ASIAEXAMPLE", token, &session, &key) == 0 &&
	    (strlen(session.policy) >= sizeof(session.policy) ||
	     secret_len(key) != SECRET_KEY_CHARS))
		abort();
	secret_free(key);
	free(token);
	free(sealed);
	secret_free(plain);
	secret_free(root);
}

static void unwrap(const uint8_t *data, size_t bytes)
{
	static struct secret *der;
	struct secret *plain = NULL;
	uint8_t *public = NULL;
	size_t public_bytes;

	/* One key for all: to make it takes longer than a thousand inputs. */
	if (!der && wrap_new_key(2048, &der, &public, &public_bytes) < 0)
		abort();
	free(public);
	wrap_open(secret_cbytes(der), secret_len(der),
		  (enum wrap_algorithm)data[0], data + 1, bytes - 1, &plain);
	secret_free(plain);
}

/* Strict: what decodes is what encodes to the same text. */
static void decode(const uint8_t *data, size_t bytes)
{
	uint8_t *raw = malloc(bytes / 4 * 3 + 1);
	char *again;
	long n;

	if (!raw)
		abort();
	n = base64_decode((const char *)data, bytes, raw);
	if (n >= 0) {
		again = malloc(BASE64_TEXT_BYTES((size_t)n) + 1);
		if (!again)
			abort();
		base64_encode(raw, (size_t)n, again);
		if (strlen(again) != bytes || memcmp(again, data, bytes) != 0)
			abort();
		free(again);
	}
	free(raw);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	if (bytes < 2)
		return 0;
	switch (data[0]) {
	case 'b':
		open_blob(data + 1, bytes - 1);
		break;
	case 't':
		open_token(data + 1, bytes - 1);
		break;
	case 'p':
		open_session(data + 1, bytes - 1);
		break;
	case 'w':
		unwrap(data + 1, bytes - 1);
		break;
	case '6':
		decode(data + 1, bytes - 1);
		break;
	}
	return 0;
}
