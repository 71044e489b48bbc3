// SPDX-License-Identifier: GPL-2.0-or-later
/* GetParametersForImport, whose token is all that the server remembers. */
#include <endian.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "import.h"
#include "metadata.h"
#include "operations.h"
#include "params.h"
#include "resolve.h"
#include "seal.h"

#define VALID_MS (24 * 60 * 60 * INT64_C(1000))
#define HEAD_BYTES 9 /* when it expires, big-endian; the algorithm */

static const char *const algorithms[] = {
	"RSAES_PKCS1_V1_5", "RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256",
	"RSA_AES_KEY_WRAP_SHA_1", "RSA_AES_KEY_WRAP_SHA_256", "SM2PKE", NULL
};

static const char *const specs[] = {
	"RSA_2048", "RSA_3072", "RSA_4096", "SM2", NULL
};

/*
 * Making an RSA key takes a processor for up to seconds, and who may ask for
 * one may ask again and again: never more than one at a time.
 */
static atomic_flag making_key = ATOMIC_FLAG_INIT;

struct parameters {
	const char *algorithm, *spec;
	enum wrap_algorithm wrap;
	unsigned int bits;
	int64_t expires_ms;
};

static struct seal_place place_of(const struct key_row *key)
{
	return (struct seal_place){ SEAL_IMPORT_TOKEN, key->account,
				    key->region, key->key_id, "" };
}

int import_token_open(struct call *c, const struct key_row *key,
		      const struct secret *token, struct import_token *ret)
{
	struct seal_place place = place_of(key);
	struct secret *opened = NULL;
	uint64_t expires;
	int rc = seal_open(c->server->root, &place, secret_cbytes(token),
			   secret_len(token), &opened);

	if (rc == -EBADMSG)
		return call_fail(c, ERR_INVALID_IMPORT_TOKEN, "%s", "");
	if (rc < 0)
		return rc;
	memcpy(&expires, secret_cbytes(opened), sizeof(expires));
	ret->expires_ms = (int64_t)be64toh(expires);
	if (ret->expires_ms <= server_now_ms()) {
		secret_free(opened);
		return call_fail(c, ERR_EXPIRED_IMPORT_TOKEN, "%s", "");
	}
	ret->algorithm = secret_cbytes(opened)[HEAD_BYTES - 1];
	ret->private_der = secret_cbytes(opened) + HEAD_BYTES;
	ret->private_bytes = secret_len(opened) - HEAD_BYTES;
	ret->opened = opened;
	return 0;
}

static int seal_token(struct call *c, const struct key_row *key,
		      const struct parameters *p, const struct secret *der,
		      uint8_t **ret, size_t *bytes_ret)
{
	struct secret *plain = secret_new(HEAD_BYTES + secret_len(der));
	struct seal_place place = place_of(key);
	uint64_t expires = htobe64((uint64_t)p->expires_ms);
	int rc;

	if (!plain)
		return -ENOMEM;
	memcpy(secret_bytes(plain), &expires, sizeof(expires));
	secret_bytes(plain)[HEAD_BYTES - 1] = (uint8_t)p->wrap;
	memcpy(secret_bytes(plain) + HEAD_BYTES, secret_cbytes(der),
	       secret_len(der));
	rc = seal_close(c->server->root, &place, plain, ret, bytes_ret);
	secret_free(plain);
	return rc;
}

static void read_parameters(struct call *c, struct parameters *p)
{
	size_t i;

	p->algorithm = param_enum(c, "WrappingAlgorithm", algorithms);
	p->spec = param_enum(c, "WrappingKeySpec", specs);
	if (!param_given(c, "WrappingAlgorithm"))
		param_missing(c, "WrappingAlgorithm");
	if (!param_given(c, "WrappingKeySpec"))
		param_missing(c, "WrappingKeySpec");
	for (i = 0; p->algorithm && algorithms[i]; i++)
		if (strcmp(algorithms[i], p->algorithm) == 0)
			p->wrap = (enum wrap_algorithm)i;
	if (p->spec)
		p->bits = (unsigned int)atoi(p->spec + strlen("RSA_"));
	p->expires_ms = server_now_ms() + VALID_MS;
}

static int check_parameters(struct call *c, const struct parameters *p)
{
	if (strcmp(p->algorithm, algorithms[0]) == 0 ||
	    strcmp(p->algorithm, "SM2PKE") == 0)
		return call_fail(c, ERR_UNSUPPORTED,
				 "The wrapping algorithm %s is not supported.",
				 p->algorithm);
	if (strcmp(p->spec, "SM2") == 0)
		return call_fail(c, ERR_UNSUPPORTED,
				 "The wrapping key spec %s is not supported.",
				 p->spec);
	return 0;
}

static json_t *base64_json(const uint8_t *data, size_t bytes)
{
	char *text = malloc(BASE64_TEXT_BYTES(bytes) + 1);
	json_t *json;

	if (!text)
		return NULL;
	base64_encode(data, bytes, text);
	json = json_string(text);
	free(text);
	return json;
}

static int new_key(struct call *c, unsigned int bits, struct secret **der_ret,
		   uint8_t **public_ret, size_t *bytes_ret)
{
	int rc;

	if (atomic_flag_test_and_set(&making_key))
		return call_fail(c, ERR_THROTTLING, "Rate exceeded");
	rc = wrap_new_key(bits, der_ret, public_ret, bytes_ret);
	atomic_flag_clear(&making_key);
	return rc;
}

static int answer_parameters(struct call *c, const struct key_row *key,
			     const struct parameters *p)
{
	struct secret *der = NULL;
	uint8_t *public = NULL, *token = NULL;
	size_t public_bytes = 0, token_bytes = 0;
	char arn[CALL_ARN_BYTES];
	int rc = new_key(c, p->bits, &der, &public, &public_bytes);

	if (rc == 0)
		rc = seal_token(c, key, p, der, &token, &token_bytes);
	if (rc == 0) {
		call_key_arn(key, arn);
		c->answer = json_pack("{s:s, s:o, s:o, s:o}", "KeyId", arn,
				      "ImportToken",
				      base64_json(token, token_bytes),
				      "PublicKey",
				      base64_json(public, public_bytes),
				      "ParametersValidTo",
				      metadata_seconds(p->expires_ms));
		rc = c->answer ? 0 : -ENOMEM;
	}
	secret_free(der);
	free(public);
	free(token);
	return rc;
}

int require_external(struct call *c, const struct key_row *key)
{
	char arn[CALL_ARN_BYTES];

	if (strcmp(key->origin, "EXTERNAL") == 0)
		return 0;
	call_key_arn(key, arn);
	return call_fail(c, ERR_UNSUPPORTED,
			 "%s origin is %s which is not valid for this operation.",
			 arn, key->origin);
}

int op_get_parameters_for_import(struct call *c)
{
	struct facts f = { .action = "kms:GetParametersForImport" };
	struct key_row key = { .description = NULL };
	struct parameters p = { .algorithm = NULL };
	int rc;

	read_parameters(c, &p);
	rc = resolve_named(c, RESOLVE_KEY_ONLY, &f, &key);
	if (rc == 0)
		rc = require_external(c, &key);
	if (rc == 0)
		rc = require_state(c, &key, STATE_PENDING_DELETION |
				   STATE_CREATING | STATE_UPDATING |
				   STATE_UNAVAILABLE);
	if (rc == 0)
		rc = check_parameters(c, &p);
	/* To make an RSA key takes seconds, and all is read. */
	store_read_end(c->server->store);
	if (rc == 0)
		rc = answer_parameters(c, &key, &p);
	key_row_free(&key);
	return rc;
}
