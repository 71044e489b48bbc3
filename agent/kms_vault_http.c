// SPDX-License-Identifier: GPL-2.0-or-later
/* Requests to a vault, and what its refusals mean: -errno and sentence. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "kms_vault.h"
#include "log.h"

#define ANSWER_MAX_DEPTH 8
#define ANY 0

#define OTHER_VOLUME "check that the header belongs to this volume"
#define TRY_LATER "try again later"

/*
 * Vault's API: status codes, and the words by which it tells one 400 from
 * another. What it says of a key is a denial, what it says of itself is none: a
 * lease locks by the difference. The first row that fits counts.
 */
static const struct meaning {
	long status;		/* ANY: all */
	const char *words;	/* in one of its errors */
	const char *code;	/* as of AWS KMS */
	int error;
	const char *cause;
	const char *advice;
} meanings[] = {
	{ 403, "", "AccessDeniedException", -EACCES,
	  "the policies of its token do not allow that",
	  "allow it there, and to read the key" },
	{ 404, "no handler for route", "ValidationException", -EIO,
	  "there is no engine at that mount", "check mount and namespace" },
	{ 404, "", "NotFoundException", -EACCES,
	  "the key does not exist there",
	  "check the key, mount and namespace" },
	{ 400, "encryption key not found", "NotFoundException", -EACCES,
	  "the key does not exist there",
	  "check the key, mount and namespace" },
	{ 400, "disallowed by policy", "DisabledException", -EACCES,
	  "that version of the key is below its min_decryption_version",
	  "lower it there, or take a newer header" },
	{ 400, "message authentication failed", "InvalidCiphertextException",
	  -EACCES, "the wrapped key is not this volume's or was changed",
	  OTHER_VOLUME },
	{ 400, "invalid ciphertext", "InvalidCiphertextException", -EACCES,
	  "the wrapped key is not this volume's or was changed",
	  OTHER_VOLUME },
	{ 400, "unable to decrypt", "InvalidCiphertextException", -EACCES,
	  "the wrapped key is not this volume's or was changed",
	  OTHER_VOLUME },
	{ 405, "", "UnsupportedOperationException", -ENOTSUP,
	  "it does not do that", "check that mount is a Transit engine's" },
	{ 412, "", "ServiceUnavailableException", -EHOSTUNREACH,
	  "it has not caught up yet", TRY_LATER },
	{ 429, "", "ThrottlingException", -EHOSTUNREACH,
	  "it gets too many requests", TRY_LATER },
	{ 503, "sealed", "ServiceUnavailableException", -EHOSTUNREACH,
	  "it is sealed", "have it unsealed" },
	{ 503, "", "ServiceUnavailableException", -EHOSTUNREACH,
	  "it is not available", TRY_LATER },
};

static const struct meaning server_fault = {
	ANY, "", "InternalFailure", -EHOSTUNREACH, "it has an internal fault",
	TRY_LATER,
};

static const struct meaning unknown = {
	ANY, "", "ValidationException", -EIO, "it does not take the request",
	"look the reason up in its log",
};

int vault_no_memory(struct kms_call *call)
{
	log_error("key '%s': no memory for %s, or the limit of locked memory is spent",
		  call->key, call->operation);
	return -ENOMEM;
}

int vault_refuse(struct kms_call *call, int error, const char *type,
		 const char *what)
{
	snprintf(call->error, sizeof(call->error), "%s", type);
	log_error("key '%s': %s: %s", call->key, call->section, what);
	return error;
}

static int fail(struct kms_call *call, const struct meaning *m)
{
	snprintf(call->error, sizeof(call->error), "%s", m->code);
	if (call->denial_is_fine &&
	    strcmp(m->code, "AccessDeniedException") == 0)
		return m->error;
	log_error("key '%s': KMS %s %s %s%s: %s (%s); %s", call->key,
		  call->where,
		  m->error == -EHOSTUNREACH ? "cannot do" : "refuses",
		  call->operation, m->error == -EHOSTUNREACH ? " now" : "",
		  m->cause, m->code, m->advice);
	return m->error;
}

/* Is @words in one of the texts? Its own text is not repeated. */
static bool says(const json_t *errors, const char *words)
{
	const json_t *one;
	size_t i;

	if (!*words)
		return true;
	json_array_foreach(errors, i, one) {
		const char *text = json_string_value(one);

		if (text && strstr(text, words))
			return true;
	}
	return false;
}

int vault_parse(struct kms_call *call, const struct http_answer *answer,
		json_t **ret)
{
	char why[JSON_WHY_BYTES] = "";
	json_t *o = NULL;
	int r = json_parse_strict((const char *)secret_cbytes(answer->body),
				  answer->body_bytes, ANSWER_MAX_DEPTH, &o,
				  why);

	if (r == -ENOMEM)
		return vault_no_memory(call);
	if (r == -EBADMSG)
		return kms_fail_garbage(call, why);
	if (!json_is_object(o)) {
		json_decref(o);
		return kms_fail_garbage(call, "no JSON object");
	}
	*ret = o;
	return 0;
}

int vault_judge(struct kms_call *call, const struct http_answer *answer)
{
	const struct meaning *m = answer->status >= 500 ? &server_fault :
							  &unknown;
	char why[JSON_WHY_BYTES];
	json_t *o = NULL;
	const json_t *errors;
	size_t i;
	int r = json_parse_strict((const char *)secret_cbytes(answer->body),
				  answer->body_bytes, ANSWER_MAX_DEPTH, &o,
				  why);

	if (r == -ENOMEM)
		return vault_no_memory(call);
	errors = json_object_get(o, "errors");
	if (r < 0 || !json_is_array(errors)) {
		/* A proxy or a load balancer answers in HTML. */
		snprintf(why, sizeof(why), "HTTP status %ld", answer->status);
		r = kms_fail_garbage(call, why);
		goto out;
	}
	for (i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
		if (meanings[i].status == answer->status &&
		    says(errors, meanings[i].words)) {
			m = &meanings[i];
			break;
		}
	}
	r = fail(call, m);
out:
	json_decref(o);
	return r;
}

/* {"NAME":"VALUE",...}, in a secret, since a value may be one. */
static struct secret *make_body(const struct vault_field *fields)
{
	const struct vault_field *f;
	struct secret *body;
	size_t bytes = sizeof("{}"), used = 0;
	char *at;

	for (f = fields; f->name; f++)
		if (f->value)
			bytes += strlen(f->name) + strlen(f->value) +
				 strlen("\"\":\"\",");
	body = secret_new(bytes);
	if (!body)
		return NULL;
	at = (char *)secret_bytes(body);
	for (f = fields; f->name; f++)
		if (f->value)
			used += snprintf(at + used, bytes - used,
					 f->number ? "%c\"%s\":%s" :
						     "%c\"%s\":\"%s\"",
					 used ? ',' : '{', f->name, f->value);
	snprintf(at + used, bytes - used, used ? "}" : "{}");
	return body;
}

static int exchange(struct kms_call *call, const struct secret *token,
		    const char *url, const struct secret *body,
		    struct http_answer *ret)
{
	char *const *value = call->provider->value;
	struct http_header headers[4] = {
		/* Without it the server answers nobody, lest pages ask. */
		{ "X-Vault-Request", "true" },
	};
	enum http_failure why = HTTP_OK;
	const struct http_request request = {
		.method = body ? "POST" : "GET",
		.endpoint = url,
		.ca_file = call->ca_file,
		.cert_file = value[CONF_CERT_FILE],
		.cert_key_file = value[CONF_CERT_KEY_FILE],
		.proxy = value[CONF_PROXY],
		.content_type = body ? "application/json" : NULL,
		.headers = headers,
		.body = body ? secret_cbytes(body) : NULL,
		.body_bytes = body ? strlen((const char *)
					    secret_cbytes(body)) : 0,
	};
	size_t n = 1;
	int r;

	if (value[CONF_NAMESPACE])
		headers[n++] = (struct http_header){ "X-Vault-Namespace",
						     value[CONF_NAMESPACE] };
	if (token)
		headers[n++] = (struct http_header){
			"X-Vault-Token", (const char *)secret_cbytes(token) };
	r = http_send(call->http, &request, ret, &why);
	if (r == -EHOSTUNREACH)
		return kms_fail_http(call, why);
	return r < 0 ? vault_no_memory(call) : 0;
}

int vault_send(struct kms_call *call, const struct secret *token,
	       const char *path, const struct vault_field *fields,
	       struct http_answer *ret)
{
	struct secret *body = NULL;
	char *url = NULL;
	int r = -ENOMEM;

	if (asprintf(&url, "%s/v1/%s", call->where, path) < 0)
		url = NULL;
	if (fields)
		body = make_body(fields);
	if (url && (body || !fields))
		r = exchange(call, token, url, body, ret);
	else
		vault_no_memory(call);
	secret_free(body);
	free(url);
	return r;
}

/*
 * A 403 is for a token that may not do that, and for one that has expired. Only
 * the former is a denial; every token with the policy default may look itself
 * up.
 */
static int check_token(struct kms_call *call, struct vault *v)
{
	struct http_answer answer = { 0 };
	int r = vault_send(call, v->token, "auth/token/lookup-self", NULL,
			   &answer);

	if (r == 0 && answer.status == 403)
		r = vault_logged_out(call, v);
	else if (r == 0 && answer.status != 200)
		r = vault_judge(call, &answer);
	http_answer_wipe(&answer);
	return r;
}

int vault_ask(struct kms_call *call, struct vault *v, const char *path,
	      const struct vault_field *fields, struct http_answer *ret)
{
	struct http_answer answer = { 0 };
	bool again = true;
	int r;

	do {
		http_answer_wipe(&answer);
		r = vault_login(call, v);
		if (r == 0)
			r = vault_send(call, v->token, path, fields, &answer);
		if (r < 0 || answer.status != 403 || !again)
			break;
		r = check_token(call, v);
		again = false;
	} while (r == 0 && !v->token);
	if (r == 0 && answer.status != 200)
		r = vault_judge(call, &answer);
	if (r == 0) {
		*ret = answer;
		answer.body = NULL;
	}
	http_answer_wipe(&answer);
	return r;
}
