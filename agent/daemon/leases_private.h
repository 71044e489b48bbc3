/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the loop over the leases shares with what it does to one of them. */
#ifndef ENVELOPE_LEASES_PRIVATE_H
#define ENVELOPE_LEASES_PRIVATE_H

#include "leases.h"
#include "worker.h"

/* A call of Renew that waits for the check under way. */
struct renewal {
	struct call *call;
	struct held *held;	/* NULL: not any more */
	struct renewal *next;
};

/* One lease; found again by name and uuid, as attachments come and go. */
struct held {
	struct agent *agent;
	char name[DM_VOLUME_NAME_CHARS];
	char uuid[HEADER_UUID_CHARS];
	char volume_id[HEADER_VOLUME_ID_CHARS];
	struct lease lease;
	struct worker *worker;		/* of the check under way */
	struct renewal *renewals;
	struct kms_trace trace;		/* of the last check */
	char *grant_token;		/* sent along; NULL: none */
	uint64_t token_until_ms;	/* and then forgotten */
	int recorded;			/* the answer that the audit has last,
					 * or HELD_NOTHING */
	char message[1024];		/* why it was not renewed; "" */
	bool holds_audit;		/* no records: as of the last look */
	bool must_lock;			/* the key could not be revoked yet */
	bool gone;			/* to be freed */
	struct held *next;
};

#define HELD_NOTHING (-1)

/*
 * How long a new grant may be unknown to parts of AWS KMS, which then want its
 * token: "usually less than five minutes" (developer guide, "Grant tokens").
 */
#define HELD_TOKEN_MS 300000u

/* It is good for nothing any more. */
void held_forget_token(struct held *h);

/* Do what @actions say. */
void held_obey(struct held *h, const struct lease_actions *actions);

/* It is locked, by whatever: nobody asks any more. */
void held_locked(struct held *h, const char *cause);

/* Revoke its key, and have must_lock if that failed. */
void held_lock(struct held *h);

/* Drop the worker and whoever waits for it, with -errno @r and @why. */
void held_give_up(struct held *h, int r, const char *why);

struct attachment *held_attachment(const struct held *h);

/*
 * leases_evidence.c: their records in the audit. There is none where the audit
 * lies on the volume itself, which might be locked: a warning of a lock.
 */

/* A lease or a check begins: while it is active, one can look. */
void held_look_for_audit(struct held *h);

/* A check came to @a: recorded where it is another answer than before. */
void held_record_check(struct held *h, enum lease_answer a, const char *why);

/* It was locked, and by nobody's call. */
void held_record_lock(const struct held *h, const char *why);

/* Those who wait for the check: it ended with @r, 0 or -errno, by @why. */
void held_record_renewals(const struct held *h, int r, const char *why);

/* Do what is due, and set the timer to the next. */
void leases_run(void);

#endif
