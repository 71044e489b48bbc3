// SPDX-License-Identifier: GPL-2.0-or-later
/* Unlock: as an attach, but for the device, which is there and waits. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "events.h"
#include "evidence.h"
#include "grants.h"
#include "known.h"
#include "leases.h"
#include "live.h"
#include "log.h"
#include "look.h"
#include "messages.h"
#include "methods.h"
#include "opening.h"
#include "volume.h"

/* One unlock under way. */
struct unlock {
	struct agent *agent;
	struct call *call;
	struct live live;
	bool holds_audit;		/* no record before it is unlocked */
	struct header *header;
	struct opening *opening;
	struct unlock *next;
};

static struct unlock *unlocks;

static void unlock_free(struct unlock *u)
{
	struct unlock **at = &unlocks;

	while (*at && *at != u)
		at = &(*at)->next;
	if (*at)
		*at = u->next;
	opening_free(u->opening);
	header_free(u->header);
	live_close(&u->live);
	free(u);
}

/* For the audit; @slot < 0: no KMS has given the key. */
static struct evidence describe(const struct unlock *u, ssize_t slot)
{
	const struct kms_trace *t = opening_trace(u->opening);

	return (struct evidence){
		.event = "unlock",
		.name = u->live.volume.name,
		.volume_id = u->live.volume.volume_id,
		.key_id = slot >= 0 ? header_slot_get(u->header, slot).key_id :
			  t->key,
		.request_id = t->request_id,
		.success = "granted",
	};
}

static void record_failed(const struct unlock *u, int r)
{
	struct evidence e = describe(u, -1);

	if (!u->holds_audit)
		evidence_ended(call_caller(u->call)->uid, &e, r);
}

static void fail(struct unlock *u, int r)
{
	struct call *c = u->call;

	record_failed(u, r);
	unlock_free(u);
	call_fail(c, r);
}

static void on_header(void *data, struct header *h)
{
	struct unlock *u = data;
	int r;

	u->header = h;
	r = live_check_header(&u->live, h);
	if (r == 0)
		r = opening_ask(u->opening, h);
	if (r < 0)
		fail(u, r);
}

static void on_refused(void *data, const char *cause, const char *key_id)
{
	const struct unlock *u = data;

	events_tell(&(struct event){
		.name = EVENT_REATTACH, .failed = true, .cause = cause,
		.volume_id = u->live.volume.volume_id, .key_id = key_id,
		.device = u->live.volume.name,
	}, call_caller(u->call)->uid);
}

/* With the key in the kernel: what must hold from now on. */
static int keep(struct unlock *u, struct attachment *a,
		const struct grant_hold *grant,
		const struct lease_terms *terms)
{
	int r = grants_keep(grant, a);

	if (r == 0)
		r = leases_begin(u->agent, a, u->header, terms,
				 opening_asked_ms(u->opening));
	if (r == 0)
		r = grants_narrow(u->agent, u->header, a);
	if (r == 0)
		r = attachments_save(u->agent->attachments);
	return r;
}

static int give(struct unlock *u, const struct grant_hold *grant,
		const struct secret *dek, struct dm_volume_status *s)
{
	struct volume_lock_options back = { .name = u->live.volume.name,
					    .force = true };
	struct attachment *a = NULL;
	struct lease_terms terms;
	int r = live_find_again(u->agent, &u->live, s, &a);

	if (r < 0 || s->state == DM_STATE_ACTIVE)
		return r;
	terms = leases_terms(a);
	r = volume_give_key(&s->volume, dek, &terms,
			    opening_asked_ms(u->opening));
	if (r < 0)
		return r;
	r = keep(u, a, grant, &terms);
	if (r < 0) {
		volume_lock(&back, s);
		return r;
	}
	leases_use_token(a, opening_grant_token(u->opening));
	opening_leave(u->opening, a);
	u->opening = NULL;
	return dm_volume_status_get(u->live.volume.name, s);
}

static void reply(struct call *c, const struct dm_volume_status *s)
{
	call_reply(c, json_pack("{s:s, s:s, s:s}", "name", s->volume.name,
				"volume_id", s->volume.volume_id,
				"state", "active"));
}

static void on_unwrapped(void *data, size_t slot,
			 const struct grant_hold *grant, struct secret *dek)
{
	struct dm_volume_status s = { 0 };
	struct unlock *u = data;
	struct evidence e = describe(u, slot);
	char request_id[KMS_TRACE_ID_BYTES];
	struct call *c = u->call;
	int r;

	/* The opening goes its own way behind the key. */
	snprintf(request_id, sizeof(request_id), "%s", e.request_id);
	e.request_id = request_id;
	r = known_check(u->live.volume.name, u->header, slot);
	if (r == -ENOENT)
		r = 0;
	/* First: what cannot be recorded is not given out. */
	if (r == 0 && !u->holds_audit)
		r = evidence_granted(call_caller(c)->uid, &e);
	if (r == 0)
		r = give(u, grant, dek, &s);
	secret_free(dek);
	if (r < 0) {
		fail(u, r);
		return;
	}
	if (u->holds_audit)
		evidence_ended(call_caller(c)->uid, &e, 0);
	log_info("user %u unlocked '%s'", (unsigned int)call_caller(c)->uid,
		 s.volume.name);
	events_tell(&(struct event){
		.name = EVENT_REATTACH, .volume_id = s.volume.volume_id,
		.device = s.volume.name,
	}, look_owner(u->agent, &s));
	unlock_free(u);
	reply(c, &s);
}

static void on_failed(void *data, int r)
{
	fail(data, r);
}

static void on_gone(struct call *c, void *data)
{
	struct unlock *u = data;

	/* The KMS may have been asked. */
	messages_clear();
	messages_add(LOG_LEVEL_ERROR, "who wanted it unlocked has gone");
	record_failed(u, -ECANCELED);
	log_info("'%s': who wanted it unlocked has gone; given up",
		 u->live.volume.name);
	unlock_free(u);
	call_reply(c, json_object());
}

static int start(struct unlock *u, int header_index)
{
	static const struct opening_events events = {
		.header = on_header,
		.refused = on_refused,
		.unwrapped = on_unwrapped,
		.failed = on_failed,
	};
	struct worker_request request = {
		.name = u->live.volume.name,
		.event = EVENT_REATTACH,
		.uid = call_caller(u->call)->uid,
	};
	int r = live_open(u->call, &u->live.volume, header_index, false,
			  &u->live);

	if (r < 0)
		return r;
	request.device_fd = u->live.fd;
	request.header_fd = u->live.header_fd;
	return opening_start(u->call, &request, &events, u, &u->opening);
}

static bool is_under_way(const struct dm_volume *v)
{
	const struct unlock *u;

	for (u = unlocks; u; u = u->next)
		if (strcmp(u->live.volume.name, v->name) == 0)
			return true;
	return false;
}

static struct unlock *unlock_new(struct call *c,
				 const struct dm_volume_status *s)
{
	struct unlock *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	*u = (struct unlock){
		.agent = call_agent(c), .call = c, .live = LIVE_CLOSED,
		.holds_audit = volume_holds_audit(s),
		.next = unlocks,
	};
	u->live.volume = s->volume;
	unlocks = u;
	return u;
}

static void begin(struct call *c, const struct dm_volume_status *s,
		  int header_index)
{
	const char *name = s->volume.name;
	struct unlock *u;
	int r;

	if (!attachments_of(call_agent(c)->attachments, &s->volume)) {
		call_refuse(c, -EINVAL, "'%s' was attached without the agent: unlock it with --direct",
			    name);
		return;
	}
	if (is_under_way(&s->volume)) {
		call_refuse(c, -EBUSY, "'%s' is being unlocked already", name);
		return;
	}
	u = unlock_new(c, s);
	if (!u) {
		call_refuse(c, -ENOMEM, "out of memory");
		return;
	}
	r = start(u, header_index);
	if (r < 0)
		fail(u, r);
	else
		call_on_gone(c, on_gone, u);
}

void method_unlock(struct call *c)
{
	struct dm_volume_status s;
	const char *name = NULL;
	int header = -1;
	const struct param params[] = {
		{ "name", PARAM_TEXT, true, &name },
		{ "header_fd", PARAM_INT, false, &header },
		{ 0 }
	};
	int r;

	if (call_params(c, params) < 0)
		return;
	r = look_find(c, name, &s);
	if (r < 0)
		look_missing(c, name, r);
	else if (s.state == DM_STATE_ACTIVE)
		reply(c, &s);
	else
		begin(c, &s, header);
}
