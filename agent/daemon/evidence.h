/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The agent's records in the audit: whom it served how. */
#ifndef ENVELOPE_EVIDENCE_H
#define ENVELOPE_EVIDENCE_H

#include <stdbool.h>

#include "agent.h"

/* What a record is about; all of it may be NULL. */
struct evidence {
	const char *event;		/* never NULL */
	const char *name;
	const char *device;
	const char *volume_id;
	const char *key_id;
	const char *request_id;
	const char *success;		/* its result; NULL: "done" */
	const char *why;		/* NULL: of a failure, what messages.h
					 * has */
	bool routine;			/* may come often: it waits for no disk,
					 * and is counted as failures are */
};

/*
 * @uid is about to get a key: on the disk when 0 is returned, and without a
 * record he does not get it. -EIO, -ENOMEM; prints its own error.
 */
int evidence_granted(uid_t uid, const struct evidence *e);

/*
 * Something has ended with @r, 0 or -errno, with the sentence of messages.h.
 * Failures of one user beyond 60, and one more a second, are only counted: who
 * may not attach must not fill the disk.
 */
void evidence_ended(uid_t uid, const struct evidence *e, int r);

/* The agent itself has started, or ends. */
void evidence_self(const char *event);

#endif
