// SPDX-License-Identifier: GPL-2.0-or-later
/* Subscribe: each event, to each who may know. */
#include "events.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "methods.h"

/* A call of Subscribe; it never ends by itself. */
struct subscriber {
	struct call *call;
	struct subscriber *next;
};

static struct subscriber *subscribers;

static void on_gone(struct call *c, void *data)
{
	struct subscriber **at = &subscribers;
	struct subscriber *s = data;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	free(s);
	call_reply(c, json_object());
}

static json_t *describe(const struct event *e)
{
	char text[32] = "";
	time_t now = time(NULL);
	struct tm tm;

	if (gmtime_r(&now, &tm))
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_pack("{s:{s:s, s:s, s:s, s:s, s:s*, s:s*, s:s*}}", "event",
			 "time", text, "name", e->name,
			 "result", e->failed ? "failed" : "succeeded",
			 "volume_id", e->volume_id, "cause", e->cause,
			 "key_id", e->key_id, "device", e->device);
}

void events_tell(const struct event *e, uid_t uid)
{
	struct subscriber *s;
	json_t *o;

	event_to_journal(e);
	o = subscribers ? describe(e) : NULL;
	for (s = subscribers; s && o; s = s->next) {
		uid_t who = call_caller(s->call)->uid;

		if (who == 0 || who == uid)
			call_stream(s->call, json_incref(o));
	}
	json_decref(o);
}

void method_subscribe(struct call *c)
{
	const struct param none[] = { { 0 } };
	struct subscriber *s;

	if (call_params(c, none) < 0)
		return;
	if (!call_more(c)) {
		call_refuse(c, -EINVAL, "Subscribe wants to be called with `more`, as 'envelope events' does");
		return;
	}
	s = calloc(1, sizeof(*s));
	if (!s) {
		call_refuse(c, -ENOMEM, "out of memory");
		return;
	}
	s->call = c;
	s->next = subscribers;
	subscribers = s;
	call_on_gone(c, on_gone, s);
	/* From this answer on nothing is missed. */
	call_stream(c, json_object());
}
