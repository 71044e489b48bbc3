// SPDX-License-Identifier: GPL-2.0-or-later
/* Lock and Renew: the key of an attached volume goes at once, or stays. */
#include <errno.h>
#include <stdio.h>

#include "events.h"
#include "evidence.h"
#include "leases.h"
#include "log.h"
#include "look.h"
#include "methods.h"
#include "volume.h"

static void tell(struct agent *agent, const struct dm_volume_status *s,
		 const char *cause)
{
	const struct attachment *a = attachments_of(agent->attachments,
						    &s->volume);

	/* Who keeps the lease tells it. */
	if (a && leases_terms(a).lease_ms)
		leases_locked(agent, a, cause);
	else
		events_tell(&(struct event){
			.name = EVENT_LOCK, .cause = cause,
			.volume_id = s->volume.volume_id,
			.device = s->volume.name,
		}, look_owner(agent, s));
}

/* What was locked already is no news. */
static void record(uid_t uid, const struct dm_volume_status *before,
		   bool holds_audit, int r)
{
	if (holds_audit)
		log_warn("'%s' has this host's audit, which has no record of the lock",
			 before->volume.name);
	else if (r < 0 || before->state == DM_STATE_ACTIVE)
		evidence_ended(uid, &(struct evidence){
			.event = "lock", .name = before->volume.name,
			.volume_id = before->volume.volume_id }, r);
}

static int check_force(const struct volume_lock_options *o, uid_t uid)
{
	if (!o->force || uid == 0)
		return 0;
	log_error("'%s': only root may lock by force what this system runs from",
		  o->name);
	return -EACCES;
}

void method_lock(struct call *c)
{
	struct dm_volume_status before, after;
	struct volume_lock_options o = { 0 };
	const char *name = NULL;
	const struct param params[] = {
		{ "name", PARAM_TEXT, true, &name },
		{ "force", PARAM_BOOL, false, &o.force },
		{ 0 }
	};
	unsigned int uid = call_caller(c)->uid;
	bool holds_audit;
	char cause[64];
	int r;

	if (call_params(c, params) < 0)
		return;
	r = look_find(c, name, &before);
	if (r < 0) {
		look_missing(c, name, r);
		return;
	}
	o.name = before.volume.name;
	/* Behind the lock, even to look might wait. */
	holds_audit = volume_holds_audit(&before);
	r = check_force(&o, uid);
	if (r == 0)
		r = volume_lock(&o, &after);
	record(uid, &before, holds_audit, r);
	if (r < 0) {
		call_fail(c, r);
		return;
	}
	snprintf(cause, sizeof(cause), "by user %u", uid);
	if (before.state == DM_STATE_ACTIVE)
		tell(call_agent(c), &after, cause);
	call_reply(c, json_pack("{s:s, s:s, s:s}", "name", after.volume.name,
				"volume_id", after.volume.volume_id,
				"reason", after.reason));
}

void method_renew(struct call *c)
{
	struct agent *agent = call_agent(c);
	struct dm_volume_status s;
	const char *name = NULL;
	const struct param params[] = {
		{ "name", PARAM_TEXT, true, &name },
		{ 0 }
	};
	int r;

	if (call_params(c, params) < 0)
		return;
	r = look_find(c, name, &s);
	if (r < 0)
		look_missing(c, name, r);
	else
		leases_renew(c, attachments_of(agent->attachments, &s.volume),
			     &s);
}
