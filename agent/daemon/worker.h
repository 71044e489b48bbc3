/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A process for each operation that reads a header or asks a KMS: this program
 * again, sandboxed, as nobody. The root part hears from it what the header
 * says, allows the KMS or not, and gets the DEK.
 *
 * Over a socket, in Varlink's framing:
 *
 *	root	{"start": {"config": PATH, "aws_dir": PATH, "known_dir": PATH,
 *		  "timeout_ms": N, "header_file": BOOL, "check": BOOL,
 *		  "event": "...", "grant_token": "..."}}; the last two if any
 *	worker	{"log": {"level": N, "text": "..."}}, as often as it says
 *		something
 *	worker	{"called": {"operation": "...", "key": "...", "request_id": "...",
 *		  "error": "...", "status": N, "duration_us": N}}, for each call
 *		of a KMS
 *	worker	{"header": {"core": {...}, "slots": {...}, "uuid": HEX}}
 *	root	{"grant": {"entry": {...}, "body": "...", "signature": {...}}},
 *		if one is needed
 *	worker	{"granted": {"id": "...", "token": "..."}}, or
 *		{"ungranted": {"sent": BOOL}}
 *	root	{"unwrap": {"slot": N}}, or {"unwrap": {"slots": {...}}}: any of
 *		those in place of the header's, if they are to be changed
 *	root	{"unwrap": {"slot": N, "wrap": {"key_id": "...", "context": {...}}}}:
 *		it wraps the DEK under that key, too, and keeps it for itself
 *	worker	{"wrapped": {"key_id": "...", "ciphertext": "..."}} in place of
 *		"unwrapped"
 *	worker	{"refused": {"cause": "...", "key_id": "..."}}, if a KMS denies
 *	worker	{"unwrapped": {"slot": N}}, and the DEK is in the shared page
 *	worker	{"failed": STATUS, "denied": BOOL}, at any time, and it is the
 *		last one; "denied" (false by default): a KMS said so
 *
 * One that ends grants has {"start": {..., "grant_prefix": "..."}}:
 *
 *	worker	{"listed": {"grants": [...], "complete": BOOL}}
 *	root	{"retire": {"grants": [...]}}
 *	worker	{"retired": {"names": [...]}}
 *
 * One that checks a lease is told at once what the header says:
 *
 *	root	{"header": {...}}
 *	worker	{"checked": {"answer": N}}
 *
 * An answer that was not asked for, or comes a second time, ends the worker.
 */
#ifndef ENVELOPE_WORKER_H
#define ENVELOPE_WORKER_H

#include <stdbool.h>

#include "agent.h"
#include "header.h"
#include "kms_trace.h"
#include "lease.h"
#include "secret.h"

/* In no help text: by it the agent starts a worker. */
#define WORKER_VERB "--worker"

/* Descriptors that a worker has from its start. */
enum worker_fd {
	WORKER_FD_SOCKET = 3,
	WORKER_FD_PAGE = 4,	/* secret_page_put() */
	WORKER_FD_DEVICE = 5,	/* both for reading only */
	WORKER_FD_HEADER = 6,
};

#define WORKER_MAX_BYTES (1u << 20)

/*
 * In "listed" and in "retire", for which a message has room: one is an ARN, an
 * id and two names. Those beyond are of the next time.
 */
#define WORKER_MAX_GRANTS 1000

/* GrantTokenType, KMS API reference. */
#define WORKER_MAX_TOKEN_CHARS 8192

struct worker;

/* What becomes of it. After failed() the worker does nothing more. */
struct worker_events {
	/*
	 * What the header says, in a form that was checked again. Then
	 * worker_unwrap() or worker_free(). The header is the callee's.
	 */
	void (*header)(void *data, struct header *h);
	/* It has been told to ask a KMS, by worker_grant() or worker_unwrap(). */
	void (*asked)(void *data);
	/*
	 * The grant that worker_grant() had sent is made, or (@id NULL) was
	 * refused; if it may exist although it failed, only failed() comes.
	 */
	void (*granted)(void *data, const char *id);
	/* Of a request with grant_prefix; then worker_retire(). */
	void (*listed)(void *data, const json_t *o);
	void (*retired)(void *data, const json_t *o);
	/* The DEK, verified with the header; the callee's. */
	void (*unwrapped)(void *data, size_t slot, struct secret *dek);
	/* After worker_wrap(), in place of unwrapped(); @ciphertext is base64. */
	void (*wrapped)(void *data, const char *key_id, const char *ciphertext);
	/* Of a request with event: a KMS has denied; failed() follows. */
	void (*refused)(void *data, const char *cause, const char *key_id);
	/* Of a request with check; messages.h says why not. */
	void (*checked)(void *data, enum lease_answer answer);
	/* -errno as status.h lists; messages.h has the sentence. */
	void (*failed)(void *data, int r);
};

struct worker_request {
	const char *name;	/* of the device, for messages */
	int device_fd;		/* both stay open until worker_free() */
	int header_fd;		/* -1: the header is on the device */
	const char *event;	/* that a denial is, of event.h; NULL: none */
	const char *grant_prefix; /* NULL; else it ends grants, has no device */
	uid_t uid;		/* for whom: 0 for root and for the agent */
	json_t *check;		/* NULL; else whose lease is checked, by
				 * header_json.h; it has no device */
	const char *grant_token; /* of a check: sent along; NULL: none */
	/*
	 * With whom it shares the policy's number: whom a KMS keeps waiting
	 * waits with those who asked the same. NULL: all attaches.
	 */
	const char *lane;
	unsigned int timeout_ms; /* of the KMS, if not the policy's */
};

/*
 * Start a worker as soon as fewer than the policy's number run in its lane, and
 * of a user that is not root fewer than half of it, rounded up. @data, @events
 * and @request->event outlive it. -EIO, -ENOMEM; prints its own error.
 */
int worker_start(struct agent *agent, const struct worker_request *request,
		 const struct worker_events *events, void *data,
		 struct worker **ret);

/* Send the grant of @request, whose reference it takes. */
void worker_grant(struct worker *w, json_t *request);

/* Retire the grants of the array @grants, whose reference it takes. */
void worker_retire(struct worker *w, json_t *grants);

/*
 * Have worker_unwrap() prove @slots, {"slots": [...]}, whose reference it takes,
 * in place of the header's; both copies of that must be good.
 */
void worker_prove(struct worker *w, json_t *slots);

/*
 * Have worker_unwrap() wrap the DEK under @wish, {"key_id": ..., "context": ...},
 * whose reference it takes, and keep it from everybody.
 */
void worker_wrap(struct worker *w, json_t *wish);

/* The KMS of slot number @slot, or of any to be proven, may be asked now. */
void worker_unwrap(struct worker *w, size_t slot);

/* Was its failure that a KMS denies the key? By the list of event_is_denial(). */
bool worker_denied(const struct worker *w);

/* Nobody waits for @w any more: others of its lane need not wait for it. */
void worker_linger(struct worker *w);

/*
 * The token of the grant that it has made, as long as @w lives. NULL: it has
 * made none.
 */
const char *worker_grant_token(const struct worker *w);

#define WORKER_LANE_BYTES 256

/*
 * A lane for those whose answers come from one KMS, by what key_name.h says of
 * key ids: the region of an ARN, the section of others; behind @kind.
 */
void worker_print_lane(const char *kind, const char *key_id,
		       char ret[WORKER_LANE_BYTES]);

/* volume_clock_ms() of that: no lease begins earlier, or later. */
uint64_t worker_asked_ms(const struct worker *w);

/*
 * Its last call of a KMS but DescribeKey, by its own word; all empty before
 * the first. @w may be NULL.
 */
const struct kms_trace *worker_trace(const struct worker *w);

/* Ends it, whatever it does, also from within its events. NULL is accepted. */
void worker_free(struct worker *w);

/* The body of the process; its exit status. */
int worker_main(void);

#endif
