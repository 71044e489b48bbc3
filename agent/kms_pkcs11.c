// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Keys in a PKCS#11 token: no server, the token itself wraps and unwraps.
 *
 * A wrapped DEK is one byte that says how, and what the token gave for the
 * payload
 *
 *	SHA-256("envelope pkcs11 v1" || context) || DEK
 *
 * with the context as context.h encodes it. A token knows no contexts, so the
 * digest under the wrap is what binds the DEK to its volume and generation.
 */
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "context.h"
#include "kms_token.h"
#include "log.h"

#define BINDING_LABEL "envelope pkcs11 v1"
#define BINDING_BYTES 32
#define PAYLOAD_BYTES (BINDING_BYTES + KMS_DEK_BYTES)
#define AES_KEY_BYTES 32
#define RSA_MIN_BITS 2048

/* The first byte. RFC 3394 is CKM_AES_KEY_WRAP; what 0x210a is, differs. */
enum scheme {
	SCHEME_AES_KEY_WRAP = 1,	/* RFC 3394, AES-256 */
	SCHEME_OAEP_SHA256 = 2,		/* RFC 8017, MGF1 with the same hash */
	SCHEME_OAEP_SHA1 = 3,		/* for tokens that know no other */
};

static const char *const operation_names[] = {
	[KMS_DECRYPT] = "unwrapping",
	[KMS_GENERATE] = "wrapping",
	[KMS_REENCRYPT] = "rewrapping",
	[KMS_ENCRYPT] = "wrapping",
	[KMS_DESCRIBE] = "a look at the key",
	[KMS_CREATE_GRANT ... KMS_GET_POLICY] = "grants",
};

struct key {
	CK_OBJECT_HANDLE handle;
	CK_OBJECT_CLASS class;
	CK_ULONG bits;
};

static int out_of_memory(struct kms_call *call)
{
	return token_fail(call, CKR_HOST_MEMORY);
}

/* Where the context is hidden: nothing of it need be secret. */
static int make_binding(struct kms_call *call, const json_t *context,
			uint8_t ret[BINDING_BYTES])
{
	struct context encoded = { 0 };
	EVP_MD_CTX *md = NULL;
	bool good = false;

	if (context_encode(context, &encoded) < 0)
		goto out;
	md = EVP_MD_CTX_new();
	good = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
	       EVP_DigestUpdate(md, BINDING_LABEL,
				strlen(BINDING_LABEL)) == 1 &&
	       EVP_DigestUpdate(md, encoded.data, encoded.bytes) == 1 &&
	       EVP_DigestFinal_ex(md, ret, NULL) == 1;
out:
	EVP_MD_CTX_free(md);
	context_free(&encoded);
	return good ? 0 : out_of_memory(call);
}

/*
 * The keys of @class that the name fits, of which there is at most one: a
 * second could be anybody's. 0 with CK_INVALID_HANDLE where there is none.
 */
static int find_object(struct kms_call *call, struct token *t,
		       const struct key_name *name, CK_OBJECT_CLASS class,
		       CK_OBJECT_HANDLE *ret)
{
	CK_KEY_TYPE type = class == CKO_SECRET_KEY ? CKK_AES : CKK_RSA;
	CK_ATTRIBUTE like[] = {
		{ CKA_CLASS, &class, sizeof(class) },
		{ CKA_KEY_TYPE, &type, sizeof(type) },
		{ CKA_LABEL, (void *)name->object, strlen(name->object) },
	};
	CK_OBJECT_HANDLE found[2];
	CK_ULONG count = 0;
	CK_RV rv;

	if (name->id_bytes > 0)
		like[2] = (CK_ATTRIBUTE){ CKA_ID, (void *)name->id,
					  name->id_bytes };
	rv = t->module->C_FindObjectsInit(t->session, like, 3);
	if (rv != CKR_OK)
		return token_fail(call, rv);
	rv = t->module->C_FindObjects(t->session, found, 2, &count);
	t->module->C_FindObjectsFinal(t->session);
	if (rv != CKR_OK)
		return token_fail(call, rv);
	if (count > 1)
		return token_refuse(call, -EINVAL, "NotAllowed",
				    "two keys have the name; use one with an id of its own, and its id");
	*ret = count == 1 ? found[0] : CK_INVALID_HANDLE;
	return 0;
}

static CK_ULONG key_bits(struct token *t, const struct key *key)
{
	CK_ULONG bytes = 0;
	CK_ATTRIBUTE length = { CKA_VALUE_LEN, &bytes, sizeof(bytes) };
	CK_ATTRIBUTE modulus = { CKA_MODULUS, NULL, 0 };

	if (key->class == CKO_SECRET_KEY)
		return t->module->C_GetAttributeValue(t->session, key->handle,
				&length, 1) == CKR_OK ? bytes * 8 : 0;
	/* Its size is all that is wanted. */
	return t->module->C_GetAttributeValue(t->session, key->handle,
			&modulus, 1) == CKR_OK ? modulus.ulValueLen * 8 : 0;
}

/* The AES key @text, else the RSA key; @class which half of the latter. */
static int find_key(struct kms_call *call, struct token *t, const char *text,
		    CK_OBJECT_CLASS half, struct key *ret)
{
	const CK_OBJECT_CLASS classes[] = { CKO_SECRET_KEY, half };
	struct key_name name;
	struct key key;
	size_t i;
	int r;

	if (key_name_parse(text, &name) < 0)
		return token_refuse(call, -EINVAL, "NotAllowed",
				    "not a key id of pkcs11");
	for (i = 0; i < 2; i++) {
		key = (struct key){ .class = classes[i] };
		r = find_object(call, t, &name, key.class, &key.handle);
		if (r < 0)
			return r;
		if (key.handle == CK_INVALID_HANDLE)
			continue;
		key.bits = key_bits(t, &key);
		*ret = key;
		return 0;
	}
	return token_refuse(call, -EACCES, "NotFoundException",
			    "the token has no AES or RSA key of that name; check the key and its label or id");
}

static int check_strength(struct kms_call *call, const struct key *key)
{
	if (key->class == CKO_SECRET_KEY && key->bits != AES_KEY_BYTES * 8)
		return token_refuse(call, -EACCES, "InvalidKeyUsageException",
				    "the AES key is not one of 256 bits; use one that is");
	if (key->class != CKO_SECRET_KEY && key->bits < RSA_MIN_BITS)
		return token_refuse(call, -EACCES, "InvalidKeyUsageException",
				    "the RSA key has less than 2048 bits; use one that has");
	return 0;
}

static CK_MECHANISM oaep(enum scheme scheme, CK_RSA_PKCS_OAEP_PARAMS *params)
{
	*params = (CK_RSA_PKCS_OAEP_PARAMS){
		.hash_alg = scheme == SCHEME_OAEP_SHA1 ? CKM_SHA_1 : CKM_SHA256,
		.mgf = scheme == SCHEME_OAEP_SHA1 ? CKG_MGF1_SHA1 :
						    CKG_MGF1_SHA256,
		.source = CKZ_DATA_SPECIFIED,
	};
	return (CK_MECHANISM){ CKM_RSA_PKCS_OAEP, params, sizeof(*params) };
}

/* To be wrapped, the payload has to be an object of the session for a moment. */
static CK_RV aes_wrap(struct token *t, const struct key *key,
		      struct secret *payload, uint8_t *ret, CK_ULONG *bytes)
{
	CK_MECHANISM how = { CKM_AES_KEY_WRAP, NULL, 0 };
	CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	CK_KEY_TYPE type = CKK_GENERIC_SECRET;
	CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
	CK_ATTRIBUTE what[] = {
		{ CKA_CLASS, &class, sizeof(class) },
		{ CKA_KEY_TYPE, &type, sizeof(type) },
		{ CKA_TOKEN, &no, sizeof(no) },
		{ CKA_EXTRACTABLE, &yes, sizeof(yes) },
		{ CKA_VALUE, secret_bytes(payload), PAYLOAD_BYTES },
	};
	CK_OBJECT_HANDLE object;
	CK_RV rv;

	rv = t->module->C_CreateObject(t->session, what, 5, &object);
	if (rv != CKR_OK)
		return rv;
	rv = t->module->C_WrapKey(t->session, &how, key->handle, object, ret,
				  bytes);
	t->module->C_DestroyObject(t->session, object);
	return rv;
}

static CK_RV aes_unwrap(struct token *t, const struct key *key,
			const uint8_t *blob, size_t blob_bytes,
			struct secret *payload)
{
	CK_MECHANISM how = { CKM_AES_KEY_WRAP, NULL, 0 };
	CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	CK_KEY_TYPE type = CKK_GENERIC_SECRET;
	CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
	CK_ATTRIBUTE as[] = {
		{ CKA_CLASS, &class, sizeof(class) },
		{ CKA_KEY_TYPE, &type, sizeof(type) },
		{ CKA_TOKEN, &no, sizeof(no) },
		{ CKA_SENSITIVE, &no, sizeof(no) },
		{ CKA_EXTRACTABLE, &yes, sizeof(yes) },
	};
	CK_ATTRIBUTE value = { CKA_VALUE, secret_bytes(payload),
			       PAYLOAD_BYTES };
	CK_OBJECT_HANDLE object;
	CK_RV rv;

	rv = t->module->C_UnwrapKey(t->session, &how, key->handle,
				    (CK_BYTE *)blob, blob_bytes, as, 5,
				    &object);
	/* What SoftHSM says when the integrity check of RFC 3394 fails. */
	if (rv == CKR_GENERAL_ERROR)
		rv = CKR_WRAPPED_KEY_INVALID;
	if (rv != CKR_OK)
		return rv;
	rv = t->module->C_GetAttributeValue(t->session, object, &value, 1);
	t->module->C_DestroyObject(t->session, object);
	if (rv == CKR_BUFFER_TOO_SMALL ||
	    (rv == CKR_OK && value.ulValueLen != PAYLOAD_BYTES))
		rv = CKR_WRAPPED_KEY_LEN_RANGE;
	return rv;
}

static CK_RV oaep_wrap(struct token *t, const struct key *key,
		       enum scheme scheme, struct secret *payload,
		       uint8_t *ret, CK_ULONG *bytes)
{
	CK_RSA_PKCS_OAEP_PARAMS params;
	CK_MECHANISM how = oaep(scheme, &params);
	CK_RV rv;

	rv = t->module->C_EncryptInit(t->session, &how, key->handle);
	if (rv == CKR_OK)
		rv = t->module->C_Encrypt(t->session, secret_bytes(payload),
					  PAYLOAD_BYTES, ret, bytes);
	return rv;
}

/* Tokens decrypt into a buffer of the modulus' size, whatever comes out. */
static CK_RV oaep_unwrap(struct token *t, const struct key *key,
			 enum scheme scheme, const uint8_t *blob,
			 size_t blob_bytes, struct secret *payload)
{
	CK_RSA_PKCS_OAEP_PARAMS params;
	CK_MECHANISM how = oaep(scheme, &params);
	struct secret *out = secret_new(blob_bytes);
	CK_ULONG bytes = blob_bytes;
	CK_RV rv;

	if (!out)
		return CKR_HOST_MEMORY;
	rv = t->module->C_DecryptInit(t->session, &how, key->handle);
	if (rv == CKR_OK)
		rv = t->module->C_Decrypt(t->session, (CK_BYTE *)blob,
					  blob_bytes, secret_bytes(out),
					  &bytes);
	/* SoftHSM's word for padding that is wrong. */
	if (rv == CKR_GENERAL_ERROR)
		rv = CKR_ENCRYPTED_DATA_INVALID;
	if (rv == CKR_OK && bytes != PAYLOAD_BYTES)
		rv = CKR_ENCRYPTED_DATA_LEN_RANGE;
	if (rv == CKR_OK)
		secret_copy(secret_bytes(payload), secret_cbytes(out),
			    PAYLOAD_BYTES);
	secret_free(out);
	return rv;
}

/* Behind the first byte, which it sets as well. */
static CK_RV wrap_with(struct token *t, const struct key *key,
		       struct secret *payload, uint8_t *blob,
		       CK_ULONG *bytes)
{
	CK_RV rv;

	blob[0] = SCHEME_AES_KEY_WRAP;
	if (key->class == CKO_SECRET_KEY)
		return aes_wrap(t, key, payload, blob + 1, bytes);
	blob[0] = SCHEME_OAEP_SHA256;
	rv = oaep_wrap(t, key, SCHEME_OAEP_SHA256, payload, blob + 1, bytes);
	if (rv != CKR_MECHANISM_PARAM_INVALID && rv != CKR_ARGUMENTS_BAD)
		return rv;
	blob[0] = SCHEME_OAEP_SHA1;
	*bytes = KMS_WRAPPED_MAX_BYTES - 1;
	return oaep_wrap(t, key, SCHEME_OAEP_SHA1, payload, blob + 1, bytes);
}

static int wrap(struct kms_call *call, struct token *t, const char *key_text,
		struct secret *payload, struct kms_answer *a)
{
	CK_ULONG bytes = KMS_WRAPPED_MAX_BYTES - 1;
	struct key key;
	CK_RV rv;
	int r;

	r = find_key(call, t, key_text, CKO_PUBLIC_KEY, &key);
	if (r == 0)
		r = check_strength(call, &key);
	if (r < 0)
		return r;
	a->blob = malloc(KMS_WRAPPED_MAX_BYTES);
	if (!a->blob)
		return out_of_memory(call);
	rv = wrap_with(t, &key, payload, a->blob, &bytes);
	if (rv != CKR_OK)
		return token_fail(call, rv);
	a->blob_bytes = bytes + 1;
	return 0;
}

/* The payload of @q's wrapped key, its binding checked against @context. */
static int unwrap(struct kms_call *call, struct token *t,
		  const struct kms_question *q, const char *key_text,
		  const json_t *context, struct secret *payload)
{
	uint8_t binding[BINDING_BYTES];
	struct key key;
	bool aes;
	CK_RV rv;
	int r;

	if (q->wrapped_bytes < 2 || q->wrapped[0] < SCHEME_AES_KEY_WRAP ||
	    q->wrapped[0] > SCHEME_OAEP_SHA1)
		return token_refuse(call, -EACCES,
				    "InvalidCiphertextException",
				    "the wrapped key is none that was made for a token; check that the header belongs to this volume");
	r = make_binding(call, context, binding);
	if (r == 0)
		r = find_key(call, t, key_text, CKO_PRIVATE_KEY, &key);
	if (r < 0)
		return r;
	aes = q->wrapped[0] == SCHEME_AES_KEY_WRAP;
	if (aes != (key.class == CKO_SECRET_KEY))
		return token_fail(call, CKR_KEY_TYPE_INCONSISTENT);
	rv = aes ? aes_unwrap(t, &key, q->wrapped + 1, q->wrapped_bytes - 1,
			      payload) :
		   oaep_unwrap(t, &key, q->wrapped[0], q->wrapped + 1,
			       q->wrapped_bytes - 1, payload);
	if (rv != CKR_OK)
		return token_fail(call, rv);
	if (CRYPTO_memcmp(secret_cbytes(payload), binding,
			  BINDING_BYTES) != 0)
		return token_refuse(call, -EACCES,
				    "InvalidCiphertextException",
				    "the wrapped key is bound to another volume, generation or context; check that the header belongs to this volume");
	return 0;
}

/* A new DEK, from the kernel's generator; the halves differ but by chance. */
static int fill_dek(struct secret *payload)
{
	uint8_t *dek = secret_bytes(payload) + BINDING_BYTES;
	size_t done = 0;
	ssize_t n;

	while (done < KMS_DEK_BYTES) {
		n = getrandom(dek + done, KMS_DEK_BYTES - done, 0);
		if (n < 0 && errno != EINTR)
			return -EIO;
		done += n > 0 ? n : 0;
	}
	return 0;
}

static int generate(struct kms_call *call, struct token *t,
		    const struct kms_question *q, struct secret *payload,
		    struct kms_answer *a)
{
	int r;

	r = make_binding(call, q->context, secret_bytes(payload));
	if (r < 0)
		return r;
	if (fill_dek(payload) < 0)
		return token_refuse(call, -EIO, "Internal",
				    "the kernel gives no random bytes");
	return wrap(call, t, q->key, payload, a);
}

static int encrypt(struct kms_call *call, struct token *t,
		   const struct kms_question *q, struct secret *payload,
		   struct kms_answer *a)
{
	int r = make_binding(call, q->context, secret_bytes(payload));

	if (r < 0)
		return r;
	secret_copy(secret_bytes(payload) + BINDING_BYTES,
		    secret_cbytes(q->plaintext), KMS_DEK_BYTES);
	return wrap(call, t, q->key, payload, a);
}

static int decrypt(struct kms_call *call, struct token *t,
		   const struct kms_question *q, struct secret *payload,
		   struct kms_answer *a)
{
	int r = unwrap(call, t, q, q->key, q->context, payload);

	if (r < 0)
		return r;
	a->plaintext = secret_new(KMS_DEK_BYTES);
	if (!a->plaintext)
		return out_of_memory(call);
	secret_copy(secret_bytes(a->plaintext),
		    secret_cbytes(payload) + BINDING_BYTES, KMS_DEK_BYTES);
	return 0;
}

static int reencrypt(struct kms_call *call, struct token *t,
		     const struct kms_question *q, struct secret *payload,
		     struct kms_answer *a)
{
	int r;

	r = unwrap(call, t, q, q->source_key, q->source_context, payload);
	if (r == 0)
		r = make_binding(call, q->context, secret_bytes(payload));
	return r == 0 ? wrap(call, t, q->key, payload, a) : r;
}

static int describe(struct kms_call *call, struct token *t,
		    const struct kms_question *q, struct kms_answer *a)
{
	struct kms_key_info *info = &a->info;
	struct key key;
	int r = find_key(call, t, q->key, CKO_PRIVATE_KEY, &key);

	if (r < 0)
		return r;
	snprintf(info->state, sizeof(info->state), "Enabled");
	snprintf(info->usage, sizeof(info->usage), "ENCRYPT_DECRYPT");
	snprintf(info->spec, sizeof(info->spec), "%s_%lu",
		 key.class == CKO_SECRET_KEY ? "AES" : "RSA", key.bits);
	snprintf(info->manager, sizeof(info->manager), "CUSTOMER");
	info->enabled = true;
	return 0;
}

static int answer(struct kms_call *call, const struct kms_question *q,
		  struct kms_answer *a)
{
	struct secret *payload = secret_new(PAYLOAD_BYTES);
	struct token *t;
	int r;

	r = payload ? token_get(call, &t) : out_of_memory(call);
	if (r < 0)
		goto out;
	switch (q->operation) {
	case KMS_DECRYPT:
		r = decrypt(call, t, q, payload, a);
		break;
	case KMS_GENERATE:
		r = generate(call, t, q, payload, a);
		break;
	case KMS_ENCRYPT:
		r = encrypt(call, t, q, payload, a);
		break;
	case KMS_REENCRYPT:
		r = reencrypt(call, t, q, payload, a);
		break;
	case KMS_DESCRIBE:
		r = describe(call, t, q, a);
		break;
	default:
		r = token_fail(call, CKR_FUNCTION_NOT_SUPPORTED);
		break;
	}
out:
	secret_free(payload);
	return r;
}

static int ask(struct kms_call *call, const struct kms_question *q,
	       struct kms_answer *ret)
{
	call->operation = operation_names[q->operation];
	return token_ask_apart(call, q, answer, ret);
}

const struct kms_provider kms_provider_pkcs11 = {
	.ask = ask,
	.end = token_end,
	.local = true,
};
