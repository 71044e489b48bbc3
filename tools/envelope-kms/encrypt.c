// SPDX-License-Identifier: GPL-2.0-or-later
/* Encrypt, Decrypt and ReEncrypt. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "authz.h"
#include "cipher.h"
#include "grant_tokens.h"
#include "operations.h"
#include "resolve.h"

/* The parts of a request that names a ciphertext. */
struct source {
	struct facts facts;
	const char *key_id;       /* NULL: whatever the blob says */
	const char *algorithm;
	struct secret *blob;
	struct context context;
	struct key_row key;       /* set by find_source() */
	char material_id[MATERIAL_ID_BYTES];
};

static void source_free(struct source *s)
{
	secret_free(s->blob);
	facts_free(&s->facts);
	context_free(&s->context);
	key_row_free(&s->key);
}

static int read_source(struct call *c, struct source *s, const char *key_name,
		       const char *context_name, const char *algorithm_name)
{
	s->blob = param_blob(c, "CiphertextBlob", BLOB_MAX_BYTES);
	s->key_id = param_string(c, key_name, PARAM_OPTIONAL, 1,
				 PARAM_KEY_ID_MAX);
	s->algorithm = cipher_algorithm(c, algorithm_name);
	facts_read(c, context_name, &s->facts);
	return param_context(c, context_name, &s->context);
}

/*
 * The key of the ciphertext: named by the request, and then the blob must
 * agree, or by the blob alone. Never found by trial.
 */
static int find_source(struct call *c, struct source *s)
{
	struct blob_key blob_key;
	int rc;

	if (s->key_id) {
		rc = resolve_key(c, s->key_id, RESOLVE_ALIAS_TOO, &s->facts,
				 &s->key);
		if (rc < 0)
			return rc;
	}
	rc = blob_read_key(secret_cbytes(s->blob), secret_len(s->blob),
			   &blob_key);
	if (rc < 0)
		return call_fail(c, ERR_INVALID_CIPHERTEXT, "%s", "");
	if (!s->key_id)
		rc = resolve_blob_key(c, blob_key.key_id, &s->facts,
				      &s->key);
	else if (strcmp(s->key.key_id, blob_key.key_id) != 0)
		rc = call_fail(c, ERR_INCORRECT_KEY,
			       "The key ID in the request does not identify a CMK that can perform this operation.");
	if (rc < 0)
		return rc;
	crypto_hex(blob_key.material_id, sizeof(blob_key.material_id),
		   s->material_id);
	return cipher_check_algorithm(c, s->algorithm, &s->key);
}

/* Wrong context, tampering, material of another key: all one answer. */
static int open_source(struct call *c, struct source *s, struct secret **ret)
{
	struct secret *material = NULL;
	int rc;

	rc = material_get(c->server->store, c->server->root, &s->key,
			  s->material_id, &material);
	if (rc == 0)
		rc = blob_open(material, &s->context, secret_cbytes(s->blob),
			       secret_len(s->blob), ret);
	secret_free(material);
	if (rc == -ENOENT || rc == -EBADMSG)
		rc = call_fail(c, ERR_INVALID_CIPHERTEXT, "%s", "");
	return rc;
}

static int answer_encrypted(struct call *c, const struct key_row *key,
			    const char *algorithm)
{
	char arn[CALL_ARN_BYTES];

	call_key_arn(key, arn);
	c->answer = json_pack("{s:s, s:s}", "KeyId", arn,
			      "EncryptionAlgorithm", algorithm);
	return c->answer ? 0 : -ENOMEM;
}

int op_encrypt(struct call *c)
{
	struct facts f = { .action = "kms:Encrypt" };
	struct key_row key = { .description = NULL };
	struct context context = { .data = NULL };
	const char *id = param_string(c, "KeyId", PARAM_REQUIRED, 1,
				      PARAM_KEY_ID_MAX);
	const char *algorithm = cipher_algorithm(c, "EncryptionAlgorithm");
	struct secret *plaintext = param_blob(c, "Plaintext",
					      PARAM_PLAINTEXT_MAX);
	bool dry_run = param_bool(c, "DryRun");
	int rc = param_context(c, "EncryptionContext", &context);

	param_grant_tokens(c);
	facts_read(c, "EncryptionContext", &f);
	if (rc == 0)
		rc = params_check(c);
	if (rc == 0)
		rc = grant_tokens_check(c);
	if (rc == 0)
		rc = resolve_key(c, id, RESOLVE_ALIAS_TOO, &f, &key);
	if (rc == 0)
		rc = cipher_check_algorithm(c, algorithm, &key);
	if (rc == 0)
		rc = require_state(c, &key, STATES_UNUSABLE);
	if (rc == 0 && dry_run)
		rc = cipher_dry_run(c);
	if (rc == 0)
		rc = answer_encrypted(c, &key, algorithm);
	if (rc == 0)
		rc = cipher_encrypt(c, &key, &context, plaintext);
	secret_free(plaintext);
	facts_free(&f);
	context_free(&context);
	key_row_free(&key);
	return rc;
}

/* Members of Decrypt that would change its meaning if they were ignored. */
static int refuse_unoffered(struct call *c)
{
	if (param_given(c, "Recipient"))
		return call_fail(c, ERR_UNSUPPORTED,
				 "This server does not offer attested recipients.");
	if (param_given(c, "DryRunModifiers"))
		return call_fail(c, ERR_UNSUPPORTED,
				 "This server does not offer DryRunModifiers.");
	return 0;
}

static int answer_decrypted(struct call *c, const struct source *s)
{
	char arn[CALL_ARN_BYTES];

	call_key_arn(&s->key, arn);
	c->answer = json_object();
	if (call_put(c->answer, "KeyId", arn) < 0 ||
	    call_put(c->answer, "EncryptionAlgorithm", s->algorithm) < 0 ||
	    call_put(c->answer, "KeyMaterialId", s->material_id) < 0)
		return -ENOMEM;
	return 0;
}

int op_decrypt(struct call *c)
{
	struct source s = { .facts = { .action = "kms:Decrypt" } };
	struct secret *plaintext = NULL;
	int rc = read_source(c, &s, "KeyId", "EncryptionContext",
			     "EncryptionAlgorithm");
	bool dry_run = param_bool(c, "DryRun");

	param_grant_tokens(c);
	if (rc == 0)
		rc = params_check(c);
	if (rc == 0)
		rc = refuse_unoffered(c);
	if (rc == 0)
		rc = grant_tokens_check(c);
	if (rc == 0)
		rc = find_source(c, &s);
	if (rc == 0)
		rc = require_state(c, &s.key, STATES_UNUSABLE);
	if (rc == 0)
		rc = open_source(c, &s, &plaintext);
	/* Only now: "would have succeeded" includes the ciphertext. */
	if (rc == 0 && dry_run)
		rc = cipher_dry_run(c);
	if (rc == 0)
		rc = answer_decrypted(c, &s);
	if (rc == 0) {
		c->plaintext = plaintext;
		plaintext = NULL;
	}
	secret_free(plaintext);
	source_free(&s);
	return rc;
}

static int answer_reencrypted(struct call *c, const struct source *s,
			      const struct key_row *key,
			      const char *algorithm)
{
	char from[CALL_ARN_BYTES], to[CALL_ARN_BYTES];

	call_key_arn(&s->key, from);
	call_key_arn(key, to);
	c->answer = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}",
			      "SourceKeyId", from, "KeyId", to,
			      "SourceEncryptionAlgorithm", s->algorithm,
			      "DestinationEncryptionAlgorithm", algorithm,
			      "SourceKeyMaterialId", s->material_id,
			      "DestinationKeyMaterialId", key->material_id);
	return c->answer ? 0 : -ENOMEM;
}

/* Where ReEncrypt goes to. */
struct destination {
	struct facts facts;
	const char *key_id, *algorithm;
	struct context context;
	struct key_row key;
};

/* kms:ReEncryptOnSameKey, of both sides, before either is asked for. */
static int note_same_key(struct call *c, struct source *s,
			 struct destination *d, bool *ret)
{
	static const char name[] = "kms:ReEncryptOnSameKey";
	struct blob_key from;
	int rc, same;

	/* find_source() refuses what is no blob */
	if (blob_read_key(secret_cbytes(s->blob), secret_len(s->blob),
			  &from) < 0)
		return 0;
	same = resolve_means(c, d->key_id, from.key_id);
	if (same < 0)
		return same;
	*ret = same;
	rc = facts_add_bool(&s->facts, name, same);
	return rc < 0 ? rc : facts_add_bool(&d->facts, name, same);
}

/* Source and destination, both found and allowed before either is used. */
static int reencrypt(struct call *c, struct source *s, struct destination *d)
{
	struct secret *plaintext = NULL;
	bool same = false;
	int rc = note_same_key(c, s, d, &same);

	if (rc == 0)
		rc = find_source(c, s);
	if (rc == 0)
		rc = resolve_key(c, d->key_id, RESOLVE_ALIAS_TOO, &d->facts,
				 &d->key);
	/* The alias has moved meanwhile: policies were asked of another. */
	if (rc == 0 && same != (strcmp(s->key.key_id, d->key.key_id) == 0))
		rc = -EAGAIN;
	if (rc == 0)
		rc = cipher_check_algorithm(c, d->algorithm, &d->key);
	if (rc == 0)
		rc = require_state(c, &s->key, STATES_UNUSABLE);
	if (rc == 0)
		rc = require_state(c, &d->key, STATES_UNUSABLE);
	if (rc == 0)
		rc = open_source(c, s, &plaintext);
	if (rc == 0 && param_bool(c, "DryRun"))
		rc = cipher_dry_run(c);
	if (rc == 0)
		rc = answer_reencrypted(c, s, &d->key, d->algorithm);
	if (rc == 0)
		rc = cipher_encrypt(c, &d->key, &d->context, plaintext);
	secret_free(plaintext);
	return rc;
}

int op_reencrypt(struct call *c)
{
	struct source s = { .facts = { .action = "kms:ReEncryptFrom" } };
	struct destination d = { .facts = { .action = "kms:ReEncryptTo" } };
	int rc;

	rc = read_source(c, &s, "SourceKeyId", "SourceEncryptionContext",
			 "SourceEncryptionAlgorithm");
	d.key_id = param_string(c, "DestinationKeyId", PARAM_REQUIRED, 1,
				PARAM_KEY_ID_MAX);
	d.algorithm = cipher_algorithm(c, "DestinationEncryptionAlgorithm");
	facts_read(c, "DestinationEncryptionContext", &d.facts);
	param_grant_tokens(c);
	param_bool(c, "DryRun");
	if (rc == 0)
		rc = param_context(c, "DestinationEncryptionContext",
				   &d.context);
	if (rc == 0)
		rc = params_check(c);
	if (rc == 0)
		rc = refuse_unoffered(c);
	if (rc == 0)
		rc = grant_tokens_check(c);
	if (rc == 0)
		rc = reencrypt(c, &s, &d);
	facts_free(&d.facts);
	context_free(&d.context);
	key_row_free(&d.key);
	source_free(&s);
	return rc;
}
