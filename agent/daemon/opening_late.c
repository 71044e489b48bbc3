// SPDX-License-Identifier: GPL-2.0-or-later
/* A denial that comes when another slot has opened the volume locks it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "events.h"
#include "evidence.h"
#include "leases.h"
#include "log.h"
#include "messages.h"
#include "opening_private.h"
#include "volume.h"

#define AGAIN_MS 1000u		/* to lock it, as nothing else may */

void late_done(struct opening *o)
{
	if (!o->attempts && !o->timer)
		opening_free(o);
}

static struct attachment *find(const struct opening *o)
{
	struct attachment *a = attachments_first(o->agent->attachments);

	while (a && (strcmp(a->name, o->name) != 0 ||
		     strcmp(a->uuid, o->uuid) != 0))
		a = a->next;
	return a;
}

static void tell(const struct opening *o, const struct attachment *a)
{
	log_error("'%s' is locked: %s", a->name, o->why);
	if (leases_terms(a).lease_ms)
		leases_locked(o->agent, a, o->why);
	else
		events_tell(&(struct event){
			.name = EVENT_LOCK, .cause = o->why,
			.volume_id = a->volume_id, .key_id = o->trace.key,
			.device = a->name,
		}, a->uid);
}

static void record(const struct opening *o, const struct attachment *a)
{
	evidence_ended(0, &(struct evidence){
		.event = "lock", .name = a->name, .volume_id = a->volume_id,
		.key_id = o->trace.key, .request_id = o->trace.request_id,
		.why = o->why,
	}, 0);
}

/*
 * Whoever unlocks it signs another one. Who unlocks it without the agent has
 * none, and a check by its slot would be a denial.
 */
static void retire(const struct opening *o, struct attachment *a)
{
	json_object_del(a->more, GRANTS_MORE);
	json_object_del(a->more, LEASES_MORE_HEADER);
	attachments_save(o->agent->attachments);
	grants_tidy(o->agent);
}

/* -errno: it could not be locked, and is usable still. */
static int lock(struct opening *o)
{
	struct attachment *a = find(o);
	struct dm_volume_status s, after;
	bool active, recorded;
	int r;

	if (!a)
		return 0;
	r = dm_volume_status_get(o->name, &s);
	if (r == -ENXIO || (r == 0 && strcmp(s.volume.uuid, o->uuid) != 0))
		return 0;
	active = r == 0 && s.state == DM_STATE_ACTIVE;
	/* Behind the lock, even to look might wait. */
	recorded = active && !volume_holds_audit(&s);
	if (r == 0)
		r = volume_end_key(&s, &after);
	if (r < 0)
		return r;
	if (active)
		tell(o, a);
	if (recorded)
		record(o, a);
	retire(o, a);
	return 0;
}

static void lock_again(struct opening *o);

static int on_time(sd_event_source *source, uint64_t usec, void *data)
{
	struct opening *o = data;

	(void)source;
	(void)usec;
	o->timer = sd_event_source_disable_unref(o->timer);
	lock_again(o);
	late_done(o);
	return 0;
}

static void lock_again(struct opening *o)
{
	if (o->timer || lock(o) == 0)
		return;
	log_error("'%s': a KMS denies its key, but it cannot be locked: trying again",
		  o->name);
	if (sd_event_add_time_relative(o->agent->event, &o->timer,
				       CLOCK_BOOTTIME, AGAIN_MS * 1000ull, 0,
				       on_time, o) < 0)
		log_error("out of memory: '%s' stays usable", o->name);
}

void late_denied(const struct attempt *t)
{
	struct opening *o = t->opening;

	snprintf(o->why, sizeof(o->why), "the KMS of slot %zu denies its key: %s",
		 t->slot, t->cause[0] ? t->cause : messages_error());
	o->trace = *worker_trace(t->worker);
	lock_again(o);
}
