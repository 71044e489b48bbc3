// SPDX-License-Identifier: GPL-2.0-or-later
/* Data keys and random bytes: operations that make new secrets. */
#include <errno.h>
#include <string.h>

#include "authz.h"
#include "cipher.h"
#include "grant_tokens.h"
#include "operations.h"
#include "resolve.h"

static const char *const data_key_specs[] = { "AES_256", "AES_128", NULL };

struct data_key {
	const char *key_id;
	int64_t bytes;
	bool dry_run;
	struct context context;
	struct facts facts;
	struct key_row key;
};

static int refuse_recipient(struct call *c)
{
	if (!param_given(c, "Recipient"))
		return 0;
	return call_fail(c, ERR_UNSUPPORTED,
			 "This server does not offer attested recipients.");
}

static int read_data_key(struct call *c, struct data_key *d)
{
	const char *spec = param_enum(c, "KeySpec", data_key_specs);
	bool sized = param_int(c, "NumberOfBytes", 1, PARAM_RANDOM_MAX,
			       &d->bytes);
	int rc;

	param_grant_tokens(c);
	facts_read(c, "EncryptionContext", &d->facts);
	d->key_id = param_string(c, "KeyId", PARAM_REQUIRED, 1,
				 PARAM_KEY_ID_MAX);
	d->dry_run = param_bool(c, "DryRun");
	rc = param_context(c, "EncryptionContext", &d->context);
	if (rc == 0)
		rc = params_check(c);
	if (rc < 0)
		return rc;
	if (!spec == !sized)
		return call_fail(c, ERR_VALIDATION,
				 "Please specify either number of bytes or key spec.");
	if (spec)
		d->bytes = strcmp(spec, "AES_256") == 0 ? 32 : 16;
	rc = refuse_recipient(c);
	return rc < 0 ? rc : grant_tokens_check(c);
}

/* New random bytes, encrypted into the answer; the clear ones to *@ret. */
static int make_data_key(struct call *c, const struct data_key *d,
			 struct secret **ret)
{
	struct secret *fresh = secret_new((size_t)d->bytes);
	char arn[CALL_ARN_BYTES];
	int rc = -ENOMEM;

	call_key_arn(&d->key, arn);
	c->answer = json_pack("{s:s, s:s}", "KeyId", arn, "KeyMaterialId",
			      d->key.material_id);
	if (!fresh || !c->answer)
		goto out;
	rc = crypto_random(secret_bytes(fresh), secret_len(fresh));
	if (rc < 0)
		goto out;
	rc = cipher_encrypt(c, &d->key, &d->context, fresh);
	if (rc < 0)
		goto out;
	*ret = fresh;
	fresh = NULL;
out:
	secret_free(fresh);
	return rc;
}

static int generate(struct call *c, const char *action, struct secret **ret)
{
	struct data_key d = { .facts = { .action = action } };
	int rc = read_data_key(c, &d);

	if (rc == 0)
		rc = resolve_key(c, d.key_id, RESOLVE_ALIAS_TOO, &d.facts,
				 &d.key);
	if (rc == 0)
		rc = require_state(c, &d.key, STATES_UNUSABLE);
	if (rc == 0 && d.dry_run)
		rc = cipher_dry_run(c);
	if (rc == 0)
		rc = make_data_key(c, &d, ret);
	facts_free(&d.facts);
	context_free(&d.context);
	key_row_free(&d.key);
	return rc;
}

int op_generate_data_key(struct call *c)
{
	return generate(c, "kms:GenerateDataKey", &c->plaintext);
}

int op_generate_data_key_without_plaintext(struct call *c)
{
	struct secret *unseen = NULL;
	int rc = generate(c, "kms:GenerateDataKeyWithoutPlaintext", &unseen);

	secret_free(unseen);
	return rc;
}

int op_generate_random(struct call *c)
{
	struct facts f = { .action = "kms:GenerateRandom" };
	struct secret *fresh = NULL;
	int64_t bytes = 0;
	bool sized = param_int(c, "NumberOfBytes", 1, PARAM_RANDOM_MAX,
			       &bytes);
	int rc = params_check(c);

	if (rc < 0)
		return rc;
	if (!sized)
		return call_fail(c, ERR_VALIDATION,
				 "NumberOfBytes is required.");
	if (param_given(c, "CustomKeyStoreId"))
		return call_fail(c, ERR_UNSUPPORTED,
				 "This server does not offer custom key stores.");
	rc = refuse_recipient(c);
	if (rc == 0)
		rc = authorise_other(c, &f, "*");
	if (rc < 0)
		return rc;
	fresh = secret_new((size_t)bytes);
	c->answer = json_object();
	rc = -ENOMEM;
	if (!fresh || !c->answer)
		goto out;
	rc = crypto_random(secret_bytes(fresh), secret_len(fresh));
	if (rc < 0)
		goto out;
	c->plaintext = fresh;
	fresh = NULL;
out:
	secret_free(fresh);
	return rc;
}
