// SPDX-License-Identifier: GPL-2.0-or-later
/* The loop over all leases: which there are, and when each has its turn. */
#include "leases.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "header_json.h"
#include "json.h"
#include "leases_private.h"
#include "log.h"
#include "volume.h"

#define AGAIN_MS 1000u		/* to revoke a key, as nothing else may */

static struct held *leases;
static sd_event_source *timer;

static void held_free(struct held *h)
{
	held_give_up(h, -ENXIO, "it was detached");
	held_forget_token(h);
	free(h);
}

static void sweep(void)
{
	struct held **at = &leases;
	struct held *h;

	while ((h = *at)) {
		if (!h->gone) {
			at = &h->next;
			continue;
		}
		*at = h->next;
		held_free(h);
	}
}

static int on_time(sd_event_source *source, uint64_t usec, void *data)
{
	(void)source;
	(void)usec;
	(void)data;
	leases_run();
	return 0;
}

static uint64_t next_wake_ms(struct agent **agent_ret)
{
	uint64_t first = UINT64_MAX;
	const struct held *h;

	for (h = leases; h; h = h->next) {
		uint64_t wake = h->must_lock ? volume_clock_ms() + AGAIN_MS :
				lease_wake_ms(&h->lease);

		*agent_ret = h->agent;
		if (h->grant_token && h->token_until_ms < wake)
			wake = h->token_until_ms;
		if (wake < first)
			first = wake;
	}
	return first;
}

static void set_timer(void)
{
	struct agent *agent = NULL;
	uint64_t wake = next_wake_ms(&agent);

	timer = sd_event_source_disable_unref(timer);
	if (wake == UINT64_MAX)
		return;
	if (sd_event_add_time(agent->event, &timer, CLOCK_BOOTTIME,
			      wake * 1000, 10000, on_time, NULL) < 0)
		log_error("out of memory: no lease is renewed until the agent is started anew");
}

void leases_run(void)
{
	struct lease_actions actions;
	struct held *h;

	for (h = leases; h; h = h->next) {
		if (h->gone)
			continue;
		if (h->must_lock)
			held_lock(h);
		if (volume_clock_ms() >= h->token_until_ms)
			held_forget_token(h);
		actions = lease_tick(&h->lease, volume_clock_ms());
		held_obey(h, &actions);
	}
	sweep();
	set_timer();
}

static struct held *find(const struct attachment *a)
{
	struct held *h;

	for (h = leases; h; h = h->next)
		if (!h->gone && strcmp(h->name, a->name) == 0 &&
		    strcmp(h->uuid, a->uuid) == 0)
			return h;
	return NULL;
}

struct attachment *held_attachment(const struct held *h)
{
	struct attachment *a = attachments_first(h->agent->attachments);

	while (a && (strcmp(h->name, a->name) != 0 ||
		     strcmp(h->uuid, a->uuid) != 0))
		a = a->next;
	return a;
}

static struct held *find_or_make(struct agent *agent,
				 const struct attachment *a)
{
	struct held *h = find(a);

	if (h)
		return h;
	h = calloc(1, sizeof(*h));
	if (!h) {
		log_error("out of memory");
		return NULL;
	}
	h->agent = agent;
	strcpy(h->name, a->name);
	strcpy(h->uuid, a->uuid);
	strcpy(h->volume_id, a->volume_id);
	h->next = leases;
	leases = h;
	return h;
}

struct lease_terms leases_terms(const struct attachment *a)
{
	struct lease_terms none = { 0 }, terms;
	uint64_t seconds, grace;
	json_t *o;

	if (json_get_object(a->more, LEASES_MORE, &o) < 0 ||
	    json_get_u64(o, "seconds", 1, LEASE_MAX_MS / 1000, &seconds) < 0 ||
	    json_get_u64(o, "grace", 0, LEASE_MAX_MS / 1000, &grace) < 0)
		return none;
	terms = (struct lease_terms){ seconds * 1000, grace * 1000 };
	return lease_terms_wrong(&terms) ? none : terms;
}

static int remember(struct attachment *a, const struct header *h,
		    const struct lease_terms *terms)
{
	if (json_object_set_new(a->more, LEASES_MORE, json_pack(
			"{s:I, s:I}",
			"seconds", (json_int_t)(terms->lease_ms / 1000),
			"grace", (json_int_t)(terms->grace_ms / 1000))) < 0 ||
	    json_object_set_new(a->more, LEASES_MORE_HEADER,
				header_to_json(h)) < 0) {
		log_error("out of memory");
		return -ENOMEM;
	}
	return 0;
}

int leases_begin(struct agent *agent, struct attachment *a,
		 const struct header *header, const struct lease_terms *terms,
		 uint64_t asked_ms)
{
	struct held *h;
	int r;

	if (terms->lease_ms == 0) {
		json_object_del(a->more, LEASES_MORE);
		json_object_del(a->more, LEASES_MORE_HEADER);
		leases_end(agent, a);
		return 0;
	}
	r = remember(a, header, terms);
	h = r == 0 ? find_or_make(agent, a) : NULL;
	if (!h)
		return -ENOMEM;
	held_forget_token(h);
	/* What is asked still is asked of the key before. */
	held_give_up(h, -EKEYREVOKED, "it was locked meanwhile");
	h->message[0] = '\0';
	h->must_lock = false;
	/* A host that sleeps may see the lock before the first check. */
	held_look_for_audit(h);
	/* The key has its time since it is there. */
	lease_begin(&h->lease, terms, asked_ms, volume_clock_ms(),
		    volume_random());
	/* The attach or unlock itself is. */
	h->recorded = LEASE_GRANTED;
	/* Not leases_run(): of others' this caller must not hear a word. */
	set_timer();
	return 0;
}

void leases_use_token(const struct attachment *a, const char *token)
{
	struct held *h = find(a);

	if (!h || !token)
		return;
	held_forget_token(h);
	h->grant_token = strdup(token);
	h->token_until_ms = volume_clock_ms() + HELD_TOKEN_MS;
	h->lease.without_token = false;
	if (!h->grant_token)
		log_warn("'%s': no memory for the token of its grant, which may not be known everywhere yet",
			 a->name);
	set_timer();
}

int leases_change(struct attachment *a, const struct header *h)
{
	if (!json_object_get(a->more, LEASES_MORE_HEADER))
		return 0;
	if (json_object_set_new(a->more, LEASES_MORE_HEADER,
				header_to_json(h)) == 0)
		return 0;
	log_error("out of memory");
	return -ENOMEM;
}

static void resume(struct agent *agent, const struct attachment *a)
{
	struct lease_terms terms = leases_terms(a);
	uint64_t now = volume_clock_ms();
	struct dm_volume_status s;
	struct held *h;

	if (terms.lease_ms == 0) {
		if (json_object_get(a->more, LEASES_MORE))
			log_warn("'%s': what is remembered of its lease is damaged: it is not renewed",
				 a->name);
		return;
	}
	h = find_or_make(agent, a);
	if (!h)
		return;
	held_look_for_audit(h);
	h->recorded = HELD_NOTHING;
	/* When the kernel locks is not known, but it is no later than that. */
	lease_resume(&h->lease, &terms,
		     now + terms.lease_ms + terms.grace_ms, now);
	if (dm_volume_status_get(a->name, &s) == 0 &&
	    s.state == DM_STATE_LOCKED)
		lease_lock(&h->lease);
}

void leases_resume(struct agent *agent)
{
	const struct attachment *a = attachments_first(agent->attachments);

	for (; a; a = a->next)
		resume(agent, a);
	leases_run();
}

void leases_end(struct agent *agent, const struct attachment *a)
{
	struct held *h = find(a);

	(void)agent;
	if (!h)
		return;
	h->gone = true;
	leases_run();
}

void leases_locked(struct agent *agent, const struct attachment *a,
		   const char *cause)
{
	struct held *h = find(a);

	(void)agent;
	if (h)
		held_locked(h, cause);
	leases_run();
}

/* The client of a Renew has gone. */
static void on_gone(struct call *c, void *data)
{
	struct renewal *renewal = data;
	struct renewal **at = &renewal->held->renewals;

	while (*at != renewal)
		at = &(*at)->next;
	*at = renewal->next;
	free(renewal);
	call_reply(c, json_object());
}

void leases_renew(struct call *c, const struct attachment *a,
		  const struct dm_volume_status *s)
{
	struct held *h = a ? find(a) : NULL;
	struct renewal *renewal;

	if (!h) {
		call_refuse(c, -EINVAL, "'%s' has no lease to renew",
			    s->volume.name);
		return;
	}
	if (s->state == DM_STATE_LOCKED || h->must_lock) {
		call_refuse(c, -EKEYREVOKED, "'%s' is locked (%s): unlock it first",
			    s->volume.name, s->reason);
		return;
	}
	renewal = calloc(1, sizeof(*renewal));
	if (!renewal) {
		call_refuse(c, -ENOMEM, "out of memory");
		return;
	}
	*renewal = (struct renewal){ c, h, h->renewals };
	h->renewals = renewal;
	call_on_gone(c, on_gone, renewal);
	/* Unlocked by others than the agent: it was given up. */
	if (h->lease.state == LEASE_LOCKED)
		resume(h->agent, a);
	/* A denial is confirmed after a while, whoever is in a hurry. */
	if (h->lease.state != LEASE_CONFIRMING)
		lease_ask_now(&h->lease, volume_clock_ms());
	leases_run();
}

static json_int_t seconds_until(uint64_t at_ms, uint64_t now_ms)
{
	return at_ms > now_ms ? (at_ms - now_ms) / 1000 : 0;
}

const struct lease *leases_find(const struct attachment *a)
{
	const struct held *h = find(a);

	return h ? &h->lease : NULL;
}

json_t *leases_describe(const struct attachment *a)
{
	const struct held *h = find(a);
	uint64_t now = volume_clock_ms();
	const struct lease *l;
	bool locked;

	if (!h)
		return NULL;
	l = &h->lease;
	locked = l->state == LEASE_LOCKED;
	return json_pack("{s:I, s:I, s:s, s:b, s:I, s:I, s:I, s:s*}",
			 "seconds", (json_int_t)(l->terms.lease_ms / 1000),
			 "grace", (json_int_t)(l->terms.grace_ms / 1000),
			 "state", lease_state_name(l->state),
			 "checking", l->asking, "remaining",
			 locked ? 0 : seconds_until(l->until_ms, now),
			 "next_check", locked || l->asking ? 0 :
				       seconds_until(l->next_ms, now),
			 "failures", (json_int_t)l->failures,
			 "message", h->message[0] ? h->message : NULL);
}

void leases_stop(void)
{
	struct held *h;

	while ((h = leases)) {
		leases = h->next;
		held_free(h);
	}
	timer = sd_event_source_disable_unref(timer);
}
