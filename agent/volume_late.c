// SPDX-License-Identifier: GPL-2.0-or-later
/* A KMS denies the key of a volume that another slot has opened: it locks. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "audit.h"
#include "event.h"
#include "keyring.h"
#include "kms_trace.h"
#include "log.h"
#include "volume_private.h"

#define AGAIN_SECONDS 1
#define WHY_BYTES 2048		/* as a sentence of the process that asks */

struct late {
	const struct late_order *order;
	char why[WHY_BYTES];	/* it was denied */
	bool begun;		/* the volume was active when it was looked at */
	bool recorded;		/* the audit is not on that very volume */
};

/* The lock comes first: its record may have to go onto that very volume. */
static void tell(const struct late *l, bool failed, const char *cause)
{
	const struct late_order *order = l->order;
	const struct kms_trace *t = kms_trace_last();

	event_to_journal(&(struct event){
		.name = EVENT_LOCK, .failed = failed, .cause = cause,
		.device = order->name, .volume_id = order->volume_id,
		.key_id = t->key,
	});
	if (l->recorded && geteuid() == 0)
		audit_write(&(struct audit_record){
			.event = "lock", .result = failed ? "failed" : "done",
			.uid = getuid(), .by = "envelope",
			.name = order->name, .volume_id = order->volume_id,
			.key_id = t->key, .request_id = t->request_id,
			.why = cause,
		}, AUDIT_AFTERWARDS);
}

/*
 * 0: it was active and is locked. 1: there is nothing to lock, since it was
 * detached or locked meanwhile.
 */
static int try_lock(struct late *l)
{
	const struct late_order *order = l->order;
	struct dm_volume_status s, after;
	int r = dm_volume_status_get(order->name, &s);

	if (r == 0 && strcmp(s.volume.volume_id, order->volume_id) != 0)
		return 1;
	if (r < 0) {
		/* Detached, or under another name: without its key it locks. */
		int dropped = keyring_drop_dek(order->volume_id);

		return dropped < 0 ? dropped : r == -ENXIO ? 1 : r;
	}
	if (s.state != DM_STATE_ACTIVE)
		return l->begun ? 0 : 1;
	l->begun = true;
	l->recorded = !volume_holds_audit(&s);
	r = volume_end_key(&s, &after);
	if (r == 0 && after.state == DM_STATE_ACTIVE) {
		log_error("'%s': it is active without its key", order->name);
		r = -EIO;
	}
	return r;
}

void volume_lock_late(const struct late_order *order, const char *why)
{
	const struct timespec pause = { .tv_sec = AGAIN_SECONDS };
	struct late l = { .order = order };
	char text[2 * WHY_BYTES];
	int r;

	snprintf(l.why, sizeof(l.why), "%s", why);
	r = try_lock(&l);
	if (r < 0) {
		nanosleep(&pause, NULL);
		r = try_lock(&l);
	}
	if (r == 0)
		tell(&l, false, l.why);
	if (r >= 0)
		return;
	snprintf(text, sizeof(text), "'%s' stays usable, as it cannot be locked: %s: 'envelope lock %s' does it; %s",
		 order->name, log_last_error(), order->name, l.why);
	tell(&l, true, text);
}
