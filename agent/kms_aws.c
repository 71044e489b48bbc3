// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * AWS KMS on the wire: POST /, X-Amz-Target: TrentService.OPERATION, one JSON
 * object each way (AWS JSON 1.1, API 2014-11-01), signed with SigV4.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "kms_provider.h"
#include "log.h"

#define ANSWER_MAX_DEPTH 8
/* 50 grants with long names fit in an answer. */
#define LIST_LIMIT 50

static const char *const operation_names[] = {
	[KMS_DECRYPT] = "Decrypt",
	[KMS_GENERATE] = "GenerateDataKeyWithoutPlaintext",
	[KMS_REENCRYPT] = "ReEncrypt",
	[KMS_ENCRYPT] = "Encrypt",
	[KMS_DESCRIBE] = "DescribeKey",
	[KMS_CREATE_GRANT] = "CreateGrant",
	[KMS_RETIRE_GRANT] = "RetireGrant",
	[KMS_LIST_RETIRABLE] = "ListRetirableGrants",
	[KMS_GET_POLICY] = "GetKeyPolicy",
};

const char *kms_operation_name(enum kms_operation operation)
{
	return operation_names[operation];
}

static int set_string(json_t *o, const char *name, const char *value)
{
	return json_object_set_new(o, name, json_string(value)) < 0 ?
	       -ENOMEM : 0;
}

static int set_blob(json_t *o, const uint8_t *blob, size_t bytes)
{
	char *text = kms_base64_encode(blob, bytes);
	int r = text ? set_string(o, "CiphertextBlob", text) : -ENOMEM;

	free(text);
	return r;
}

static int set_context(json_t *o, const char *name, const json_t *context)
{
	if (!context || json_object_size(context) == 0)
		return 0;
	return json_object_set_new(o, name, json_deep_copy(context)) < 0 ?
	       -ENOMEM : 0;
}

static int fill_reencrypt(json_t *o, const struct kms_question *q)
{
	int r;

	r = set_string(o, "SourceKeyId", q->source_key);
	if (r == 0)
		r = set_context(o, "SourceEncryptionContext",
				q->source_context);
	if (r == 0)
		r = set_string(o, "DestinationKeyId", q->key);
	if (r == 0)
		r = set_context(o, "DestinationEncryptionContext", q->context);
	if (r == 0)
		r = set_blob(o, q->wrapped, q->wrapped_bytes);
	return r;
}

static int fill_decrypt(json_t *o, const struct kms_question *q)
{
	int r = set_blob(o, q->wrapped, q->wrapped_bytes);

	if (r == 0 && q->grant_token &&
	    json_object_set_new(o, "GrantTokens",
				json_pack("[s]", q->grant_token)) < 0)
		r = -ENOMEM;
	if (r == 0 && q->dry_run &&
	    json_object_set_new(o, "DryRun", json_true()) < 0)
		r = -ENOMEM;
	return r;
}

static int fill_list(json_t *o, const struct kms_question *q)
{
	int r = set_string(o, "RetiringPrincipal", q->principal);

	if (r == 0 && q->marker)
		r = set_string(o, "Marker", q->marker);
	if (r == 0 && json_object_set_new(o, "Limit",
					  json_integer(LIST_LIMIT)) < 0)
		r = -ENOMEM;
	return r;
}

static int fill(json_t *o, const struct kms_question *q)
{
	int r;

	if (q->operation == KMS_REENCRYPT)
		return fill_reencrypt(o, q);
	if (q->operation == KMS_LIST_RETIRABLE)
		return fill_list(o, q);
	r = set_string(o, "KeyId", q->key);
	if (r < 0 || q->operation == KMS_DESCRIBE)
		return r;
	if (q->operation == KMS_RETIRE_GRANT)
		return set_string(o, "GrantId", q->grant_id);
	if (q->operation == KMS_GET_POLICY)
		return set_string(o, "PolicyName", "default");
	r = set_context(o, "EncryptionContext", q->context);
	if (r == 0 && q->operation == KMS_DECRYPT)
		r = fill_decrypt(o, q);
	if (r == 0 && q->operation == KMS_GENERATE &&
	    json_object_set_new(o, "NumberOfBytes",
				json_integer(KMS_DEK_BYTES)) < 0)
		r = -ENOMEM;
	if (r == 0 && q->operation == KMS_GENERATE && q->dry_run &&
	    json_object_set_new(o, "DryRun", json_true()) < 0)
		r = -ENOMEM;
	return r;
}

char *kms_make_body(const struct kms_question *q, bool named)
{
	json_t *o;
	char *body = NULL;

	if (q->body)
		return strdup(q->body);
	o = json_object();
	if (o && fill(o, q) == 0 &&
	    (!named || set_string(o, "Operation",
				  operation_names[q->operation]) == 0))
		body = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
	json_decref(o);
	return body;
}

/*
 * The code in an error answer: __type without its namespace. It is printed,
 * so nothing but letters and digits. 0; -EBADMSG.
 */
static int error_code(const json_t *o, char code[static KMS_ERROR_BYTES])
{
	const char *type, *hash;
	size_t len;

	if (json_get_string(o, "__type", &type) < 0)
		return -EBADMSG;
	hash = strrchr(type, '#');
	if (hash)
		type = hash + 1;
	len = strcspn(type, ":");
	if (len == 0 || len >= KMS_ERROR_BYTES ||
	    strspn(type, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") <
	    len)
		return -EBADMSG;
	memcpy(code, type, len);
	code[len] = '\0';
	return 0;
}

static const char *error_message(const json_t *o)
{
	const char *message = "";

	/* AWS writes it both ways. */
	if (json_get_string(o, "message", &message) < 0 &&
	    json_get_string(o, "Message", &message) < 0)
		return "";
	return message;
}

static bool retryable(long status, const char *body, size_t bytes)
{
	char why[JSON_WHY_BYTES];
	char code[KMS_ERROR_BYTES];
	json_t *o = NULL;
	bool again = false;

	if (status < 400 ||
	    json_parse_strict(body, bytes, ANSWER_MAX_DEPTH, &o, why) < 0)
		return false;
	if (error_code(o, code) == 0)
		again = kms_meaning_of(code, error_message(o), status)->retry;
	json_decref(o);
	return again;
}

/* Refusals that are the answer hoped for. */
static bool is_success(const struct kms_question *q, const char *code)
{
	if (q->dry_run)
		return strcmp(code, "DryRunOperationException") == 0;
	return q->operation == KMS_RETIRE_GRANT &&
	       strcmp(code, "NotFoundException") == 0;
}

static int judge_error(struct kms_call *call, const struct kms_question *q,
		       const char *code, const char *message, long status)
{
	if (is_success(q, code))
		return 0;
	if (q->operation == KMS_CREATE_GRANT &&
	    strcmp(code, "AccessDeniedException") == 0)
		return kms_fail_ungranted(call, code, message);
	return kms_fail_refused(call, code, message, status);
}

/* Anything but 200. */
static int take_error(struct kms_call *call, const struct kms_question *q,
		      const struct http_answer *answer)
{
	const char *body = (const char *)secret_cbytes(answer->body);
	char why[JSON_WHY_BYTES];
	char code[KMS_ERROR_BYTES];
	json_t *o = NULL;
	int r = json_parse_strict(body, answer->body_bytes, ANSWER_MAX_DEPTH,
				  &o, why);

	if (r == 0)
		r = error_code(o, code);
	if (r == 0) {
		r = judge_error(call, q, code, error_message(o),
				answer->status);
	} else if (r == -EBADMSG) {
		/* A proxy or a load balancer answers in HTML. */
		snprintf(code, sizeof(code), "%s status %ld",
			 call->region ? "HTTP" : "exit", answer->status);
		r = kms_fail_garbage(call, code);
	}
	json_decref(o);
	return r;
}

static int take_text(struct kms_call *call, const json_t *o, const char *name,
		     char **ret)
{
	const char *text;
	char what[64];

	if (json_get_string(o, name, &text) < 0) {
		snprintf(what, sizeof(what), "no %s in it", name);
		return kms_fail_garbage(call, what);
	}
	*ret = strdup(text);
	return *ret ? 0 : -ENOMEM;
}

static int take_blob(struct kms_call *call, const json_t *o,
		     struct kms_answer *a)
{
	const char *text;
	int r = -EBADMSG;

	if (json_get_string(o, "CiphertextBlob", &text) == 0)
		r = kms_base64_decode(text, KMS_WRAPPED_MAX_BYTES, &a->blob,
				      &a->blob_bytes);
	if (r == -EBADMSG)
		r = kms_fail_garbage(call, "no sound CiphertextBlob in it");
	return r;
}

static void copy_field(const json_t *o, const char *name, char *ret,
		       size_t ret_bytes)
{
	const char *text = "";

	(void)json_get_string(o, name, &text);
	snprintf(ret, ret_bytes, "%s", text);
}

static int take_metadata(struct kms_call *call, const json_t *o,
			 struct kms_answer *a)
{
	json_t *meta;
	int enabled;

	if (json_get_object(o, "KeyMetadata", &meta) < 0)
		return kms_fail_garbage(call, "no KeyMetadata in it");
	copy_field(meta, "KeyState", a->info.state, sizeof(a->info.state));
	copy_field(meta, "KeyUsage", a->info.usage, sizeof(a->info.usage));
	copy_field(meta, "KeySpec", a->info.spec, sizeof(a->info.spec));
	copy_field(meta, "KeyManager", a->info.manager,
		   sizeof(a->info.manager));
	copy_field(meta, "Description", a->info.description,
		   sizeof(a->info.description));
	a->info.enabled = json_get_bool(meta, "Enabled", &enabled) == 0 &&
			  enabled;
	return take_text(call, meta, "Arn", &a->key_id);
}

static int take_list(struct kms_call *call, const json_t *o,
		     struct kms_answer *a)
{
	json_t *grants = json_object_get(o, "Grants");
	const char *marker = NULL;

	if (!json_is_array(grants))
		return kms_fail_garbage(call, "no Grants in it");
	a->grants = json_incref(grants);
	(void)json_get_string(o, "NextMarker", &marker);
	if (!marker)
		return 0;
	a->marker = strdup(marker);
	return a->marker ? 0 : -ENOMEM;
}

static int take_grant(struct kms_call *call, const json_t *o,
		      struct kms_answer *a)
{
	int r = take_text(call, o, "GrantId", &a->grant_id);

	return r == 0 ? take_text(call, o, "GrantToken", &a->grant_token) : r;
}

static int take_members(struct kms_call *call, const struct kms_question *q,
			const json_t *o, struct kms_answer *a)
{
	int r;

	if (q->operation == KMS_DESCRIBE)
		return take_metadata(call, o, a);
	if (q->operation == KMS_CREATE_GRANT)
		return take_grant(call, o, a);
	if (q->operation == KMS_LIST_RETIRABLE)
		return take_list(call, o, a);
	if (q->operation == KMS_GET_POLICY)
		return take_text(call, o, "Policy", &a->policy);
	r = take_text(call, o, "KeyId", &a->key_id);
	if (r == 0 && q->operation == KMS_REENCRYPT)
		r = take_text(call, o, "SourceKeyId", &a->source_key_id);
	if (r == 0 && q->operation != KMS_DECRYPT)
		r = take_blob(call, o, a);
	if (r == 0 && q->operation == KMS_DECRYPT && !a->plaintext)
		r = kms_fail_garbage(call, "no sound Plaintext in it");
	return r;
}

static int take_success(struct kms_call *call, const struct kms_question *q,
			struct http_answer *answer, struct kms_answer *a)
{
	char *body = (char *)secret_bytes(answer->body);
	char why[JSON_WHY_BYTES] = "";
	json_t *o = NULL;
	int r;

	if (q->operation == KMS_RETIRE_GRANT)
		return 0;
	/* Some KMS know no DryRun; what a Decrypt gives out is wiped. */
	if (q->dry_run && q->operation != KMS_DECRYPT)
		return kms_fail_garbage(call, "a dry run that was done");
	/* Whatever was asked: no plaintext reaches the parser. */
	r = kms_cut_plaintext(body, answer->body_bytes, &a->plaintext);
	if (r == -ENOMEM)
		return r;
	r = json_parse_strict(body, answer->body_bytes, ANSWER_MAX_DEPTH, &o,
			      why);
	if (r == 0 && !json_is_object(o))
		r = kms_fail_garbage(call, "no JSON object");
	else if (r == -EBADMSG)
		r = kms_fail_garbage(call, why);
	if (r == 0)
		r = take_members(call, q, o, a);
	json_decref(o);
	return r;
}

int kms_take_answer(struct kms_call *call, const struct kms_question *q,
		    struct http_answer *answer, struct kms_answer *a)
{
	return answer->status == 200 ? take_success(call, q, answer, a) :
				       take_error(call, q, answer);
}

static int exchange(struct kms_call *call, const struct kms_question *q,
		    const char *body, struct kms_answer *a)
{
	struct http_answer answer = { 0 };
	enum http_failure why = HTTP_OK;
	char target[64];
	struct http_request request = {
		.endpoint = call->region->endpoint,
		.ca_file = call->region->ca_file,
		.proxy = call->region->proxy,
		.region = call->region->name,
		.service = "kms",
		.credentials = call->credentials,
		.signature = q->signature,
		.target = target,
		.content_type = "application/x-amz-json-1.1",
		.body = body,
		.body_bytes = strlen(body),
		.retryable = retryable,
	};
	int r;

	snprintf(target, sizeof(target), "TrentService.%s", call->operation);
	r = http_send(call->http, &request, &answer, &why);
	if (r == -EHOSTUNREACH)
		r = kms_fail_http(call, why);
	else if (r == 0)
		r = kms_take_answer(call, q, &answer, a);
	http_answer_wipe(&answer);
	return r;
}

static int ask(struct kms_call *call, const struct kms_question *q,
	       struct kms_answer *ret)
{
	struct kms_answer a = { 0 };
	char *body = kms_make_body(q, false);
	struct secret *whole = NULL;
	int r = -ENOMEM;

	call->operation = operation_names[q->operation];
	if (body && q->plaintext)
		whole = kms_put_plaintext(body, q->plaintext);
	if (!body || (q->plaintext && !whole))
		goto out;
	r = exchange(call, q, whole ? (const char *)secret_cbytes(whole) : body,
		     &a);
	if (r < 0)
		goto out;
	*ret = a;
	a = (struct kms_answer){ 0 };
out:
	if (r == -ENOMEM)
		log_error("key '%s': no memory for %s, or the limit of locked memory is spent",
			  call->key, call->operation);
	secret_free(whole);
	free(body);
	kms_answer_free(&a);
	return r;
}

const struct kms_provider kms_provider_aws = {
	.ask = ask,
};
