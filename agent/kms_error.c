// SPDX-License-Identifier: GPL-2.0-or-later
/* What KMS failures mean: error code to -errno and sentence. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "kms_provider.h"
#include "log.h"

#define ASK_OWNER "ask the key's owner to allow it by key policy or grant"
#define CHECK_KEY "check the key, its account and its region"
#define CHECK_KEYS "check that they are the right ones for this KMS"
#define SET_CLOCK "set this host's clock"
#define TRY_LATER "try again later"

/*
 * Codes and states: the KMS API reference and its common errors. Which of
 * them deny and which only say "not now" is also what a lease relies on:
 * denied is a closed list.
 */
static const struct kms_meaning meanings[] = {
	{ "AccessDeniedException", -EACCES, false, false,
	  "these credentials may not use the key so", ASK_OWNER },
	{ "DisabledException", -EACCES, false, false,
	  "the key is disabled", "enable the key" },
	{ "NotFoundException", -EACCES, false, false,
	  "the key does not exist there", CHECK_KEY },
	{ "InvalidArnException", -EACCES, false, false,
	  "the key's ARN is not one of this KMS", CHECK_KEY },
	{ "IncorrectKeyException", -EACCES, false, false,
	  "the wrapped key is another key's",
	  "check that the header belongs to this volume" },
	{ "InvalidCiphertextException", -EACCES, false, false,
	  "the wrapped key is not this volume's or was changed",
	  "check that the header belongs to this volume" },
	{ "InvalidKeyUsageException", -EACCES, false, false,
	  "the key is not for encryption",
	  "choose a symmetric encryption key" },
	{ "InvalidGrantTokenException", -EACCES, false, false,
	  "the grant token is not valid", ASK_OWNER },
	{ "UnrecognizedClientException", -EACCES, false, true,
	  "the access key is unknown there", CHECK_KEYS },
	{ "InvalidClientTokenId", -EACCES, false, true,
	  "the access key is unknown there", CHECK_KEYS },
	{ "InvalidSignatureException", -EACCES, false, true,
	  "the secret access key is not that of the access key", CHECK_KEYS },
	{ "SignatureDoesNotMatch", -EACCES, false, true,
	  "the secret access key is not that of the access key", CHECK_KEYS },
	{ "IncompleteSignature", -EACCES, false, true,
	  "the signature is incomplete", CHECK_KEYS },
	{ "IncompleteSignatureException", -EACCES, false, true,
	  "the signature is incomplete", CHECK_KEYS },
	{ "MissingAuthenticationToken", -EACCES, false, true,
	  "the request came there unsigned", CHECK_KEYS },
	{ "MissingAuthenticationTokenException", -EACCES, false, true,
	  "the request came there unsigned", CHECK_KEYS },
	{ "ExpiredTokenException", -EHOSTUNREACH, false, true,
	  "they have expired", "get fresh ones" },
	{ "RequestExpired", -EHOSTUNREACH, false, true,
	  "the clocks are more than 5 minutes apart", SET_CLOCK },
	{ "ThrottlingException", -EHOSTUNREACH, true, false,
	  "it gets too many requests", TRY_LATER },
	{ "Throttling", -EHOSTUNREACH, true, false,
	  "it gets too many requests", TRY_LATER },
	{ "TooManyRequestsException", -EHOSTUNREACH, true, false,
	  "it gets too many requests", TRY_LATER },
	{ "KMSInternalException", -EHOSTUNREACH, true, false,
	  "it has an internal fault", TRY_LATER },
	{ "DependencyTimeoutException", -EHOSTUNREACH, true, false,
	  "something it needs did not answer", TRY_LATER },
	{ "KeyUnavailableException", -EHOSTUNREACH, true, false,
	  "the key is not available", TRY_LATER },
	{ "InternalFailure", -EHOSTUNREACH, true, false,
	  "it has an internal fault", TRY_LATER },
	{ "ServiceUnavailable", -EHOSTUNREACH, true, false,
	  "it is not available", TRY_LATER },
	{ "ServiceUnavailableException", -EHOSTUNREACH, true, false,
	  "it is not available", TRY_LATER },
	{ "UnsupportedOperationException", -ENOTSUP, false, false,
	  "it does not do that with this key", "choose another key" },
	{ "ValidationException", -EIO, false, false,
	  "it does not take the request", CHECK_KEY },
	{ "LimitExceededException", -EIO, false, false,
	  "a quota is used up", "have the quota raised" },
};

static const struct {
	const char *code;
	const char *words;	/* in the message */
	struct kms_meaning meaning;
} by_message[] = {
	{ "KMSInvalidStateException", "pending deletion", {
	  "KMSInvalidStateException", -EACCES, false, false,
	  "the key is pending deletion",
	  "cancel the deletion and enable the key" } },
	{ "KMSInvalidStateException", "pending import", {
	  "KMSInvalidStateException", -EACCES, false, false,
	  "the key has no key material, it is pending import",
	  "import its key material" } },
	{ "KMSInvalidStateException", "", {
	  "KMSInvalidStateException", -EHOSTUNREACH, false, false,
	  "the key cannot be used in the state it is in", TRY_LATER } },
	{ "InvalidSignatureException", "Credential should be scoped", {
	  "InvalidSignatureException", -EACCES, false, false,
	  "this KMS is in another region", "check endpoint and region" } },
	{ "InvalidSignatureException", "Signature expired", {
	  "InvalidSignatureException", -EHOSTUNREACH, false, true,
	  "this host's clock is more than 5 minutes slow", SET_CLOCK } },
	{ "InvalidSignatureException", "not yet current", {
	  "InvalidSignatureException", -EHOSTUNREACH, false, true,
	  "this host's clock is more than 5 minutes fast", SET_CLOCK } },
};

static const struct kms_meaning server_fault = {
	NULL, -EHOSTUNREACH, true, false, "it has an internal fault", TRY_LATER,
};

static const struct kms_meaning forbidden = {
	NULL, -EACCES, false, false, "it is forbidden", ASK_OWNER,
};

static const struct kms_meaning unknown = {
	NULL, -EIO, false, false, "its reason is known to the KMS only",
	"look the reason up in the manual of the KMS",
};

const struct kms_meaning *kms_meaning_of(const char *code,
					 const char *message, long status)
{
	size_t i;

	for (i = 0; i < sizeof(by_message) / sizeof(by_message[0]); i++)
		if (strcmp(by_message[i].code, code) == 0 &&
		    strstr(message, by_message[i].words))
			return &by_message[i].meaning;
	for (i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
		if (strcmp(meanings[i].code, code) == 0)
			return &meanings[i];
	if (status >= 500)
		return &server_fault;
	return status == 401 || status == 403 ? &forbidden : &unknown;
}

static void set_error(struct kms_call *call, const char *type)
{
	snprintf(call->error, sizeof(call->error), "%s", type);
}

/* The server's own text is not repeated: it may hold anything. */
int kms_fail_refused(struct kms_call *call, const char *code,
		     const char *message, long status)
{
	const struct kms_meaning *m = kms_meaning_of(code, message, status);

	set_error(call, code);
	call->refused_credentials = m->credentials;
	if (call->denial_is_fine && strcmp(code, "AccessDeniedException") == 0)
		return m->error;
	if (m->credentials)
		log_error("key '%s': KMS %s refuses the credentials from %s: %s (%s); %s",
			  call->key, call->where,
			  call->credentials ? call->credentials->source :
					      "the user who attaches",
			  m->cause, code, m->advice);
	else if (m->error == -EHOSTUNREACH)
		log_error("key '%s': KMS %s cannot do %s now: %s (%s); %s",
			  call->key, call->where, call->operation,
			  m->cause, code, m->advice);
	else
		log_error("key '%s': KMS %s refuses %s: %s (%s); %s",
			  call->key, call->where, call->operation,
			  m->cause, code, m->advice);
	return m->error;
}

#define PRINCIPAL_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:/+=,.@_-"

/* The ARN behind "User: ", as AWS puts it; "" where there is none. */
static void take_principal(const char *message, char *ret, size_t ret_bytes)
{
	size_t len;

	ret[0] = '\0';
	if (strncmp(message, "User: arn:", 10) != 0)
		return;
	message += strlen("User: ");
	len = strspn(message, PRINCIPAL_CHARS);
	if (message[len] == ' ' && len < ret_bytes)
		snprintf(ret, ret_bytes, "%.*s", (int)len, message);
}

int kms_fail_ungranted(struct kms_call *call, const char *code,
		       const char *message)
{
	char principal[512];

	set_error(call, code);
	take_principal(message, principal, sizeof(principal));
	log_error("key '%s': %s lacks kms:CreateGrant, so this host cannot be let in (%s from KMS %s); " ASK_OWNER,
		  call->key,
		  principal[0] ? principal : "the user who attaches",
		  code, call->where);
	return -EACCES;
}

static void say_tls(struct kms_call *call)
{
	const char *ca = call->ca_file;

	log_error("key '%s': KMS %s does not prove its identity (%s); check endpoint and %s%s of %s",
		  call->key, call->where, http_detail(call->http),
		  ca ? "ca-file " : "set the ca-file", ca ? ca : "",
		  call->section);
}

int kms_fail_http(struct kms_call *call, enum http_failure why)
{
	const char *endpoint = call->where;
	const char *section = call->section;

	switch (why) {
	case HTTP_OK:
	case HTTP_NO_CONNECTION:
		set_error(call, "NoConnection");
		log_error("key '%s': KMS %s cannot be reached (%s); check the network and that the KMS runs",
			  call->key, endpoint, http_detail(call->http));
		break;
	case HTTP_TIMEOUT:
		set_error(call, "Timeout");
		log_error("key '%s': KMS %s did not answer within the time budget of %u ms; check the network or raise --timeout",
			  call->key, endpoint, http_timeout_ms(call->http));
		break;
	case HTTP_TLS:
		set_error(call, "Tls");
		say_tls(call);
		break;
	case HTTP_CA_FILE:
		set_error(call, "CaFile");
		log_error("key '%s': KMS %s was not asked: ca-file '%s' is no readable PEM file of CA certificates; correct it for %s",
			  call->key, endpoint,
			  call->ca_file ? call->ca_file : "", section);
		break;
	case HTTP_CERT_FILE:
		set_error(call, "CertFile");
		log_error("key '%s': KMS %s was not asked: cert-file and cert-key-file are no readable PEM files that fit together (%s); correct them for %s",
			  call->key, endpoint, http_detail(call->http),
			  section);
		break;
	case HTTP_OVERSIZED:
		set_error(call, "Oversized");
		log_error("key '%s': KMS %s answered more than %d bytes, so it is no sound KMS; check endpoint of %s",
			  call->key, endpoint, HTTP_ANSWER_MAX_BYTES, section);
		break;
	case HTTP_REDIRECT:
		set_error(call, "Redirect");
		log_error("key '%s': KMS %s answered with a redirect, which is never followed; set endpoint of %s to the KMS itself",
			  call->key, endpoint, section);
		break;
	case HTTP_NO_HTTP:
		set_error(call, "Garbage");
		log_error("key '%s': what answers at %s does not speak HTTPS; check endpoint of %s",
			  call->key, endpoint, section);
		break;
	case HTTP_INTERNAL:
		set_error(call, "Internal");
		log_error("key '%s': KMS %s was not asked: the request cannot be sent (%s); check proxy and endpoint of %s",
			  call->key, endpoint, http_detail(call->http),
			  section);
		break;
	}
	return -EHOSTUNREACH;
}

int kms_fail_garbage(struct kms_call *call, const char *what)
{
	set_error(call, "Garbage");
	log_error("key '%s': KMS %s answered %s with garbage (%s), so it is no sound KMS; check %s of %s",
		  call->key, call->where, call->operation, what,
		  call->setting, call->section);
	return -EHOSTUNREACH;
}

int kms_fail_lie(struct kms_call *call, const char *type, const char *what)
{
	set_error(call, type);
	log_error("key '%s': KMS %s answered %s with %s, so the answer is not used; check that endpoint and header can be trusted",
		  call->key, call->where, call->operation, what);
	return -EBADMSG;
}
