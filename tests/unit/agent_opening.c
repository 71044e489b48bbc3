// SPDX-License-Identifier: GPL-2.0-or-later
/* When the next slot's turn comes: silence is timed by sd-event. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "call.h"
#include "header_private.h"
#include "opening_private.h"
#include "volume.h"

#define SLACK_US 20000 /* of which nobody takes notice */

/* What the opening has asked for. */
static struct {
	const struct worker_events *events;
	void *data;
	uint64_t wait_us, accuracy_us;
	unsigned int timers;
} world;

static struct agent agent;

struct agent *__wrap_call_agent(const struct call *c);
int __wrap_worker_start(struct agent *a, const struct worker_request *request,
			const struct worker_events *events, void *data,
			struct worker **ret);
void __wrap_worker_free(struct worker *w);
int __wrap_sd_event_add_time_relative(sd_event *event, sd_event_source **ret,
				      clockid_t clock, uint64_t usec,
				      uint64_t accuracy,
				      sd_event_time_handler_t handler,
				      void *data);

struct agent *__wrap_call_agent(const struct call *c)
{
	(void)c;
	return &agent;
}

int __wrap_worker_start(struct agent *a, const struct worker_request *request,
			const struct worker_events *events, void *data,
			struct worker **ret)
{
	(void)a;
	(void)request;
	world.events = events;
	world.data = data;
	*ret = NULL;
	return 0;
}

void __wrap_worker_free(struct worker *w)
{
	(void)w;
}

int __wrap_sd_event_add_time_relative(sd_event *event, sd_event_source **ret,
				      clockid_t clock, uint64_t usec,
				      uint64_t accuracy,
				      sd_event_time_handler_t handler,
				      void *data)
{
	(void)event;
	(void)clock;
	(void)handler;
	(void)data;
	world.wait_us = usec;
	world.accuracy_us = accuracy;
	world.timers++;
	*ret = NULL;
	return 0;
}

/* An opening of a volume with @slots slots, the first of which is asked. */
static struct opening *asked(const struct header *h)
{
	static const struct worker_request request = { .name = "v0" };
	static const struct opening_events events = { .header = NULL };
	struct opening *o = NULL;

	memset(&world, 0, sizeof(world));
	assert_int_equal(opening_start(NULL, &request, &events, NULL, &o), 0);
	o->header = h;
	o->next_slot = 1;
	world.events->asked(world.data);
	return o;
}

/* sd-event adds a quarter of a second, as long again, where nobody objects. */
static void next_slot_in_time(void **state)
{
	const struct header h = { .slot_count = 2 };
	struct opening *o;

	(void)state;
	o = asked(&h);
	assert_int_equal(world.timers, 1);
	assert_int_equal(world.wait_us, VOLUME_NEXT_SLOT_MS * 1000);
	assert_int_not_equal(world.accuracy_us, 0);
	assert_true(world.accuracy_us <= SLACK_US);
	opening_free(o);
}

static void last_slot_untimed(void **state)
{
	const struct header h = { .slot_count = 1 };
	struct opening *o;

	(void)state;
	o = asked(&h);
	assert_int_equal(world.timers, 0);
	opening_free(o);
}

#define NAMED(text, test) { text, test, NULL, NULL, NULL }

int main(void)
{
	const struct CMUnitTest tests[] = {
		NAMED("agent-opening-the-next-slot-is-in-time",
		      next_slot_in_time),
		NAMED("agent-opening-the-last-slot-is-not-timed",
		      last_slot_untimed),
	};

	return cmocka_run_group_tests_name("agent_opening", tests, NULL, NULL);
}
