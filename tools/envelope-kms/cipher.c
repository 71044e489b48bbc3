// SPDX-License-Identifier: GPL-2.0-or-later
/* Steps shared by the operations that encrypt or decrypt. */
#include "cipher.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"

static const char *const algorithms[] = {
	"SYMMETRIC_DEFAULT", "RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256",
	"SM2PKE", NULL
};

const char *cipher_algorithm(struct call *c, const char *name)
{
	if (!param_given(c, name))
		json_object_set_new(c->params, name,
				    json_string(algorithms[0]));
	return param_enum(c, name, algorithms);
}

int cipher_check_algorithm(struct call *c, const char *algorithm,
			   const struct key_row *key)
{
	if (strcmp(algorithm, algorithms[0]) == 0)
		return 0;
	return call_fail(c, ERR_INVALID_KEY_USAGE,
			 "Algorithm %s is incompatible with key spec %s.",
			 algorithm, key->spec);
}

int cipher_dry_run(struct call *c)
{
	return call_fail(c, ERR_DRY_RUN,
			 "The request would have succeeded, but the DryRun option is set.");
}

static int answer_blob(struct call *c, const uint8_t *blob, size_t bytes)
{
	char text[BASE64_TEXT_BYTES(BLOB_MAX_BYTES) + 1];

	base64_encode(blob, bytes, text);
	return json_object_set_new(c->answer, "CiphertextBlob",
				   json_string(text)) < 0 ? -ENOMEM : 0;
}

int cipher_encrypt(struct call *c, const struct key_row *key,
		   const struct context *context,
		   const struct secret *plaintext)
{
	struct secret *material = NULL;
	struct blob_key blob_key;
	uint8_t *blob = NULL;
	size_t bytes;
	int rc;

	rc = material_get(c->server->store, c->server->root, key,
			  key->material_id, &material);
	if (rc < 0)
		goto out;
	material_blob_key(key, &blob_key);
	rc = blob_seal(material, &blob_key, context, plaintext, &blob,
		       &bytes);
	if (rc < 0)
		goto out;
	rc = answer_blob(c, blob, bytes);
out:
	free(blob);
	secret_free(material);
	return rc;
}
