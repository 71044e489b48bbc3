// SPDX-License-Identifier: GPL-2.0-or-later
/* The slots of an attached volume: shown, and changed once they are proven. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evidence.h"
#include "grants.h"
#include "key_name.h"
#include "known.h"
#include "leases.h"
#include "live.h"
#include "log.h"
#include "look.h"
#include "messages.h"
#include "methods.h"
#include "policy.h"
#include "sign.h"
#include "volume.h"
#include "worker.h"

#define NEW_SLOT (-1)

/* What is wanted; texts are the call's. */
struct wish {
	enum { SHOW, SET, REMOVE, WRAP } what;
	const char *name;
	int header;			/* index of a descriptor; -1: none */
	int slot;			/* or NEW_SLOT */
	int from;			/* WRAP: the slot that opens it */
	const char *key_id;
	const char *ciphertext;		/* base64 */
	json_t *context;		/* NULL: as before */
};

/* One call under way. */
struct change {
	struct agent *agent;
	struct call *call;
	struct wish wish;
	struct live live;
	char *old_key;			/* of a slot that is there; or NULL */
	struct header *header;		/* as it is to be; WRAP: as it is */
	struct worker *worker;
	struct grant_hold *grant;	/* NULL: none is needed */
};

static void change_free(struct change *g)
{
	worker_free(g->worker);
	grants_release(g->agent, g->grant);
	header_free(g->header);
	live_close(&g->live);
	free(g->old_key);
	free(g);
}

static const char *event_of(const struct wish *w)
{
	return w->what == REMOVE ? "slot-remove" :
	       w->what == WRAP ? "slot-wrap" :
	       w->slot == NEW_SLOT ? "slot-add" : "rewrap";
}

/* For the audit: how it ended. */
static void record(const struct change *g, int r)
{
	const struct evidence e = {
		.event = event_of(&g->wish),
		.name = g->live.volume.name,
		.volume_id = g->live.volume.volume_id,
		.key_id = g->wish.what == REMOVE ? g->old_key : g->wish.key_id,
		.request_id = worker_trace(g->worker)->request_id,
	};

	if (g->wish.what != SHOW)
		evidence_ended(call_caller(g->call)->uid, &e, r);
}

static void fail(struct change *g, int r)
{
	struct call *c = g->call;

	record(g, r);
	change_free(g);
	call_fail(c, r);
}

static json_t *make_slot(const struct wish *w, const struct header_slot *old)
{
	json_t *context = w->context ? w->context : old->context;
	char now[HEADER_TIME_CHARS];

	header_time_now(now);
	context = context ? json_incref(context) : json_object();
	return json_pack("{s:s, s:s, s:o, s:s, s:s}", "provider",
			 key_provider(key_kind(w->key_id)), "key_id",
			 w->key_id, "context", context, "ciphertext",
			 w->ciphertext, "created", now);
}

/* The slots of @h as @w wants them; NULL: no memory. */
static json_t *change_slots(const struct wish *w, const struct header *h)
{
	json_t *slots = json_deep_copy(header_slots_json(h));
	json_t *list = json_object_get(slots, "slots");
	struct header_slot old = { .context = NULL };
	int r;

	if (w->slot != NEW_SLOT)
		old = header_slot_get(h, w->slot);
	if (w->what == REMOVE)
		r = json_array_remove(list, w->slot);
	else if (w->slot == NEW_SLOT)
		r = json_array_append_new(list, make_slot(w, &old));
	else
		r = json_array_set_new(list, w->slot, make_slot(w, &old));
	if (r < 0) {
		json_decref(slots);
		slots = NULL;
	}
	return slots;
}

static int check_wish(const struct wish *w, const char *name,
		      const struct header *h)
{
	size_t count = header_slot_count(h);
	int r = 0;

	if (w->slot != NEW_SLOT && (size_t)w->slot >= count) {
		log_error("'%s': no slot %d: 'envelope slot list' lists them",
			  name, w->slot);
		return -EINVAL;
	}
	if (w->what == REMOVE)
		return volume_check_not_last(h, name);
	if (w->slot == NEW_SLOT)
		r = volume_check_new_key(h, name, w->key_id);
	if (r == 0 && w->slot == NEW_SLOT)
		r = volume_check_room(h, name);
	/* The slot that is to be another one's must have been this one's. */
	if (r == 0)
		r = known_check(name, h, w->slot == NEW_SLOT ? 0 : w->slot);
	return r == -ENOENT ? 0 : r;
}

/* @h is as it was. */
static int change_header(struct change *g, const struct header *h)
{
	const struct wish *w = &g->wish;
	const char *name = g->live.volume.name;
	json_t *slots;
	int r = check_wish(w, name, h);

	if (r < 0)
		return r;
	if (w->slot != NEW_SLOT)
		g->old_key = strdup(header_slot_get(h, w->slot).key_id);
	slots = change_slots(w, h);
	if (!slots || (w->slot != NEW_SLOT && !g->old_key)) {
		json_decref(slots);
		log_error("out of memory");
		return -ENOMEM;
	}
	r = header_from_parts(name, header_core_json(h), slots,
			      header_core(h)->uuid, &g->header);
	json_decref(slots);
	/* It was good before: what is wrong came from the caller. */
	if (r == -EBADMSG)
		r = -EINVAL;
	if (r == 0 && w->what == REMOVE)
		r = volume_check_any_kms(g->header, name);
	return r;
}

/* In the header as it is to be. */
static size_t target(const struct change *g)
{
	return g->wish.slot == NEW_SLOT ? header_slot_count(g->header) - 1 :
	       (size_t)g->wish.slot;
}

/* The new slot by itself, or any of those that are left. */
static int ask(struct change *g)
{
	json_t *all = json_object_get(header_slots_json(g->header), "slots");
	const char *name = g->live.volume.name;
	json_t *slots;

	slots = g->wish.what == REMOVE ? json_pack("{s:O}", "slots", all) :
		json_pack("{s:[O]}", "slots", json_array_get(all, target(g)));
	if (!slots) {
		log_error("out of memory");
		return -ENOMEM;
	}
	worker_prove(g->worker, slots);
	if (g->wish.what == REMOVE)
		return sign_ask(g->call, g->worker, g->header, name, &g->grant);
	return sign_ask_slot(g->call, g->worker, g->header, target(g), name,
			     &g->grant);
}

/*
 * Who may use the new key has the volume from now on, so the caller must be
 * one who may open it by the old one: he signs the grant for that.
 */
static int ask_to_wrap(struct change *g, struct header *h)
{
	const struct wish *w = &g->wish;
	const char *name = g->live.volume.name;
	json_t *context = w->context ? json_incref(w->context) : json_object();
	int r = check_wish(w, name, h);

	g->header = h;
	if (r == 0 && (size_t)w->from >= header_slot_count(h)) {
		log_error("'%s': no slot %d: 'envelope slot list' lists them",
			  name, w->from);
		r = -EINVAL;
	}
	if (r < 0) {
		json_decref(context);
		return r;
	}
	worker_wrap(g->worker, json_pack("{s:s, s:o}", "key_id", w->key_id,
					 "context", context));
	return sign_ask_slot(g->call, g->worker, h, w->from, name, &g->grant);
}

static void show(struct change *g, const struct header *h)
{
	json_t *slots = json_object_get(header_slots_json(h), "slots");
	struct call *c = g->call;
	json_t *answer;

	answer = json_pack("{s:s, s:O}", "volume_id",
			   header_core(h)->volume_id, "slots", slots);
	change_free(g);
	call_reply(c, answer);
}

static void on_header(void *data, struct header *h)
{
	struct change *g = data;
	int r = live_check_header(&g->live, h);

	if (r == 0 && g->wish.what == SHOW) {
		show(g, h);
		header_free(h);
		return;
	}
	if (r == 0 && g->wish.what == WRAP) {
		r = ask_to_wrap(g, h);
	} else {
		if (r == 0)
			r = change_header(g, h);
		header_free(h);
		if (r == 0)
			r = ask(g);
	}
	if (r < 0)
		fail(g, r);
}

static void on_granted(void *data, const char *id)
{
	struct change *g = data;
	int r = sign_made(g->grant, g->worker,
			  g->wish.what == WRAP ? g->wish.from : 0, id);

	if (r < 0)
		fail(g, r);
}

/* The key of slot @index, which was proven, is one that this caller may use. */
static int permit(const struct change *g, size_t index)
{
	const char *name = g->live.volume.name;
	int r;

	r = grants_cover(g->agent, g->header, index, g->grant, name);
	if (r == 0 && g->wish.what == REMOVE)
		r = known_check(name, g->header, index);
	return r == -ENOENT ? 0 : r;
}

/*
 * For the lease's checks and after a restart: all of it, or what was, as the
 * grant of a slot that is not remembered is retired.
 */
static int remember(struct change *g, struct attachment *a, json_t *before)
{
	int r = leases_change(a, g->header);

	if (r == 0)
		r = grants_change(g->grant, g->header, a);
	if (r == 0)
		r = grants_narrow(g->agent, g->header, a);
	if (r == 0)
		r = attachments_save(g->agent->attachments);
	if (r < 0) {
		json_decref(a->more);
		a->more = json_incref(before);
	}
	return r;
}

/*
 * The header first: whoever dies in between asks by the old slot, whose grant
 * is still there.
 */
static int store(struct change *g, const struct secret *dek)
{
	struct volume v = VOLUME_CLOSED;
	struct attachment *a = NULL;
	struct dm_volume_status s;
	json_t *before;
	int r = live_find_again(g->agent, &g->live, &s, &a);

	if (r < 0)
		return r;
	before = json_deep_copy(a->more);
	if (!before) {
		log_error("out of memory");
		return -ENOMEM;
	}
	v.device.fd = live_header_fd(&g->live);
	v.device.path = g->live.volume.name;
	v.header = g->header;
	r = volume_store_sealed_slots(&v, dek, g->old_key,
				      g->wish.what == REMOVE ? NULL :
				      g->wish.key_id);
	if (r == 0)
		r = remember(g, a, before);
	if (r == 0)
		leases_use_token(a, worker_grant_token(g->worker));
	json_decref(before);
	return r;
}

static void answer(struct change *g)
{
	const struct wish *w = &g->wish;
	struct call *c = g->call;
	json_t *o;

	o = json_pack("{s:s, s:i, s:s, s:s*, s:i}", "volume_id",
		      g->live.volume.volume_id, "slot",
		      w->what == REMOVE ? w->slot : (int)target(g), "key_id",
		      w->what == REMOVE ? g->old_key : w->key_id, "old_key_id",
		      w->what == REMOVE ? NULL : g->old_key, "count",
		      (int)header_slot_count(g->header));
	log_info("user %u: %s of '%s', key %s",
		 (unsigned int)call_caller(c)->uid, event_of(w),
		 g->live.volume.name,
		 w->what == REMOVE ? g->old_key : w->key_id);
	record(g, 0);
	change_free(g);
	call_reply(c, o);
}

static void on_unwrapped(void *data, size_t slot, struct secret *dek)
{
	struct change *g = data;
	int r = permit(g, g->wish.what == REMOVE ? slot : target(g));

	if (r == 0)
		r = store(g, dek);
	secret_free(dek);
	if (r < 0)
		fail(g, r);
	else
		answer(g);
}

/* It goes to the caller, who has SetSlot prove and store it. */
static void on_wrapped(void *data, const char *key_id, const char *ciphertext)
{
	struct change *g = data;
	struct call *c = g->call;
	json_t *o;
	int r = grants_cover(g->agent, g->header, g->wish.from, g->grant,
			     g->live.volume.name);

	if (r == 0 && strcmp(key_id, g->wish.key_id) != 0) {
		log_error("'%s': wrapped under %s in place of %s",
			  g->live.volume.name, key_id, g->wish.key_id);
		r = -EBADMSG;
	}
	if (r < 0) {
		fail(g, r);
		return;
	}
	o = json_pack("{s:s, s:s, s:s}", "volume_id",
		      g->live.volume.volume_id, "key_id", key_id,
		      "ciphertext", ciphertext);
	record(g, 0);
	change_free(g);
	call_reply(c, o);
}

static void on_failed(void *data, int r)
{
	fail(data, r);
}

static void on_gone(struct call *c, void *data)
{
	struct change *g = data;

	/* The KMS may have been asked. */
	messages_clear();
	messages_add(LOG_LEVEL_ERROR, "who wanted its slots has gone");
	record(g, -ECANCELED);
	log_info("'%s': who wanted its slots has gone; given up",
		 g->live.volume.name);
	change_free(g);
	call_reply(c, json_object());
}

static int start(struct change *g, const struct dm_volume *v)
{
	static const struct worker_events events = {
		.header = on_header,
		.granted = on_granted,
		.unwrapped = on_unwrapped,
		.wrapped = on_wrapped,
		.failed = on_failed,
	};
	struct worker_request request = {
		.name = v->name,
		.uid = call_caller(g->call)->uid,
	};
	int r;

	r = live_open(g->call, v, g->wish.header,
		      g->wish.what == SET || g->wish.what == REMOVE, &g->live);
	if (r < 0)
		return r;
	request.device_fd = g->live.fd;
	request.header_fd = g->live.header_fd;
	return worker_start(g->agent, &request, &events, g, &g->worker);
}

static void begin(struct call *c, const struct wish *wish)
{
	struct dm_volume_status s;
	struct change *g;
	int r = look_find(c, wish->name, &s);

	if (r < 0) {
		look_missing(c, wish->name, r);
		return;
	}
	if (!attachments_of(call_agent(c)->attachments, &s.volume)) {
		call_refuse(c, -EINVAL, "'%s' was attached without the agent: name its device, with --direct",
			    s.volume.name);
		return;
	}
	if (wish->what == WRAP &&
	    !key_fits_provider(key_provider(key_kind(wish->key_id)),
			       wish->key_id)) {
		call_refuse(c, -EINVAL, "key '%s': of another region or vendor it is named by its full id, and is no alias: %s",
			    wish->key_id, key_grammar(key_kind(wish->key_id)));
		return;
	}
	if (wish->what == WRAP &&
	    !policy_allows_key(call_agent(c)->policy, call_caller(c),
			       wish->key_id)) {
		call_refuse(c, -EACCES, "key '%s': the agent's policy does not let user %u have slots made for it: `keys` there does",
			    wish->key_id, (unsigned int)call_caller(c)->uid);
		return;
	}
	g = calloc(1, sizeof(*g));
	if (!g) {
		call_refuse(c, -ENOMEM, "out of memory");
		return;
	}
	*g = (struct change){ .agent = call_agent(c), .call = c,
			      .wish = *wish, .live = LIVE_CLOSED };
	g->live.volume = s.volume;
	r = start(g, &s.volume);
	if (r < 0)
		fail(g, r);
	else
		call_on_gone(c, on_gone, g);
}

void method_slots(struct call *c)
{
	struct wish w = { .what = SHOW, .header = -1, .slot = NEW_SLOT };
	const struct param params[] = {
		{ "name", PARAM_TEXT, true, &w.name },
		{ "header_fd", PARAM_INT, false, &w.header },
		{ 0 }
	};

	if (call_params(c, params) == 0)
		begin(c, &w);
}

void method_set_slot(struct call *c)
{
	struct wish w = { .what = SET, .header = -1, .slot = NEW_SLOT };
	const struct param params[] = {
		{ "name", PARAM_TEXT, true, &w.name },
		{ "slot", PARAM_INT, false, &w.slot },
		{ "key_id", PARAM_TEXT, true, &w.key_id },
		{ "ciphertext", PARAM_TEXT, true, &w.ciphertext },
		{ "context", PARAM_OBJECT, false, &w.context },
		{ "header_fd", PARAM_INT, false, &w.header },
		{ 0 }
	};

	if (call_params(c, params) == 0)
		begin(c, &w);
}

void method_remove_slot(struct call *c)
{
	struct wish w = { .what = REMOVE, .header = -1 };
	const struct param params[] = {
		{ "name", PARAM_TEXT, true, &w.name },
		{ "slot", PARAM_INT, true, &w.slot },
		{ "header_fd", PARAM_INT, false, &w.header },
		{ 0 }
	};

	if (call_params(c, params) == 0)
		begin(c, &w);
}

void method_wrap_slot(struct call *c)
{
	struct wish w = { .what = WRAP, .header = -1, .slot = NEW_SLOT };
	const struct param params[] = {
		{ "name", PARAM_TEXT, true, &w.name },
		{ "from", PARAM_INT, true, &w.from },
		{ "slot", PARAM_INT, false, &w.slot },
		{ "key_id", PARAM_TEXT, true, &w.key_id },
		{ "context", PARAM_OBJECT, false, &w.context },
		{ "header_fd", PARAM_INT, false, &w.header },
		{ 0 }
	};

	if (call_params(c, params) == 0)
		begin(c, &w);
}
