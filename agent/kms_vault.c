// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Keys in the Transit engine of HashiCorp Vault or OpenBao.
 *
 * A wrapped DEK is the engine's ciphertext as it is, "vault:v1:BASE64". The
 * encryption context goes there as the context of key derivation, encoded as
 * context.h says: with a key made derived=true another context is another key.
 * The engine ignores the context of any other key, so those are refused.
 */
#include "kms_vault.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "json.h"

#define DEFAULT_MOUNT "transit"
#define PREFIX "vault:v"
#define BITS "512"	/* of KMS_DEK_BYTES */

/* What a call is about. */
struct job {
	struct kms_call *call;
	struct vault *vault;
	const struct kms_question *q;
	struct kms_answer *answer;
};

static const char *mount(const struct kms_call *call)
{
	const char *path = call->provider->value[CONF_MOUNT];

	return path ? path : DEFAULT_MOUNT;
}

/* POST @fields to @verb of the key, or GET with none. */
static int ask_key(const struct job *j, const char *verb, const char *object,
		   const struct vault_field *fields, struct http_answer *ret)
{
	char path[2 * KEY_OBJECT_BYTES + 32];

	snprintf(path, sizeof(path), "%s/%s/%s", mount(j->call), verb, object);
	return vault_ask(j->call, j->vault, path, fields, ret);
}

static int take_data(const struct job *j, const struct http_answer *answer,
		     json_t **whole_ret, json_t **data_ret)
{
	int r = vault_parse(j->call, answer, whole_ret);

	if (r == 0 && json_get_object(*whole_ret, "data", data_ret) < 0)
		r = kms_fail_garbage(j->call, "no data in it");
	return r;
}

static int judge_key(const struct job *j, const json_t *data,
		     struct kms_key_info *info)
{
	const char *type = "";
	int yes;

	(void)json_get_string(data, "type", &type);
	if (json_get_bool(data, "derived", &yes) < 0)
		return kms_fail_garbage(j->call, "no derived in it");
	if (!yes)
		return vault_refuse(j->call, -EACCES,
				    "InvalidKeyUsageException",
				    "the key was not made with derived=true, so it would bind nothing to its volume; make one that is");
	if (json_get_bool(data, "supports_decryption", &yes) == 0 && !yes)
		return vault_refuse(j->call, -EACCES,
				    "InvalidKeyUsageException",
				    "the key is not for encryption; choose one of type aes256-gcm96");
	*info = (struct kms_key_info){ .enabled = true };
	snprintf(info->state, sizeof(info->state), "Enabled");
	snprintf(info->usage, sizeof(info->usage), "ENCRYPT_DECRYPT");
	snprintf(info->spec, sizeof(info->spec), "%s", type);
	snprintf(info->manager, sizeof(info->manager), "CUSTOMER");
	return 0;
}

static int read_key(const struct job *j, const char *object,
		    struct kms_key_info *info)
{
	struct http_answer answer = { 0 };
	json_t *whole = NULL, *data;
	int r = ask_key(j, "keys", object, NULL, &answer);

	if (r == 0)
		r = take_data(j, &answer, &whole, &data);
	if (r == 0)
		r = judge_key(j, data, info);
	if (r == 0)
		snprintf(j->vault->derived, sizeof(j->vault->derived), "%s",
			 object);
	json_decref(whole);
	http_answer_wipe(&answer);
	return r;
}

/* The name of @key in its engine; and that it binds what it wraps. */
static int open_key(const struct job *j, const char *key,
		    char ret[static KEY_OBJECT_BYTES])
{
	struct kms_key_info info;
	struct key_name name;

	if (key_name_parse(key, &name) < 0)
		return vault_refuse(j->call, -EINVAL, "NotAllowed",
				    "not a key id of vault");
	strcpy(ret, name.object);
	/* That is for the life of a key. */
	return strcmp(j->vault->derived, ret) == 0 ? 0 :
						     read_key(j, ret, &info);
}

/* *@ret is for free(3). */
static int encode_context(const struct job *j, const json_t *context,
			  char **ret)
{
	struct context encoded = { 0 };

	if (context_encode(context, &encoded) == 0)
		*ret = kms_base64_encode(encoded.data, encoded.bytes);
	context_free(&encoded);
	return *ret ? 0 : vault_no_memory(j->call);
}

static bool is_ciphertext(const char *text, size_t len)
{
	size_t prefix = strlen(PREFIX);

	return len > prefix && len <= KMS_WRAPPED_MAX_BYTES &&
	       memcmp(text, PREFIX, prefix) == 0 && kms_text_plain(text, len);
}

static int take_ciphertext(const struct job *j,
			   const struct http_answer *answer)
{
	json_t *whole = NULL, *data;
	const char *text;
	int r = take_data(j, answer, &whole, &data);

	if (r == 0 && (json_get_string(data, "ciphertext", &text) < 0 ||
		       !is_ciphertext(text, strlen(text))))
		r = kms_fail_garbage(j->call, "no sound ciphertext in it");
	if (r == 0) {
		j->answer->blob = (uint8_t *)strdup(text);
		j->answer->blob_bytes = strlen(text);
		r = j->answer->blob ? 0 : vault_no_memory(j->call);
	}
	json_decref(whole);
	return r;
}

/* @verb of @key, which gives a ciphertext. */
static int wrap(const struct job *j, const char *verb, const char *key,
		const struct vault_field *fields)
{
	struct http_answer answer = { 0 };
	char object[KEY_OBJECT_BYTES];
	int r = open_key(j, key, object);

	if (r == 0)
		r = ask_key(j, verb, object, fields, &answer);
	if (r == 0)
		r = take_ciphertext(j, &answer);
	http_answer_wipe(&answer);
	return r;
}

/* The header's blob as text, in *@ret for free(3). */
static int take_wrapped(const struct job *j, char **ret)
{
	const char *text = (const char *)j->q->wrapped;

	if (!is_ciphertext(text, j->q->wrapped_bytes))
		return vault_refuse(j->call, -EACCES,
				    "InvalidCiphertextException",
				    "the wrapped key is none of a vault's; check that the header belongs to this volume");
	*ret = strndup(text, j->q->wrapped_bytes);
	return *ret ? 0 : vault_no_memory(j->call);
}

static int take_plaintext(const struct job *j, struct http_answer *answer,
			  struct secret **ret)
{
	struct secret *plaintext = NULL;
	json_t *whole = NULL;
	int r;

	r = kms_cut_base64((char *)secret_bytes(answer->body),
			   answer->body_bytes, "plaintext", &plaintext);
	if (r == -ENOMEM)
		return vault_no_memory(j->call);
	if (r < 0)
		return kms_fail_garbage(j->call, "no sound plaintext in it");
	r = vault_parse(j->call, answer, &whole);
	json_decref(whole);
	if (r == 0)
		*ret = plaintext;
	else
		secret_free(plaintext);
	return r;
}

static int unwrap(const struct job *j, const char *key, const json_t *context,
		  struct secret **ret)
{
	struct http_answer answer = { 0 };
	char *encoded = NULL, *wrapped = NULL;
	char object[KEY_OBJECT_BYTES];
	int r = take_wrapped(j, &wrapped);

	if (r == 0)
		r = encode_context(j, context, &encoded);
	if (r == 0)
		r = open_key(j, key, object);
	if (r == 0) {
		const struct vault_field fields[] = {
			{ "ciphertext", wrapped, false },
			{ "context", encoded, false },
			{ 0 },
		};

		r = ask_key(j, "decrypt", object, fields, &answer);
	}
	if (r == 0)
		r = take_plaintext(j, &answer, ret);
	http_answer_wipe(&answer);
	free(encoded);
	free(wrapped);
	return r;
}

static int decrypt(const struct job *j)
{
	return unwrap(j, j->q->key, j->q->context, &j->answer->plaintext);
}

static int generate(const struct job *j)
{
	char *context = NULL;
	int r = encode_context(j, j->q->context, &context);

	if (r == 0) {
		const struct vault_field fields[] = {
			{ "bits", BITS, true },
			{ "context", context, false },
			{ 0 },
		};

		r = wrap(j, "datakey/wrapped", j->q->key, fields);
	}
	free(context);
	return r;
}

/* The engine's own verb, to the newest version of the same key. */
static int rewrap(const struct job *j, const char *context)
{
	char *wrapped = NULL;
	int r = take_wrapped(j, &wrapped);

	if (r == 0) {
		const struct vault_field fields[] = {
			{ "ciphertext", wrapped, false },
			{ "context", context, false },
			{ 0 },
		};

		r = wrap(j, "rewrap", j->q->key, fields);
	}
	free(wrapped);
	return r;
}

/* As base64 in locked memory, for as long as it is sent. */
static int wrap_dek(const struct job *j, const char *context,
		    const struct secret *dek)
{
	struct secret *text = secret_new((KMS_DEK_BYTES + 2) / 3 * 4 + 1);
	int r = text ? 0 : vault_no_memory(j->call);

	if (r == 0) {
		const struct vault_field fields[] = {
			{ "context", context, false },
			{ "plaintext", (const char *)secret_cbytes(text),
			  false },
			{ 0 },
		};

		EVP_EncodeBlock(secret_bytes(text), secret_cbytes(dek),
				KMS_DEK_BYTES);
		r = wrap(j, "encrypt", j->q->key, fields);
	}
	secret_free(text);
	return r;
}

static int encrypt(const struct job *j)
{
	char *context = NULL;
	int r = encode_context(j, j->q->context, &context);

	if (r == 0)
		r = wrap_dek(j, context, j->q->plaintext);
	free(context);
	return r;
}

/* No verb moves between two keys: unwrapped there, here, wrapped there. */
static int move(const struct job *j, const char *context)
{
	struct secret *dek = NULL;
	int r = unwrap(j, j->q->source_key, j->q->source_context, &dek);

	if (r == 0 && secret_len(dek) != KMS_DEK_BYTES)
		r = kms_fail_lie(j->call, "WrongLength",
				 "a plaintext that is not 64 bytes long");
	j->call->key = j->q->key;
	if (r == 0)
		r = wrap_dek(j, context, dek);
	secret_free(dek);
	return r;
}

static int reencrypt(const struct job *j)
{
	const struct kms_question *q = j->q;
	char *context = NULL, *source = NULL;
	int r = encode_context(j, q->context, &context);

	if (r == 0)
		r = encode_context(j, q->source_context, &source);
	if (r == 0)
		r = strcmp(q->key, q->source_key) == 0 &&
		    strcmp(context, source) == 0 ? rewrap(j, context) :
						   move(j, context);
	if (r == 0) {
		j->answer->source_key_id = strdup(q->source_key);
		r = j->answer->source_key_id ? 0 : vault_no_memory(j->call);
	}
	free(context);
	free(source);
	return r;
}

static int describe(const struct job *j)
{
	struct key_name name;

	/* Its state may have changed since. */
	if (key_name_parse(j->q->key, &name) < 0)
		return vault_refuse(j->call, -EINVAL, "NotAllowed",
				    "not a key id of vault");
	return read_key(j, name.object, &j->answer->info);
}

static const struct {
	const char *name;	/* for sentences */
	int (*run)(const struct job *j);
} operations[] = {
	[KMS_DECRYPT] = { "decrypt", decrypt },
	[KMS_GENERATE] = { "datakey", generate },
	[KMS_REENCRYPT] = { "rewrap", reencrypt },
	[KMS_ENCRYPT] = { "encrypt", encrypt },
	[KMS_DESCRIBE] = { "a look at the key", describe },
	[KMS_CREATE_GRANT ... KMS_GET_POLICY] = { "grants", NULL },
};

static int ask(struct kms_call *call, const struct kms_question *q,
	       struct kms_answer *ret)
{
	struct kms_answer a = { 0 };
	struct job j = { .call = call, .q = q, .answer = &a };
	int r;

	call->operation = operations[q->operation].name;
	if (!*call->state)
		*call->state = calloc(1, sizeof(*j.vault));
	j.vault = *call->state;
	a.key_id = strdup(q->key);
	if (!j.vault || !a.key_id)
		r = vault_no_memory(call);
	else if (!operations[q->operation].run)
		r = vault_refuse(call, -ENOTSUP,
				 "UnsupportedOperationException",
				 "a vault has no grants");
	else
		r = operations[q->operation].run(&j);
	if (r == 0) {
		*ret = a;
		a = (struct kms_answer){ 0 };
	}
	kms_answer_free(&a);
	return r;
}

static void end_session(void *state)
{
	struct vault *v = state;

	if (v)
		secret_free(v->token);
	free(v);
}

const struct kms_provider kms_provider_vault = {
	.ask = ask,
	.end = end_session,
};
