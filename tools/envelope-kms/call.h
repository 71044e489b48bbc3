/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One authenticated request on its way through its operation: what came in,
 * what goes out, and what the audit trail will say about it.
 */
#ifndef KMS_CALL_H
#define KMS_CALL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "crypto.h"
#include "errors.h"
#include "secret.h"
#include "server.h"

#define CALL_MESSAGE_BYTES 4096
#define CALL_ADDRESS_BYTES 64
#define CALL_ARN_BYTES 512

/*
 * Who signed the request. For a session of a role, @user has the role's name,
 * AROA…:SESSION as its id and the ARN of the session.
 */
struct identity {
	struct user_row user;
	char role_arn[256];        /* "": a user */
	char role_id[65];          /* AROA… */
	char *session_policy;      /* NULL: none; identity_free() */
	char *chain;               /* of session.h, with this role; the same */
	char began_by[ACCESS_KEY_BYTES]; /* of session.h; "": a user */
	int64_t issued_ms;         /* of the session */
	char access_key_id[ACCESS_KEY_BYTES];
	char region[REGION_BYTES]; /* that the request is signed for */
};

/* How requests come. */
enum transport {
	TRANSPORT_TLS,
	TRANSPORT_UNIX,     /* plain HTTP on a UNIX socket */
	TRANSPORT_LOOPBACK, /* plain HTTP on a loopback address */
};

struct call;

struct operation {
	const char *name;       /* as in X-Amz-Target, behind TrentService. */
	int (*handle)(struct call *c); /* NULL: answers Unsupported… */
	const char *logged;     /* parameters for the audit trail, by blanks */
	bool writes;            /* runs inside a transaction */
	bool read_only;         /* as CloudTrail counts it */
};

struct call {
	struct server *server;
	const struct operation *operation; /* NULL: unknown */
	const char *target;       /* operation name as sent, for the trail */
	const char *source;       /* of the event; NULL: KMS */
	struct identity who;
	char request_id[CRYPTO_UUID_BYTES];
	enum transport transport;
	char source_address[CALL_ADDRESS_BYTES]; /* or unix:UID */
	const char *user_agent;   /* NULL: none; not ours */

	json_t *params;           /* the body; an object, or NULL */

	json_t *answer;           /* NULL: an empty body */
	struct secret *plaintext; /* goes out as "Plaintext", base64 */

	json_t *response_elements; /* for the trail; NULL: null */
	json_t *additional;       /* additionalEventData; NULL: none */
	json_t *resources;        /* for the trail; NULL: none */

	bool throttled;          /* its account is beyond its rate */
	enum error error;

	/* Mistakes found in the parameters so far (params.c). */
	bool malformed, no_memory;
	unsigned int violations;

	/* Last, as most calls never write there: call_init(), call_wipe(). */
	char message[CALL_MESSAGE_BYTES]; /* "": none */
	char violation_text[CALL_MESSAGE_BYTES];
};

/* Begins an empty call; ends it for good, after call_free(). */
void call_init(struct call *c, struct server *server);
void call_wipe(struct call *c);

/* Frees what @who owns; the struct itself is the caller's. */
void identity_free(struct identity *who);

/* Frees what the call owns; the struct itself is the caller's. */
void call_free(struct call *c);

/*
 * Ends the call with an error for the client; @fmt "" for no message. Always
 * -EPROTO, which handlers return. A handler that returns another negative
 * number without call_fail() ends in KMSInternalException.
 */
int call_fail(struct call *c, enum error e, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The ARN of a key or an alias in this call's region, into @ret. */
void call_key_arn(const struct key_row *key, char ret[static CALL_ARN_BYTES]);
void call_alias_arn(const struct call *c, const char *name,
		    char ret[static CALL_ARN_BYTES]);

/* A text as a member of @object, NULL included. 0; -ENOMEM. */
int call_put(json_t *object, const char *name, const char *text);

/* Names @arn in the audit record, in the order of the calls. 0; -ENOMEM. */
int call_touches(struct call *c, const char *arn);

#endif
