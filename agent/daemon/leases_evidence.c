// SPDX-License-Identifier: GPL-2.0-or-later
/* What the audit has of leases: each change, and not each question. */
#include <errno.h>

#include "evidence.h"
#include "leases_private.h"
#include "log.h"
#include "volume.h"

/*
 * A record there would wait for the unlock, and the unlock for the record; a
 * look behind the lock might wait, too.
 */
void held_look_for_audit(struct held *h)
{
	struct dm_volume_status s;

	if (dm_volume_status_get(h->name, &s) == 0 &&
	    s.state == DM_STATE_ACTIVE)
		h->holds_audit = volume_holds_audit(&s);
}

static struct evidence describe(const struct held *h, const char *event,
				const char *why)
{
	return (struct evidence){
		.event = event,
		.name = h->name,
		.volume_id = h->volume_id,
		.key_id = h->trace.key,
		.request_id = h->trace.request_id,
		.why = why ? why : "",
	};
}

static int result_of(enum lease_answer a)
{
	switch (a) {
	case LEASE_GRANTED:
		return 0;
	case LEASE_DENIED:
		return -EACCES;
	case LEASE_ALARM:
		return -EBADMSG;
	default:
		return -EHOSTUNREACH;
	}
}

void held_record_check(struct held *h, enum lease_answer a, const char *why)
{
	struct evidence e = describe(h, "lease-check", why);

	if (h->recorded == (int)a || h->holds_audit)
		return;
	h->recorded = a;
	e.success = "granted";
	e.routine = true;
	evidence_ended(0, &e, result_of(a));
}

void held_record_lock(const struct held *h, const char *why)
{
	const struct evidence e = describe(h, "lock", why);

	if (h->holds_audit)
		log_warn("'%s' has this host's audit, which has no record of the lock",
			 h->name);
	else
		evidence_ended(0, &e, 0);
}

void held_record_renewals(const struct held *h, int r, const char *why)
{
	struct evidence e = describe(h, "renew", why);
	const struct renewal *next = h->renewals;

	e.routine = true;
	if (!next || h->holds_audit)
		return;
	for (; next; next = next->next)
		evidence_ended(call_caller(next->call)->uid, &e, r);
}
