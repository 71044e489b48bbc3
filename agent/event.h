/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What happens to volumes, in the journal of this host: one message, with the
 * fields
 *
 *	ENVELOPE_EVENT	    createVolume, attachVolume or reattachVolume, which
 *			    Amazon EBS reports, too, and those of the agent
 *	ENVELOPE_RESULT	    failed or succeeded
 *	ENVELOPE_CAUSE	    of a failure that EBS reports: "ARN is disabled.",
 *			    "ARN is pending import.", "ARN is pending deletion.",
 *			    or a sentence for all else that a KMS denies
 *	ENVELOPE_VOLUME_ID  vol-...
 *	ENVELOPE_KEY_ID	    the key, as far as it is known by its ARN
 *	ENVELOPE_NAME	    of the device
 *
 * The last two and the cause only where they are known.
 */
#ifndef ENVELOPE_EVENT_H
#define ENVELOPE_EVENT_H

#include <stdbool.h>

#include "kms.h"

#define EVENT_CREATE "createVolume"
#define EVENT_ATTACH "attachVolume"
#define EVENT_REATTACH "reattachVolume"	/* the unlock of an attached one */
#define EVENT_LOCK "lockVolume"
#define EVENT_RECOVER "recoverVolume"	/* no failure, see below */

/* Is @code, of kms_last_error(), that of a KMS that denies? */
bool event_is_denial(const char *code);

#define EVENT_CAUSE_BYTES (ARN_TEXT_BYTES + 64)

/* NULL: not known. */
struct event {
	const char *name;
	bool failed;
	bool routine;		/* nobody need look at it */
	const char *cause;
	const char *volume_id;
	const char *key_id;
	const char *device;	/* its name */
};

/* Tell the journal. Without one nothing happens. */
void event_to_journal(const struct event *e);

/* Who is told of refusals, in place of the journal; NULL: the journal. */
void event_set_sink(void (*sink)(const struct event *e));

/*
 * @kms has just refused @key (any form; NULL: the default key) to @volume_id:
 * if a KMS denied it, tell the journal, or the sink. DescribeKey is asked for
 * the cause, where the caller may do that; nothing is printed.
 */
void event_refused(struct kms *kms, const char *event, const char *volume_id,
		   const char *key);

/*
 * @volume_id was opened by the recovery key @key_id: EVENT_RECOVER, of result
 * succeeded and without a cause. EBS has no such event.
 */
void event_recovered(const char *volume_id, const char *key_id);

#endif
