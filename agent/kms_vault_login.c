// SPDX-License-Identifier: GPL-2.0-or-later
/* Where a vault's token comes from: a file, or a login. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "credentials_file.h"
#include "json.h"
#include "kms_vault.h"
#include "log.h"
#include "trust.h"

/* A login that ends within this is not worth a try. */
#define MARGIN_MS 10000u

static const char *setting(const struct kms_call *call, enum conf_value what)
{
	return call->provider->value[what];
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ull + t.tv_nsec / 1000000;
}

static void forget(struct vault *v)
{
	secret_free(v->token);
	v->token = NULL;
	v->ends_ms = 0;
}

/* The first line of a file of root's, as it stands in headers and JSON. */
static int read_secret(struct kms_call *call, enum conf_value what,
		       const char *name, struct secret **ret)
{
	struct secret *s = NULL;
	int r = trust_read_secret(setting(call, what), name, &s);

	if (r < 0) {
		snprintf(call->error, sizeof(call->error), "NoCredentials");
		return r;
	}
	if (kms_text_plain((const char *)secret_cbytes(s), secret_len(s) - 1)) {
		*ret = s;
		return 0;
	}
	secret_free(s);
	log_error("key '%s': %s '%s': its first line is no %.*s; write one",
		  call->key, name, setting(call, what),
		  (int)(strlen(name) - strlen("-file")), name);
	snprintf(call->error, sizeof(call->error), "NoCredentials");
	return -EACCES;
}

/* Others may read it, as in a pod; without a valid signature it is nothing. */
static int read_jwt(struct kms_call *call, struct secret **ret)
{
	const char *path = setting(call, CONF_JWT_FILE);
	struct secret *text = NULL;
	size_t len;
	bool own;
	int r;

	r = credentials_file_read(path, &text, &own);
	snprintf(call->error, sizeof(call->error), "NoCredentials");
	if (r < 0)
		return r;
	len = text ? strcspn((const char *)secret_cbytes(text), "\r\n") : 0;
	if (text)
		secret_bytes(text)[len] = '\0';
	if (text && own &&
	    kms_text_plain((const char *)secret_cbytes(text), len)) {
		call->error[0] = '\0';
		*ret = text;
		return 0;
	}
	secret_free(text);
	log_error("key '%s': jwt-file '%s': %s; check who writes it",
		  call->key, path, !text ? "missing" : own ?
		  "its first line is no token" :
		  "others than its owner can change it");
	return -EHOSTUNREACH;
}

static int take_token(struct kms_call *call, struct vault *v,
		      struct http_answer *answer)
{
	struct secret *token = NULL;
	json_t *o = NULL, *auth;
	uint64_t seconds;
	int r;

	r = kms_cut_text((char *)secret_bytes(answer->body),
			 answer->body_bytes, "client_token", &token);
	if (r == -ENOMEM)
		return vault_no_memory(call);
	if (r < 0)
		return kms_fail_garbage(call, "no sound client_token in it");
	r = vault_parse(call, answer, &o);
	if (r == 0 && (json_get_object(o, "auth", &auth) < 0 ||
		       json_get_u64(auth, "lease_duration", 0, UINT32_MAX,
				    &seconds) < 0))
		r = kms_fail_garbage(call, "no sound lease_duration in it");
	if (r == 0) {
		v->token = token;
		/* 0 is for one that never ends. */
		v->ends_ms = seconds ? now_ms() + seconds * 1000 : 0;
		token = NULL;
	}
	secret_free(token);
	json_decref(o);
	return r;
}

static int refused(struct kms_call *call, const char *path, const char *files,
		   const struct http_answer *answer)
{
	if (answer->status < 400 || answer->status > 404)
		return vault_judge(call, answer);
	snprintf(call->error, sizeof(call->error),
		 "UnrecognizedClientException");
	log_error("key '%s': KMS %s refuses the login at %s (HTTP status %ld); check %s of %s",
		  call->key, call->where, path, answer->status, files,
		  call->section);
	return -EACCES;
}

/* @fields to where @method is; @files is what to check when it is refused. */
static int log_in(struct kms_call *call, struct vault *v, const char *method,
		  const struct vault_field *fields, const char *files)
{
	const char *mount = setting(call, CONF_AUTH_MOUNT);
	const char *operation = call->operation;
	struct http_answer answer = { 0 };
	char path[KEY_OBJECT_BYTES + 16];
	int r;

	snprintf(path, sizeof(path), "auth/%s/login", mount ? mount : method);
	call->operation = "the login";
	r = vault_send(call, NULL, path, fields, &answer);
	if (r == 0)
		r = answer.status == 200 ? take_token(call, v, &answer) :
					   refused(call, path, files, &answer);
	http_answer_wipe(&answer);
	call->operation = operation;
	return r;
}

static int by_approle(struct kms_call *call, struct vault *v)
{
	struct secret *id = NULL;
	int r = 0;

	if (setting(call, CONF_SECRET_ID_FILE))
		r = read_secret(call, CONF_SECRET_ID_FILE, "secret-id-file",
				&id);
	if (r == 0) {
		const struct vault_field fields[] = {
			{ "role_id", setting(call, CONF_ROLE), false },
			{ "secret_id",
			  id ? (const char *)secret_cbytes(id) : NULL, false },
			{ 0 },
		};

		r = log_in(call, v, "approle", fields,
			   "role and secret-id-file");
	}
	secret_free(id);
	return r;
}

static int by_kubernetes(struct kms_call *call, struct vault *v)
{
	struct secret *jwt = NULL;
	int r = read_jwt(call, &jwt);

	if (r == 0) {
		const struct vault_field fields[] = {
			{ "role", setting(call, CONF_ROLE), false },
			{ "jwt", (const char *)secret_cbytes(jwt), false },
			{ 0 },
		};

		r = log_in(call, v, "kubernetes", fields, "role and jwt-file");
	}
	secret_free(jwt);
	return r;
}

static int by_cert(struct kms_call *call, struct vault *v)
{
	const struct vault_field fields[] = {
		{ "name", setting(call, CONF_ROLE), false },
		{ 0 },
	};

	return log_in(call, v, "cert", fields, "cert-file and role");
}

static bool by_file(const struct kms_call *call)
{
	return setting(call, CONF_TOKEN_FILE);
}

int vault_login(struct kms_call *call, struct vault *v)
{
	const char *name = conf_auth_of(call->provider)->name;

	if (v->token && v->ends_ms && now_ms() + MARGIN_MS >= v->ends_ms)
		forget(v);
	if (v->token)
		return 0;
	if (setting(call, CONF_CERT_KEY_FILE) &&
	    trust_secret_file(setting(call, CONF_CERT_KEY_FILE),
			      "cert-key-file") < 0) {
		snprintf(call->error, sizeof(call->error), "NoCredentials");
		return -EACCES;
	}
	if (by_file(call))
		return read_secret(call, CONF_TOKEN_FILE, "token-file",
				   &v->token);
	if (strcmp(name, "approle") == 0)
		return by_approle(call, v);
	if (strcmp(name, "kubernetes") == 0)
		return by_kubernetes(call, v);
	return by_cert(call, v);
}

int vault_logged_out(struct kms_call *call, struct vault *v)
{
	forget(v);
	if (!by_file(call))
		return 0;
	snprintf(call->error, sizeof(call->error), "ExpiredTokenException");
	log_error("key '%s': KMS %s does not know the token in '%s': it has expired, was revoked or never was one; write another",
		  call->key, call->where, setting(call, CONF_TOKEN_FILE));
	return -EHOSTUNREACH;
}
