/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A volume's DEK from whichever slot gives it first: each slot is asked by a
 * worker of its own, with a grant of its own, the next one when the one before
 * has been silent for VOLUME_NEXT_SLOT_MS or is unreachable. A denial ends it;
 * one that comes when another slot has opened the volume locks that.
 */
#ifndef ENVELOPE_OPENING_H
#define ENVELOPE_OPENING_H

#include "attachments.h"
#include "grants.h"
#include "server.h"
#include "worker.h"

struct opening;

/* What becomes of it. After failed() there is nothing but opening_free(). */
struct opening_events {
	/* The header is the callee's; then opening_ask() or opening_free(). */
	void (*header)(void *data, struct header *h);
	/*
	 * The DEK, which is the callee's, by @slot and the grant @grant, which
	 * is not (NULL: none was needed). Then opening_leave() or
	 * opening_free().
	 */
	void (*unwrapped)(void *data, size_t slot,
			  const struct grant_hold *grant, struct secret *dek);
	/* A KMS has denied; failed() follows. */
	void (*refused)(void *data, const char *cause, const char *key_id);
	/* -errno as status.h lists; messages.h has the sentence. */
	void (*failed)(void *data, int r);
};

/*
 * Read the header by a worker of @request, all of which, @events and @data
 * outlive it; @c is who wants it. As worker_start().
 */
int opening_start(struct call *c, const struct worker_request *request,
		  const struct opening_events *events, void *data,
		  struct opening **ret);

/*
 * Ask the KMS of the first slot of @h, which outlives it. -EACCES: none that
 * can be used; else as sign_ask(), which see for who has gone.
 */
int opening_ask(struct opening *o, const struct header *h);

/* The caller's word for the grant that the worker @w is to send: none. */
void opening_declined(const struct worker *w);

/* The call that counts, as worker_trace(); @o may be NULL. */
const struct kms_trace *opening_trace(const struct opening *o);

/* When the one that has unwrapped was asked to, as worker_asked_ms(). */
uint64_t opening_asked_ms(const struct opening *o);

/* The token of the grant by which it has, as worker_grant_token(). */
const char *opening_grant_token(const struct opening *o);

/*
 * The volume has its key, and is @a: whoever has not answered yet may still
 * lock it. @o is not the caller's any more.
 */
void opening_leave(struct opening *o, const struct attachment *a);

/* @a is detached: nobody is waited for any more. */
void opening_forget(const struct attachment *a);

/* Ends it, whatever it does, also from within its events. NULL is accepted. */
void opening_free(struct opening *o);

/* Forget those that were left. */
void openings_stop(void);

#endif
