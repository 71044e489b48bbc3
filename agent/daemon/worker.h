/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A process for each operation that reads a header or asks a KMS: this program
 * again, sandboxed, as nobody. The root part hears from it what the header
 * says, allows the KMS or not, and gets the DEK.
 *
 * Over a socket, in Varlink's framing:
 *
 *	root	{"start": {"config": PATH, "aws_dir": PATH, "known_dir": PATH,
 *		  "timeout_ms": N, "header_file": BOOL}}
 *	worker	{"log": {"level": N, "text": "..."}}, as often as it says
 *		something
 *	worker	{"header": {"core": {...}, "slots": {...}, "uuid": HEX}}
 *	root	{"grant": {"entry": {...}, "body": "...", "signature": {...}}},
 *		if one is needed
 *	worker	{"granted": {"id": "..."}}, or {"ungranted": {"sent": BOOL}}
 *	root	{"unwrap": {}}
 *	worker	{"unwrapped": {"slot": N}}, and the DEK is in the shared page
 *	worker	{"failed": STATUS}, at any time, and it is the last one
 *
 * One that ends grants has {"start": {..., "grant_prefix": "..."}}:
 *
 *	worker	{"listed": {"grants": [...], "complete": BOOL}}
 *	root	{"retire": {"grants": [...]}}
 *	worker	{"retired": {"names": [...]}}
 */
#ifndef ENVELOPE_WORKER_H
#define ENVELOPE_WORKER_H

#include <stdbool.h>

#include "agent.h"
#include "header.h"
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

struct worker;

/* What becomes of it. After failed() the worker does nothing more. */
struct worker_events {
	/*
	 * What the header says, in a form that was checked again. Then
	 * worker_unwrap() or worker_free(). The header is the callee's.
	 */
	void (*header)(void *data, struct header *h);
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
	/* -errno as status.h lists; messages.h has the sentence. */
	void (*failed)(void *data, int r);
};

struct worker_request {
	const char *name;	/* of the device, for messages */
	int device_fd;		/* both stay open until worker_free() */
	int header_fd;		/* -1: the header is on the device */
	const char *grant_prefix; /* NULL; else it ends grants, has no device */
};

/*
 * Start a worker as soon as fewer than the policy's number run. @data and
 * @events outlive it. -EIO, -ENOMEM; prints its own error.
 */
int worker_start(struct agent *agent, const struct worker_request *request,
		 const struct worker_events *events, void *data,
		 struct worker **ret);

/* Send the grant of @request, whose reference it takes. */
void worker_grant(struct worker *w, json_t *request);

/* Retire the grants of the array @grants, whose reference it takes. */
void worker_retire(struct worker *w, json_t *grants);

/* The KMS may be asked now. */
void worker_unwrap(struct worker *w);

/* Ends it, whatever it does, also from within its events. NULL is accepted. */
void worker_free(struct worker *w);

/* The body of the process; its exit status. */
int worker_main(void);

#endif
