/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The failures that Amazon EBS reports as events, in the journal of this host:
 * one message, with the fields
 *
 *	ENVELOPE_EVENT	    createVolume, attachVolume or reattachVolume
 *	ENVELOPE_RESULT	    failed
 *	ENVELOPE_CAUSE	    "ARN is disabled.", "ARN is pending import.", "ARN
 *			    is pending deletion.", or a sentence for all else
 *			    that a KMS denies
 *	ENVELOPE_VOLUME_ID  vol-...
 *	ENVELOPE_KEY_ID	    the key, as far as it is known by its ARN
 */
#ifndef ENVELOPE_EVENT_H
#define ENVELOPE_EVENT_H

#include "kms.h"

#define EVENT_CREATE "createVolume"
#define EVENT_ATTACH "attachVolume"
#define EVENT_REATTACH "reattachVolume"	/* the unlock of an attached one */

/*
 * @kms has just refused @key (any form; NULL: the default key) to @volume_id:
 * if a KMS denied it, tell the journal. DescribeKey is asked for the cause,
 * where the caller may do that. Without a journal nothing else happens.
 */
void event_refused(struct kms *kms, const char *event, const char *volume_id,
		   const char *key);

#endif
