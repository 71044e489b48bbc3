/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Private to kms: what a provider does and what it is given.
 *
 * A provider turns a question into its protocol and the answer back. Whether
 * the key may be asked about, and whether the answer fits the question, is
 * judged in kms.c for all of them.
 */
#ifndef ENVELOPE_KMS_PROVIDER_H
#define ENVELOPE_KMS_PROVIDER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf.h"
#include "credentials.h"
#include "http.h"
#include "kms.h"
#include "secret.h"

#define KMS_ERROR_BYTES 65
#define KMS_SECTION_BYTES 96	/* "region NAME", "[pkcs11 NAME]" */

enum kms_operation {
	KMS_DECRYPT,
	KMS_GENERATE,		/* GenerateDataKeyWithoutPlaintext */
	KMS_REENCRYPT,
	KMS_ENCRYPT,
	KMS_DESCRIBE,
	KMS_CREATE_GRANT,
	KMS_RETIRE_GRANT,
	KMS_LIST_RETIRABLE,	/* ListRetirableGrants */
	KMS_GET_POLICY,		/* GetKeyPolicy */
};

struct kms_question {
	enum kms_operation operation;
	const char *key;		/* any form; of KMS_REENCRYPT the new */
	const json_t *context;		/* NULL: none */
	const uint8_t *wrapped;		/* of KMS_DECRYPT, KMS_REENCRYPT */
	size_t wrapped_bytes;
	const struct secret *plaintext;	/* of KMS_ENCRYPT */
	const char *source_key;		/* of KMS_REENCRYPT */
	const json_t *source_context;	/* of KMS_REENCRYPT */
	bool dry_run;			/* would it succeed? No answer then */
	bool denial_is_fine;		/* say nothing about that */
	const char *grant_token;	/* of KMS_DECRYPT; NULL: none */
	const char *grant_id;		/* of KMS_RETIRE_GRANT */
	const char *principal;		/* of KMS_LIST_RETIRABLE */
	const char *marker;		/* of KMS_LIST_RETIRABLE; NULL: start */
	const char *body;		/* of KMS_CREATE_GRANT, as signed */
	const struct http_signature *signature; /* of KMS_CREATE_GRANT */
};

/* kms_answer_free() ends it. NULL where the operation gives none. */
struct kms_answer {
	char *key_id;			/* as answered, any text */
	char *source_key_id;		/* of KMS_REENCRYPT */
	struct secret *plaintext;	/* of KMS_DECRYPT, any length */
	uint8_t *blob;			/* 1 to KMS_WRAPPED_MAX_BYTES */
	size_t blob_bytes;
	struct kms_key_info info;	/* of KMS_DESCRIBE, but for arn */
	char *grant_id;			/* of KMS_CREATE_GRANT */
	char *grant_token;		/* of KMS_CREATE_GRANT */
	json_t *grants;			/* of KMS_LIST_RETIRABLE, an array */
	char *marker;			/* of the next page; NULL: the last */
	char *policy;			/* of KMS_GET_POLICY */
};

/* One call: where to, as whom; and what is to be said when it fails. */
struct kms_call {
	const struct conf_region *region;	/* of KEY_AWS, else NULL */
	const struct credentials *credentials;	/* of KEY_AWS, else NULL;
						 * NULL also: signed already */
	const struct conf_provider *provider;	/* of the others */
	const char *ca_file;		/* of @region or @provider, or NULL */
	void **state;			/* of the others: the provider's own,
					 * NULL before the first call */
	struct http *http;
	const char *where;		/* for sentences, as the next three */
	const char *setting;		/* of the section, that leads there */
	char section[KMS_SECTION_BYTES];
	const char *key;
	const char *operation;		/* its name on the wire */
	bool denial_is_fine;		/* as in the question */
	char error[KMS_ERROR_BYTES];	/* as kms_last_error() */
	bool refused_credentials;	/* the failure is about them */
};

struct kms_provider {
	/* Errors as in kms.h, with their sentence and call->error. */
	int (*ask)(struct kms_call *call, const struct kms_question *question,
		   struct kms_answer *ret);
	/* Ends what is in *call->state at the session's end. NULL: nothing. */
	void (*end)(void *state);
	bool local;		/* runs or loads code on this host */
};

/* kms_aws.c */
extern const struct kms_provider kms_provider_aws;

/* As the API calls it: "Decrypt". */
const char *kms_operation_name(enum kms_operation operation);

/*
 * @q as the JSON of AWS KMS, for free(3); @named: with a member Operation, for
 * those who have no header to say it in. NULL: no memory.
 */
char *kms_make_body(const struct kms_question *q, bool named);

/*
 * What @answer says: of status 200 a success, else a refusal. Its body is
 * changed, since the plaintext is cut out. Errors as in kms.h, with their
 * sentence, but for -ENOMEM.
 */
int kms_take_answer(struct kms_call *call, const struct kms_question *q,
		    struct http_answer *answer, struct kms_answer *a);

/* kms_program.c */
extern const struct kms_provider kms_provider_program;

/* kms_pkcs11.c */
extern const struct kms_provider kms_provider_pkcs11;

/* kms_vault.c */
extern const struct kms_provider kms_provider_vault;

/* kms.c */
void kms_answer_free(struct kms_answer *answer);

/* kms_error.c */

/*
 * What an error code of AWS KMS means. A KMSInvalidStateException and an
 * InvalidSignatureException are told apart by their @message, "" when there
 * is none. Unknown codes count by HTTP @status. Never NULL.
 */
struct kms_meaning {
	const char *code;
	int error;		/* -errno as in kms.h */
	bool retry;		/* another attempt may go well */
	bool credentials;	/* it is about them, not about the key */
	const char *cause;
	const char *advice;
};

const struct kms_meaning *kms_meaning_of(const char *code,
					 const char *message, long status);

/* Says what the KMS refused; returns the meaning's error. */
int kms_fail_refused(struct kms_call *call, const char *code,
		     const char *message, long status);

/*
 * Says who must not give a grant on call->key, as far as the KMS's @message
 * tells; returns -EACCES.
 */
int kms_fail_ungranted(struct kms_call *call, const char *code,
		       const char *message);

/* Says why no answer came; returns -EHOSTUNREACH. */
int kms_fail_http(struct kms_call *call, enum http_failure why);

/* An answer that is none: @what says why; returns -EHOSTUNREACH. */
int kms_fail_garbage(struct kms_call *call, const char *what);

/* An answer about something else: returns -EBADMSG. */
int kms_fail_lie(struct kms_call *call, const char *type, const char *what);

/* kms_plaintext.c */

/*
 * Take the string member "Plaintext" of the JSON object in @body out of it,
 * decoded from base64 straight into a secret, and overwrite its text, so that
 * a JSON parser never sees it.
 * 0; -ENOENT (none); -EBADMSG (empty, or no strict base64); -ENOMEM.
 */
int kms_cut_plaintext(char *body, size_t body_bytes, struct secret **ret);

/*
 * The same for the first string member @name of some other protocol: as
 * base64, or as the text itself (printable ASCII without \" and \\), with a
 * NUL behind it that counts in its size.
 */
int kms_cut_base64(char *body, size_t body_bytes, const char *name,
		   struct secret **ret);
int kms_cut_text(char *body, size_t body_bytes, const char *name,
		 struct secret **ret);

/* Is it such text, and not empty? */
bool kms_text_plain(const char *text, size_t len);

/*
 * @body, a JSON object that has members, with the base64 of @plaintext as one
 * more: in locked memory, with a NUL at its end. NULL: no memory.
 */
struct secret *kms_put_plaintext(const char *body,
				 const struct secret *plaintext);

/*
 * Strict base64 (RFC 4648, section 4: padded, no white space, no stray bits)
 * of something that is no secret. *@ret is for free(3).
 * 0; -EBADMSG (not base64, not 1 to @max_bytes bytes); -ENOMEM.
 */
int kms_base64_decode(const char *text, size_t max_bytes, uint8_t **ret,
		      size_t *bytes_ret);

/* NUL-terminated, for free(3). NULL: no memory. */
char *kms_base64_encode(const uint8_t *data, size_t bytes);

#endif
