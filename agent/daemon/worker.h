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
 *	root	{"unwrap": {}}
 *	worker	{"unwrapped": {"slot": N}}, and the DEK is in the shared page
 *	worker	{"failed": STATUS}, at any time, and it is the last one
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
	/* The DEK, verified with the header; the callee's. */
	void (*unwrapped)(void *data, size_t slot, struct secret *dek);
	/* -errno as status.h lists; messages.h has the sentence. */
	void (*failed)(void *data, int r);
};

struct worker_request {
	const char *name;	/* of the device, for messages */
	int device_fd;		/* both stay open until worker_free() */
	int header_fd;		/* -1: the header is on the device */
};

/*
 * Start a worker as soon as fewer than the policy's number run. @data and
 * @events outlive it. -EIO, -ENOMEM; prints its own error.
 */
int worker_start(struct agent *agent, const struct worker_request *request,
		 const struct worker_events *events, void *data,
		 struct worker **ret);

/* The KMS may be asked now. */
void worker_unwrap(struct worker *w);

/* Ends it, whatever it does, also from within its events. NULL is accepted. */
void worker_free(struct worker *w);

/* The body of the process; its exit status. */
int worker_main(void);

#endif
