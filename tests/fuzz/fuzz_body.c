// SPDX-License-Identifier: GPL-2.0-or-later
/* Request bodies: JSON, then every kind of member, then the record of it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "audit_text.h"
#include "call.h"
#include "json.h"
#include "params.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void read_members(struct call *c)
{
	static const char *const set[] = { "AES_256", "AES_128", NULL };
	struct context context;
	int64_t n = 0;

	param_string(c, "KeyId", PARAM_REQUIRED, 1, PARAM_KEY_ID_MAX);
	param_enum(c, "KeySpec", set);
	param_int(c, "NumberOfBytes", 1, 1024, &n);
	param_bool(c, "DryRun");
	param_grant_tokens(c);
	secret_free(param_blob(c, "CiphertextBlob", 6144));
	secret_free(param_blob(c, "Plaintext", PARAM_PLAINTEXT_MAX));
	if (param_context(c, "EncryptionContext", &context) == 0)
		context_free(&context);
	params_check(c);
}

/* What was said of the request must be one line of JSON again. */
static void write_record(const struct call *c)
{
	struct audit_text record = { .data = NULL };
	char why[JSON_WHY_BYTES];
	json_t *again = NULL;

	audit_text_string(&record, "errorMessage", c->message);
	audit_text_json(&record, "requestParameters", json_incref(c->params));
	if (audit_text_end(&record) < 0 ||
	    memchr(record.data, '\n', record.used - 1) ||
	    json_parse_strict(record.data, record.used, 16, &again, why) < 0)
		abort();
	json_decref(again);
	audit_text_free(&record);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct call *c = calloc(1, sizeof(*c));
	char why[JSON_WHY_BYTES];

	if (!c)
		abort();
	if (json_parse_strict((const char *)data, bytes, 8, &c->params,
			      why) == 0 && json_is_object(c->params)) {
		read_members(c);
		write_record(c);
	}
	call_free(c);
	free(c);
	return 0;
}
