/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Private to kms_vault: HashiCorp Vault's HTTP API, which OpenBao has too.
 * Every request is /v1/PATH with a token; what goes wrong has its sentence.
 */
#ifndef ENVELOPE_KMS_VAULT_H
#define ENVELOPE_KMS_VAULT_H

#include "kms_provider.h"

/* What is kept for a section. */
struct vault {
	struct secret *token;		/* with a NUL behind; NULL: none yet */
	uint64_t ends_ms;		/* CLOCK_MONOTONIC; 0: not known */
	/* The key that was last seen to be derived, or "". */
	char derived[KEY_OBJECT_BYTES];
};

/* A member of a request's JSON object: text that needs no escapes. */
struct vault_field {
	const char *name;		/* NULL behind the last */
	const char *value;		/* may be a secret; NULL: left out */
	bool number;
};

/*
 * POST @fields, or with NULL GET, /v1/@path; a token is got where there is
 * none. 0 with an answer of status 200 in *@ret, for http_answer_wipe();
 * errors as in kms.h, with their sentence.
 */
int vault_ask(struct kms_call *call, struct vault *v, const char *path,
	      const struct vault_field *fields, struct http_answer *ret);

/* Parses @answer, its secrets cut out, into an object. Errors as above. */
int vault_parse(struct kms_call *call, const struct http_answer *answer,
		json_t **ret);

/* Says that memory is short; returns -ENOMEM. */
int vault_no_memory(struct kms_call *call);

/* Says @what, with @type for kms_last_error(); returns @error. */
int vault_refuse(struct kms_call *call, int error, const char *type,
		 const char *what);

/* kms_vault_http.c, for kms_vault_login.c: one request, as whom @token is. */

/* 0 with an answer of any status; -EHOSTUNREACH and -ENOMEM, said. */
int vault_send(struct kms_call *call, const struct secret *token,
	       const char *path, const struct vault_field *fields,
	       struct http_answer *ret);

/* Says why @answer, of another status than 200, is none. */
int vault_judge(struct kms_call *call, const struct http_answer *answer);

/* kms_vault_login.c */

/* Sees to it that v->token is one that may be valid. */
int vault_login(struct kms_call *call, struct vault *v);

/*
 * The server does not know v->token: forgets it. 0 where another can be got by
 * vault_login(); -EHOSTUNREACH, said, where it is a file's.
 */
int vault_logged_out(struct kms_call *call, struct vault *v);

#endif
