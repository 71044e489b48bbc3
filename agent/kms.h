/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * KMS operations. A provider (kms_provider.h) speaks one vendor's protocol;
 * what must hold whatever the vendor says is checked here, once.
 *
 * Every function that fails has printed one sentence: KMS, key, cause, what
 * to do. Errors of all calls, by exit status:
 *
 *	-EACCES (3)	  the KMS denies: AccessDenied, key disabled, pending
 *			  deletion or import, not found, of another kind;
 *			  the wrapped key refused (other context, other key);
 *			  credentials refused; or this host's configuration
 *			  does not allow the key (nothing was sent)
 *	-EHOSTUNREACH (4) no usable answer in time: network, TLS, throttling,
 *			  5xx, redirect, garbage, oversized; credentials
 *			  expired, incomplete or absent
 *	-EBADMSG (6)	  an answer in due form that is not about this volume:
 *			  another KeyId, not 64 bytes, equal halves. Nothing
 *			  else is tried, since somebody is lying
 *	-EIO, -ENOTSUP (1) the KMS refuses for any other reason: malformed in its
 *			  eyes, not supported, quota, an unknown code
 *	-EINVAL (2)	  an argument that no KMS would take
 *	-ENOMEM		  memory, or the limit of locked memory
 */
#ifndef ENVELOPE_KMS_H
#define ENVELOPE_KMS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arn.h"
#include "conf.h"
#include "grant.h"
#include "secret.h"

#define KMS_DEK_BYTES 64	/* AES-256-XTS: two different halves */
#define KMS_WRAPPED_MAX_BYTES 6144
#define KMS_DEFAULT_TIMEOUT_MS 30000

struct kms;

/*
 * A session: @conf (borrowed, outlives it), credentials (read at the first
 * call into a region), connections, and one time budget of @timeout_ms over
 * everything, which starts now. No network call yet.
 * 0 with *@ret for kms_free(); -EINVAL (@timeout_ms is 0 or over a day);
 * -ENOMEM; -EIO: no libcurl, which has been said.
 */
int kms_open(const struct conf *conf, unsigned int timeout_ms,
	     struct kms **ret);

/* Closes connections, wipes credentials. NULL is accepted. */
void kms_free(struct kms *kms);

/*
 * Is provider @name (a slot's field) one that this program can speak to? Which
 * one a call goes to is the key's to say. -EINVAL with a sentence if not.
 */
int kms_check_provider(const char *name);

/*
 * A new time budget, from now on, for a session that lives long: it keeps its
 * connections and renews its credentials before they expire.
 * 0; -EINVAL (@timeout_ms is 0 or over a day).
 */
int kms_restart(struct kms *kms, unsigned int timeout_ms);

/*
 * From now on no key whose provider runs or loads code on this host, for a
 * process that is confined: -ENOTSUP, and the sentence names --direct.
 */
void kms_forbid_local(struct kms *kms);

/* The next call opens a connection of its own (the rehearsal wants that). */
void kms_fresh_connection(struct kms *kms);

/*
 * Unwrap @wrapped_bytes (1 to KMS_WRAPPED_MAX_BYTES) at @wrapped under the
 * key ARN, or key id of another provider, @key_arn with the string-to-string
 * object @context (borrowed).
 * KeyId is always sent; the answer's must equal it; the DEK is exactly
 * KMS_DEK_BYTES with different halves. *@dek_ret is the caller's.
 */
int kms_decrypt(struct kms *kms, const char *key_arn, const json_t *context,
		const uint8_t *wrapped, size_t wrapped_bytes,
		struct secret **dek_ret);

/*
 * Would kms_decrypt() succeed? Asked by DryRun, so that no DEK comes out; from
 * a KMS that does not know DryRun it does, and is wiped at once. 0: it would.
 */
int kms_try_decrypt(struct kms *kms, const char *key_arn, const json_t *context,
		    const uint8_t *wrapped, size_t wrapped_bytes);

/* A wrapped key as the KMS gave it; kms_wrapped_free() ends it. */
struct kms_wrapped {
	char *key_arn;		/* of a key, never of an alias; or key_name.h */
	uint8_t *blob;
	size_t blob_bytes;	/* 1 to KMS_WRAPPED_MAX_BYTES */
};

void kms_wrapped_free(struct kms_wrapped *w);

/*
 * A new DEK of KMS_DEK_BYTES, wrapped under @key (id, ARN, alias name or
 * alias ARN, or as key_name.h; NULL: the configuration's default-key) and bound
 * to @context. A provider that cannot make one has it made here, in locked
 * memory, and wiped before this returns.
 */
int kms_generate_data_key_without_plaintext(struct kms *kms, const char *key,
					    const json_t *context,
					    struct kms_wrapped *ret);

/*
 * Wrap @dek, which is there already, under @key (as above) and bind it to
 * @context: for a key that is elsewhere than the one it is wrapped under. The
 * KMS sees it. -EINVAL: not KMS_DEK_BYTES.
 */
int kms_encrypt(struct kms *kms, const char *key, const json_t *context,
		const struct secret *dek, struct kms_wrapped *ret);

/*
 * Would kms_generate_data_key_without_plaintext() succeed? Asked by
 * DryRun, so that nothing is made. Only of an AWS KMS.
 */
int kms_try_generate(struct kms *kms, const char *key, const json_t *context);

/*
 * The key policy of @key_arn, JSON from outside, for free(3). An AccessDenied
 * prints nothing.
 */
int kms_key_policy(struct kms *kms, const char *key_arn, char **ret);

/* As whom calls into @region are signed; as credentials_get(). */
int kms_credentials(struct kms *kms, const struct conf_region *region,
		    const struct credentials **ret);

/* For kms_reencrypt(): what is wrapped how, and how it shall be. */
struct kms_reencrypt_args {
	const char *source_key_arn;
	const json_t *source_context;
	const uint8_t *wrapped;
	size_t wrapped_bytes;
	const char *key;		/* any form, same region, or same
					 * section; NULL: default */
	const json_t *context;
};

/*
 * Rewrap inside the KMS; the DEK never comes out, but for providers that have
 * no such operation: there through locked memory here.
 */
int kms_reencrypt(struct kms *kms, const struct kms_reencrypt_args *args,
		  struct kms_wrapped *ret);

/*
 * Decrypt names this grant from now on, so that it counts before the KMS has
 * spread the news of it; NULL: none. The token is copied. -ENOMEM.
 */
int kms_use_grant_token(struct kms *kms, const char *token);

/* A CreateGrant that somebody else signed; see grant.h and sigv4.h. */
struct kms_signed_grant {
	const char *key_arn;	/* as in @body */
	const char *body;	/* sent as it is */
	bool dry_run;		/* as in @body */
	const char *date;	/* X-Amz-Date */
	const char *authorization;
	const char *session_token; /* NULL: none */
};

/*
 * The user's side: sign @body, which grant_check() has passed, with the
 * credentials of this session, for the endpoint that the configuration has for
 * the region of @key_arn. The session token (NULL: none) is valid until
 * kms_free(). Nothing is sent.
 */
int kms_sign_grant(struct kms *kms, const char *key_arn, const char *body,
		   struct grant_signature *ret, const char **token_ret);

#define KMS_GRANT_ID_BYTES 129	/* with the NUL */

struct kms_grant {
	char id[KMS_GRANT_ID_BYTES];
	char *token;		/* kms_grant_free() */
};

void kms_grant_free(struct kms_grant *grant);

/*
 * Send @request to the endpoint that this host has for the key's region. With
 * dry_run: would it succeed? @ret stays untouched then. A denial names who was
 * denied what.
 */
int kms_create_grant(struct kms *kms, const struct kms_signed_grant *request,
		     struct kms_grant *ret);

/* End grant @id on @key_arn. 0 also where there is none any more. */
int kms_retire_grant(struct kms *kms, const char *key_arn, const char *id);

/*
 * Grants in @region that @principal may retire, page by page: called with each
 * one's key ARN, id and Name ("" without). It stops where @each returns
 * anything but 0 and returns that.
 */
int kms_each_retirable(struct kms *kms, const char *region,
		       const char *principal,
		       int (*each)(void *user, const char *key_arn,
				   const char *id, const char *name),
		       void *user);

struct kms_key_info {
	char arn[ARN_TEXT_BYTES];
	char state[32];		/* "Enabled", "Disabled", "PendingDeletion" */
	char usage[32];		/* "ENCRYPT_DECRYPT" */
	char spec[32];		/* "SYMMETRIC_DEFAULT" */
	char manager[16];	/* "AWS" or "CUSTOMER" */
	char description[256];	/* cut where longer */
	bool enabled;
};

/* What the KMS says about @key (as above); prints nothing but failures. */
int kms_describe_key(struct kms *kms, const char *key,
		     struct kms_key_info *ret);

/*
 * The same where the caller need not be allowed to ask: an AccessDenied prints
 * nothing, kms_last_error() tells.
 */
int kms_describe_if_allowed(struct kms *kms, const char *key,
			    struct kms_key_info *ret);

/*
 * The last failure's type, for --json: the KMS's own error code
 * ("AccessDeniedException"), or ours: "NotAllowed", "NoCredentials",
 * "NoConnection", "Timeout", "Throttled", "Tls", "CaFile", "CertFile",
 * "Oversized", "Redirect", "Garbage", "WrongKeyId", "WrongLength", "EqualHalves",
 * "Internal"; "" when the last call went well. Valid until the next call.
 */
const char *kms_last_error(const struct kms *kms);

/* HTTP attempts made by the last call. */
unsigned int kms_last_attempts(const struct kms *kms);

#endif
