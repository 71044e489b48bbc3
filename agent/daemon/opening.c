// SPDX-License-Identifier: GPL-2.0-or-later
/* Opening a volume: whose turn it is among its slots, and whose word counts. */
#include "opening.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "header_json.h"
#include "key_name.h"
#include "log.h"
#include "messages.h"
#include "opening_private.h"
#include "sign.h"
#include "volume.h"

/* sd-event's own would make a quarter of a second half a one. */
#define ACCURACY_US 5000

/* All that are, also those that were left. */
static struct opening *openings;

static void drop(struct attempt *t)
{
	struct attempt **at = &t->opening->attempts;

	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	worker_free(t->worker);
	grants_release(t->opening->agent, t->grant);
	free(t);
}

void opening_free(struct opening *o)
{
	struct opening **at = &openings;

	if (!o)
		return;
	while (*at && *at != o)
		at = &(*at)->next;
	if (*at)
		*at = o->next;
	while (o->attempts)
		drop(o->attempts);
	sd_event_source_disable_unref(o->timer);
	json_decref(o->said);
	free(o);
}

static size_t slots(const struct opening *o)
{
	return header_slot_count(o->header);
}

/* The next slot of a provider that this program can speak to, from @i on. */
static size_t usable(const struct opening *o, size_t i)
{
	enum key_kind kind;

	while (i < slots(o) &&
	       key_provider_find(header_slot_get(o->header, i).provider,
				 &kind) < 0)
		i++;
	return i;
}

static void remember_trace(struct opening *o, const struct attempt *t)
{
	const struct kms_trace *trace = worker_trace(t->worker);

	if (trace->operation[0])
		o->trace = *trace;
}

static void ask_next(struct opening *o);

static void end(struct opening *o, int r)
{
	if (o->fault) {
		r = o->fault;
		messages_clear();
		messages_add(LOG_LEVEL_ERROR, o->why);
	}
	o->events->failed(o->data, r);
}

/*
 * What this host or its user refuses or gets wrong is no answer of a KMS:
 * nobody else is asked then, but who has been asked may still open it.
 */
static void at_fault(struct opening *o, int r)
{
	if (!o->attempts) {
		end(o, r);
		return;
	}
	o->fault = r;
	snprintf(o->why, sizeof(o->why), "%s", messages_error());
	/* Whose silence was timed is not waited for by another slot. */
	o->timer = sd_event_source_disable_unref(o->timer);
	o->next_slot = slots(o);
}

static void lost(struct attempt *t, int r)
{
	bool denied = worker_denied(t->worker);
	bool asked = t->asked;
	struct opening *o = t->opening;

	if (o->left) {
		if (denied)
			late_denied(t);
		drop(t);
		late_done(o);
		return;
	}
	remember_trace(o, t);
	drop(t);
	if (!o->header || denied || r == -EBADMSG) {
		o->fault = 0;
		end(o, r);
	} else if (r != -EHOSTUNREACH || !asked) {
		/* Who has not signed in time is no silent KMS. */
		at_fault(o, r);
	} else if (o->next_slot < slots(o)) {
		ask_next(o);
	} else if (!o->attempts) {
		end(o, r);
	}
}

/* Who has gone may have taken all of it along when this returns. */
static int offer(struct attempt *t)
{
	struct opening *o = t->opening;

	return sign_ask_slot(o->call, t->worker, o->header, t->slot,
			     o->request.name, &t->grant);
}

/* The device is read anew, and somebody may have written it meanwhile. */
static void on_header_again(struct attempt *t, struct header *h)
{
	json_t *again = header_to_json(h);
	bool same = json_equal(t->opening->said, again);
	int r;

	json_decref(again);
	header_free(h);
	if (same) {
		r = offer(t);
	} else {
		log_error("'%s': its header has changed while it was opened",
			  t->opening->request.name);
		r = -EBADMSG;
	}
	if (r < 0)
		lost(t, r);
}

static void on_header(void *data, struct header *h)
{
	struct attempt *t = data;
	struct opening *o = t->opening;

	if (o->said) {
		on_header_again(t, h);
		return;
	}
	o->said = header_to_json(h);
	o->events->header(o->data, h);
}

static int on_silence(sd_event_source *source, uint64_t usec, void *data)
{
	struct opening *o = data;

	(void)source;
	(void)usec;
	o->timer = sd_event_source_disable_unref(o->timer);
	ask_next(o);
	return 0;
}

/* Its silence begins; the first one in the list is the last one asked. */
static void on_asked(void *data)
{
	struct attempt *t = data;
	struct opening *o = t->opening;

	t->asked = true;
	if (o->left || t != o->attempts || o->next_slot >= slots(o))
		return;
	o->timer = sd_event_source_disable_unref(o->timer);
	/* Without a timer the next one waits for the end of this one. */
	(void)sd_event_add_time_relative(o->agent->event, &o->timer,
					 CLOCK_BOOTTIME,
					 VOLUME_NEXT_SLOT_MS * 1000ull,
					 ACCURACY_US, on_silence, o);
}

static void on_granted(void *data, const char *id)
{
	struct attempt *t = data;
	int r = sign_made(t->grant, t->worker, t->slot, id);

	if (r < 0)
		lost(t, r);
}

static void on_refused(void *data, const char *cause, const char *key_id)
{
	struct attempt *t = data;
	struct opening *o = t->opening;

	if (!o->left)
		o->events->refused(o->data, cause, key_id);
	snprintf(t->cause, sizeof(t->cause), "%s", cause);
}

static void on_unwrapped(void *data, size_t slot, struct secret *dek)
{
	struct attempt *t = data;
	struct opening *o = t->opening;

	if (o->left) {
		secret_free(dek);
		drop(t);
		late_done(o);
		return;
	}
	remember_trace(o, t);
	o->opened_by = t;
	o->events->unwrapped(o->data, slot, t->grant, dek);
}

static void on_failed(void *data, int r)
{
	lost(data, r);
}

static int attempt_new(struct opening *o, size_t slot, const char *lane)
{
	static const struct worker_events events = {
		.header = on_header,
		.asked = on_asked,
		.granted = on_granted,
		.refused = on_refused,
		.unwrapped = on_unwrapped,
		.failed = on_failed,
	};
	struct worker_request request = o->request;
	struct attempt *t = calloc(1, sizeof(*t));
	int r;

	if (!t) {
		log_error("out of memory");
		return -ENOMEM;
	}
	request.lane = lane;
	*t = (struct attempt){ .opening = o, .slot = slot };
	r = worker_start(o->agent, &request, &events, t, &t->worker);
	if (r < 0) {
		free(t);
		return r;
	}
	t->next = o->attempts;
	o->attempts = t;
	return 0;
}

static void ask_next(struct opening *o)
{
	size_t slot = o->next_slot;
	char lane[WORKER_LANE_BYTES];
	int r;

	o->timer = sd_event_source_disable_unref(o->timer);
	o->next_slot = usable(o, slot + 1);
	/* Those who wait for the KMS of the slot before must not keep it. */
	worker_print_lane("slot ", header_slot_get(o->header, slot).key_id,
			  lane);
	log_info("'%s': trying the next slot, %zu of %zu", o->request.name,
		 slot + 1, slots(o));
	r = attempt_new(o, slot, lane);
	if (r < 0)
		at_fault(o, r);
}

int opening_start(struct call *c, const struct worker_request *request,
		  const struct opening_events *events, void *data,
		  struct opening **ret)
{
	struct opening *o = calloc(1, sizeof(*o));
	int r;

	if (!o) {
		log_error("out of memory");
		return -ENOMEM;
	}
	*o = (struct opening){
		.agent = call_agent(c), .call = c, .request = *request,
		.events = events, .data = data, .next = openings,
	};
	openings = o;
	r = attempt_new(o, 0, NULL);
	if (r < 0)
		opening_free(o);
	else
		*ret = o;
	return r;
}

int opening_ask(struct opening *o, const struct header *h)
{
	struct attempt *t = o->attempts;

	o->header = h;
	t->slot = usable(o, 0);
	if (t->slot == slots(o)) {
		log_error("'%s': no slot that this version can use",
			  o->request.name);
		return -EACCES;
	}
	o->next_slot = usable(o, t->slot + 1);
	return offer(t);
}

void opening_declined(const struct worker *w)
{
	struct opening *o;
	struct attempt *t;

	for (o = openings; o; o = o->next)
		for (t = o->attempts; t; t = t->next)
			if (t->worker == w)
				goto found;
	return;
found:
	log_error("'%s': who wants it opened has not signed the grant for slot %zu",
		  o->request.name, t->slot);
	lost(t, -EACCES);
}

const struct kms_trace *opening_trace(const struct opening *o)
{
	const struct attempt *t = o ? o->attempts : NULL;

	return !o || (!o->trace.operation[0] && t) ?
	       worker_trace(t ? t->worker : NULL) : &o->trace;
}

uint64_t opening_asked_ms(const struct opening *o)
{
	return worker_asked_ms(o->opened_by->worker);
}

const char *opening_grant_token(const struct opening *o)
{
	return worker_grant_token(o->opened_by->worker);
}

static bool is_of(const struct opening *o, const struct attachment *a)
{
	return o->left && strcmp(o->name, a->name) == 0 &&
	       strcmp(o->uuid, a->uuid) == 0;
}

void opening_leave(struct opening *o, const struct attachment *a)
{
	struct attempt *t, *next;

	o->left = true;
	strcpy(o->name, a->name);
	strcpy(o->uuid, a->uuid);
	o->timer = sd_event_source_disable_unref(o->timer);
	for (t = o->attempts; t; t = next) {
		next = t->next;
		/* Whose KMS was not asked cannot deny. */
		if (t == o->opened_by || !t->asked)
			drop(t);
		else
			worker_linger(t->worker);
	}
	late_done(o);
}

void opening_forget(const struct attachment *a)
{
	struct opening *o, *next;

	for (o = openings; o; o = next) {
		next = o->next;
		if (is_of(o, a))
			opening_free(o);
	}
}

void openings_stop(void)
{
	struct opening *o, *next;

	for (o = openings; o; o = next) {
		next = o->next;
		if (o->left)
			opening_free(o);
	}
}
