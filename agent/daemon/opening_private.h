/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an opening shares with what it may do when it was left. */
#ifndef ENVELOPE_OPENING_PRIVATE_H
#define ENVELOPE_OPENING_PRIVATE_H

#include "event.h"
#include "opening.h"

/* One slot; in the list in front of those asked before. */
struct attempt {
	struct opening *opening;
	size_t slot;
	struct worker *worker;
	struct grant_hold *grant;	/* NULL: none is needed */
	bool asked;			/* its KMS, which may deny it */
	char cause[EVENT_CAUSE_BYTES];	/* of a denial; "" */
	struct attempt *next;
};

struct opening {
	struct agent *agent;
	struct call *call;		/* all of these until it is left */
	struct worker_request request;
	const struct opening_events *events;
	void *data;
	const struct header *header;	/* NULL: nobody is to be asked yet */
	json_t *said;			/* what it says; NULL: not yet read */
	struct attempt *attempts;	/* in flight */
	struct attempt *opened_by;
	size_t next_slot;		/* to be asked */
	int fault;			/* of this host; 0: none */
	char why[1024];			/* of the fault, or of the denial */
	sd_event_source *timer;		/* NULL: nothing to be done by itself */
	struct kms_trace trace;		/* of the last that has ended */
	bool left;
	char name[DM_VOLUME_NAME_CHARS]; /* of what it has opened */
	char uuid[HEADER_UUID_CHARS];
	struct opening *next;
};

/*
 * opening_late.c
 */

/* The KMS of @t, whose opening was left, denies: its volume is locked. */
void late_denied(const struct attempt *t);

/* Free @o, which was left, if nobody is to be waited for any more. */
void late_done(struct opening *o);

#endif
