// SPDX-License-Identifier: GPL-2.0-or-later
/* Leases as the agent keeps them, with a clock, a kernel and a KMS of ours. */
#include <stdbool.h>

#include "audit.h"
#include "event.h"
#include "grant_journal.h"
#include "header_fixture.h"
#include "keyring.h"
#include "leases.h"
#include "leases_private.h"
#include "messages.h"
#include "opening_private.h"
#include "volume.h"

#define VOLUMES 100
#define UUID "01234567-89ab-cdef-0123-456789abcdef"
#define SECOND 1000ull

static const struct lease_terms terms = { 100 * SECOND, 50 * SECOND };

/* What the rest of the world has and was told; the clock stands still. */
static struct {
	uint64_t now_ms;
	uint32_t random;
	enum dm_state state;
	const char *reason;
	bool gone;			/* the device */
	bool key_stays;			/* revoking fails */
	int key_error;			/* of setting its time */
	unsigned int locked, timeouts;
	uint64_t timeout_ms;		/* the last one */
	struct {
		const struct worker_events *events;
		void *data;
		char lane[64], name[16];
		unsigned int timeout_ms;
		bool live;
	} workers[4 * VOLUMES];
	size_t count;
	char told[512];			/* the last event but one that is routine */
	unsigned int renewals;		/* events */
	char recorded[1024];		/* all of it, a line each */
	unsigned int durable;		/* of these */
	bool holds_audit;
	bool looked_behind;		/* the lock, for the audit */
	unsigned int replies;
	int refused;
	char refusal[256];
} world;

uint64_t __wrap_volume_clock_ms(void)
{
	return world.now_ms;
}

uint32_t __wrap_volume_random(void)
{
	return world.random += 0x31415926;
}

int __wrap_dm_volume_status_get(const char *name, struct dm_volume_status *ret)
{
	(void)name;
	if (world.gone)
		return -ENXIO;
	*ret = (struct dm_volume_status){ .state = world.state };
	strcpy(ret->volume.uuid, UUID);
	snprintf(ret->reason, sizeof(ret->reason), "%s", world.reason);
	return 0;
}

int __wrap_volume_end_key(const struct dm_volume_status *s,
			  struct dm_volume_status *ret)
{
	(void)s;
	(void)ret;
	if (world.key_stays)
		return -EIO;
	world.locked++;
	world.state = DM_STATE_LOCKED;
	return 0;
}

int __wrap_keyring_set_timeout(const char *volume_id, uint64_t timeout_ms)
{
	(void)volume_id;
	world.timeouts++;
	world.timeout_ms = timeout_ms;
	if (world.key_error)
		messages_add(LOG_LEVEL_ERROR, "the key is dead already");
	return world.key_error;
}

int __wrap_worker_start(struct agent *agent, const struct worker_request *q,
			const struct worker_events *events, void *data,
			struct worker **ret)
{
	size_t i = world.count++;

	(void)agent;
	assert_true(i < sizeof(world.workers) / sizeof(world.workers[0]));
	assert_true(json_is_object(q->check));
	assert_null(q->event);
	world.workers[i].events = events;
	world.workers[i].data = data;
	world.workers[i].timeout_ms = q->timeout_ms;
	world.workers[i].live = true;
	snprintf(world.workers[i].lane, 64, "%s", q->lane);
	snprintf(world.workers[i].name, 16, "%s", q->name);
	*ret = (struct worker *)&world.workers[i];
	return 0;
}

void __wrap_worker_free(struct worker *w)
{
	size_t i;

	for (i = 0; i < world.count; i++)
		if ((void *)w == (void *)&world.workers[i])
			world.workers[i].live = false;
}

void __wrap_event_to_journal(const struct event *e)
{
	if (e->routine) {
		world.renewals++;
		return;
	}
	snprintf(world.told, sizeof(world.told), "%s %s %s: %s", e->name,
		 e->device, e->failed ? "failed" : "succeeded", e->cause);
}

bool __wrap_volume_holds_audit(const struct dm_volume_status *s)
{
	(void)s;
	world.looked_behind |= world.locked > 0;
	return world.holds_audit;
}

/* What a worker says of its last call. */
const struct kms_trace *__wrap_worker_trace(const struct worker *w)
{
	static const struct kms_trace trace = {
		.key = "arn:key", .request_id = "request-1",
	};

	assert_non_null(w);
	return &trace;
}

int __wrap_audit_write(const struct audit_record *r, unsigned int flags)
{
	size_t used = strlen(world.recorded);

	assert_true(flags & AUDIT_AFTERWARDS);
	assert_string_equal(r->volume_id, VOLUME_ID);
	world.durable += !(flags & AUDIT_LAZY);
	snprintf(world.recorded + used, sizeof(world.recorded) - used,
		 "%u %s %s %s %s %s: %s\n", (unsigned int)r->uid, r->name,
		 r->event, r->result, r->key_id, r->request_id, r->why);
	return 0;
}

const struct caller *__wrap_call_caller(const struct call *c)
{
	static const struct caller who = { .uid = 7 };

	(void)c;
	return &who;
}

void __wrap_call_reply(struct call *c, json_t *o)
{
	(void)c;
	json_decref(o);
	world.replies++;
}

void __wrap_call_refuse(struct call *c, int r, const char *fmt, ...)
{
	va_list args;

	(void)c;
	va_start(args, fmt);
	vsnprintf(world.refusal, sizeof(world.refusal), fmt, args);
	va_end(args);
	world.refused = r;
}

static void (*gone)(struct call *c, void *data);
static void *gone_data;

void __wrap_call_on_gone(struct call *c, void (*f)(struct call *c, void *data),
			 void *data)
{
	(void)c;
	gone = f;
	gone_data = data;
}

/* An agent, and as many attached volumes with a lease as wanted. */
static struct agent agent;
static char folder[] = "/tmp/leases-XXXXXX";
static struct attachment *volumes[VOLUMES];
static struct dm_volume_status seen;

static void attach(size_t i, const struct lease_terms *t)
{
	struct header *h = fixture_header(fixture_dek(1));
	struct attachment new = { .uid = 7, .stage = ATTACHMENT_ATTACHED };

	snprintf(new.name, sizeof(new.name), "v%zu", i);
	strcpy(new.uuid, UUID);
	strcpy(new.volume_id, VOLUME_ID);
	assert_int_equal(attachments_add(agent.attachments, &new, &volumes[i]),
			 0);
	assert_int_equal(leases_begin(&agent, volumes[i], h, t, world.now_ms),
			 0);
	header_free(h);
}

static void begin(size_t count)
{
	size_t i;

	memset(&world, 0, sizeof(world));
	world.now_ms = 1000000;
	world.reason = "expired";
	if (mkdtemp(folder) == NULL)
		fail();
	assert_int_equal(sd_event_new(&agent.event), 0);
	assert_int_equal(attachments_load(folder, &agent.attachments), 0);
	strcpy(seen.volume.name, "v0");
	seen.state = DM_STATE_ACTIVE;
	for (i = 0; i < count; i++)
		attach(i, &terms);
}

static void end(void)
{
	char command[64];

	while (attachments_first(agent.attachments)) {
		leases_end(&agent, attachments_first(agent.attachments));
		attachments_remove(agent.attachments,
				   attachments_first(agent.attachments));
	}
	attachments_free(agent.attachments);
	sd_event_unref(agent.event);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	assert_int_equal(system(command), 0);
	strcpy(folder + strlen(folder) - 6, "XXXXXX");
}

static void pass(uint64_t ms)
{
	world.now_ms += ms;
	leases_run();
}

static size_t live(void)
{
	size_t n = 0, i;

	for (i = 0; i < world.count; i++)
		n += world.workers[i].live;
	return n;
}

/* The last check that was begun comes to @a. */
static void answers(enum lease_answer a)
{
	size_t i = world.count - 1;

	assert_true(world.workers[i].live);
	messages_clear();
	if (a != LEASE_GRANTED)
		messages_add(LOG_LEVEL_ERROR, "the KMS says no");
	world.workers[i].events->checked(world.workers[i].data, a);
	assert_false(world.workers[i].live);
}

/* Until the next check has begun, a second at a time. */
static uint64_t until_asked(void)
{
	uint64_t before = world.now_ms;
	size_t count = world.count;

	while (world.count == count) {
		assert_true(world.now_ms - before < 200 * SECOND);
		pass(100);
	}
	assert_int_equal(world.count, count + 1);
	return world.now_ms - before;
}

static json_int_t shown(const char *name)
{
	json_t *o = leases_describe(volumes[0]);
	json_int_t n = json_integer_value(json_object_get(o, name));

	json_decref(o);
	return n;
}

static bool state_is(const char *name)
{
	json_t *o = leases_describe(volumes[0]);
	bool same = strcmp(json_string_value(json_object_get(o, "state")),
			   name) == 0;

	json_decref(o);
	return same;
}

static void renewed(void **state)
{
	int i;

	(void)state;
	begin(1);
	for (i = 1; i < 5; i++) {
		assert_true(until_asked() <= 50 * SECOND);
		/* A second for the answer, which is no part of the time. */
		world.now_ms += SECOND;
		answers(LEASE_GRANTED);
		assert_int_equal(world.timeouts, i);
		assert_int_equal(world.timeout_ms, 149 * SECOND);
		assert_int_equal(world.renewals, i);
		assert_int_equal(shown("remaining"), 149);
	}
	assert_string_equal(world.told, "");
	assert_string_equal(world.workers[0].lane, "arn:aws:kms:us-east-1:");
	assert_int_equal(world.workers[0].timeout_ms, 30 * SECOND);
	end();
	assert_int_equal(live(), 0);
}

static void denied(void **state)
{
	uint64_t begun;

	(void)state;
	begin(1);
	begun = world.now_ms;
	until_asked();
	answers(LEASE_DENIED);
	assert_int_equal(world.locked, 0);
	assert_true(state_is("confirming"));
	assert_string_equal(world.told,
			    "renewLease v0 failed: the KMS says no");
	assert_true(until_asked() >= 2 * SECOND);
	answers(LEASE_DENIED);
	assert_int_equal(world.locked, 1);
	assert_true(world.now_ms - begun <= 55 * SECOND);
	assert_true(state_is("locked"));
	assert_string_equal(world.told,
			    "lockVolume v0 succeeded: the KMS says no");
	pass(500 * SECOND);
	assert_int_equal(world.count, 2);
	assert_int_equal(world.timeouts, 0);
	end();
}

/* A key that cannot be revoked must not stay for that. */
static void denied_again(void **state)
{
	int i;

	(void)state;
	begin(1);
	until_asked();
	answers(LEASE_DENIED);
	until_asked();
	world.key_stays = true;
	answers(LEASE_DENIED);
	for (i = 0; i < 5; i++)
		pass(SECOND);
	assert_int_equal(world.locked, 0);
	world.key_stays = false;
	pass(SECOND);
	assert_int_equal(world.locked, 1);
	assert_string_equal(world.told,
			    "lockVolume v0 succeeded: the KMS says no");
	pass(SECOND);
	assert_int_equal(world.locked, 1);
	end();
}

static void silent(void **state)
{
	uint64_t begun, waited = 0;
	int i;

	(void)state;
	begin(1);
	begun = world.now_ms;
	until_asked();
	for (i = 1; world.now_ms - begun < 110 * SECOND; i++) {
		answers(LEASE_UNREACHABLE);
		assert_true(state_is("retrying"));
		assert_int_equal(shown("failures"), i);
		waited = until_asked();
		assert_true(waited <= 26 * SECOND);
	}
	assert_int_equal(world.timeouts, 0);
	assert_string_equal(world.told,
			    "renewLease v0 failed: the KMS says no");
	/* The check under way is of no use any more. */
	pass(begun + 150 * SECOND - world.now_ms);
	assert_true(state_is("locked"));
	assert_string_equal(world.told,
			    "lockVolume v0 succeeded: no grant came in time");
	assert_int_equal(live(), 0);
	end();
}

static void back_in_time(void **state)
{
	(void)state;
	begin(1);
	until_asked();
	answers(LEASE_UNREACHABLE);
	until_asked();
	answers(LEASE_GRANTED);
	assert_int_equal(world.timeouts, 1);
	assert_int_equal(world.timeout_ms, 150 * SECOND);
	assert_int_equal(shown("failures"), 0);
	assert_true(state_is("running"));
	end();
}

/* The kernel, or somebody, has locked it: a grant that comes is too late. */
static void locked_by_others(void **state)
{
	(void)state;
	begin(1);
	until_asked();
	world.state = DM_STATE_LOCKED;
	answers(LEASE_GRANTED);
	assert_int_equal(world.timeouts, 0);
	assert_true(state_is("locked"));
	assert_string_equal(world.told,
			    "lockVolume v0 succeeded: its key is expired");
	pass(500 * SECOND);
	assert_int_equal(world.count, 1);
	end();
}

static void locked_meanwhile(void **state)
{
	(void)state;
	begin(1);
	until_asked();
	leases_locked(&agent, volumes[0], "by user 7");
	assert_int_equal(live(), 0);
	assert_string_equal(world.told, "lockVolume v0 succeeded: by user 7");
	pass(500 * SECOND);
	assert_int_equal(world.count, 1);
	end();
}

static void unlocked(void **state)
{
	struct header *h = fixture_header(fixture_dek(1));

	(void)state;
	begin(1);
	leases_locked(&agent, volumes[0], "by user 7");
	assert_int_equal(leases_begin(&agent, volumes[0], h, &terms,
				      world.now_ms), 0);
	assert_true(state_is("running"));
	assert_true(until_asked() <= 50 * SECOND);
	answers(LEASE_GRANTED);
	assert_int_equal(world.timeouts, 1);
	header_free(h);
	end();
}

/* The kernel has locked it while the KMS was asked, and the agent saw none. */
static void unlocked_meanwhile(void **state)
{
	struct header *h = fixture_header(fixture_dek(1));

	(void)state;
	begin(1);
	leases_renew((struct call *)&agent, volumes[0], &seen);
	assert_int_equal(live(), 1);
	assert_int_equal(leases_begin(&agent, volumes[0], h, &terms,
				      world.now_ms), 0);
	assert_int_equal(live(), 0);
	assert_int_equal(world.refused, -EKEYREVOKED);
	assert_string_equal(world.refusal, "'v0': it was locked meanwhile");
	until_asked();
	answers(LEASE_GRANTED);
	assert_int_equal(world.timeouts, 1);
	header_free(h);
	end();
}

static size_t warnings(void)
{
	json_t *list = messages_warnings();
	size_t count = json_array_size(list);

	json_decref(list);
	return count;
}

/* Whose attach it is must not hear that another's volume is locked. */
static void concealed(void **state)
{
	(void)state;
	begin(1);
	messages_clear();
	world.now_ms += 151 * SECOND;
	attach(1, &terms);
	assert_int_equal(warnings(), 0);
	leases_run();
	assert_int_equal(warnings(), 1);
	assert_string_equal(world.told,
			    "lockVolume v0 succeeded: no grant came in time");
	end();
}

static void detached(void **state)
{
	(void)state;
	begin(2);
	until_asked();
	world.gone = true;
	answers(LEASE_GRANTED);
	assert_int_equal(world.timeouts, 0);
	world.gone = false;
	leases_end(&agent, volumes[0]);
	leases_end(&agent, volumes[1]);
	pass(500 * SECOND);
	assert_int_equal(world.count, 1);
	assert_null(leases_describe(volumes[0]));
	end();
}

static void key_gone(void **state)
{
	(void)state;
	begin(1);
	until_asked();
	/* Between the look and the timeout. */
	world.key_error = -EKEYREVOKED;
	leases_renew((struct call *)&agent, volumes[0], &seen);
	answers(LEASE_GRANTED);
	assert_int_equal(world.renewals, 0);
	assert_int_equal(world.refused, -EKEYREVOKED);
	assert_string_equal(world.refusal, "'v0': the key is dead already");
	assert_string_equal(world.told,
			    "renewLease v0 failed: the key is dead already");
	end();
}

/* Each change, and the lock; not each question. */
static void recorded(void **state)
{
	(void)state;
	begin(1);
	until_asked();
	answers(LEASE_GRANTED);
	assert_string_equal(world.recorded, "");
	until_asked();
	answers(LEASE_UNREACHABLE);
	until_asked();
	answers(LEASE_UNREACHABLE);
	until_asked();
	answers(LEASE_ALARM);
	until_asked();
	answers(LEASE_GRANTED);
	until_asked();
	answers(LEASE_DENIED);
	assert_int_equal(world.durable, 0);
	until_asked();
	answers(LEASE_DENIED);
	assert_string_equal(world.recorded,
		"0 v0 lease-check unreachable arn:key request-1: the KMS says no\n"
		"0 v0 lease-check tampered arn:key request-1: the KMS says no\n"
		"0 v0 lease-check granted arn:key request-1: \n"
		"0 v0 lease-check denied arn:key request-1: the KMS says no\n"
		"0 v0 lock done arn:key request-1: the KMS says no\n");
	assert_int_equal(world.durable, 1);
	end();
}

/* By the kernel; that by somebody's call is recorded where he called. */
static void recorded_locks(void **state)
{
	(void)state;
	begin(2);
	pass(150 * SECOND);
	assert_string_equal(world.recorded,
		"0 v1 lock done  : no grant came in time\n"
		"0 v0 lock done  : no grant came in time\n");
	end();
	begin(1);
	until_asked();
	world.state = DM_STATE_LOCKED;
	answers(LEASE_GRANTED);
	assert_string_equal(world.recorded,
		"0 v0 lock done arn:key request-1: its key is expired\n");
	end();
	begin(1);
	leases_locked(&agent, volumes[0], "by user 7");
	assert_string_equal(world.recorded, "");
	end();
}

/* The KMS of a slot that did not open "v0" denies its key. */
static void deny_late(void)
{
	static char config[64];
	struct opening o = { .agent = &agent, .name = "v0", .uuid = UUID };
	struct attempt t = { .opening = &o, .cause = "AccessDenied",
			     .worker = (struct worker *)&world };
	FILE *f;

	snprintf(config, sizeof(config), "%s/conf", folder);
	f = fopen(config, "w");
	assert_non_null(f);
	fclose(f);
	agent.config_path = config;
	grant_journal_set_dir(folder);
	json_object_set_new(volumes[0]->more, GRANTS_MORE,
			    json_string("envelope-host-0"));
	late_denied(&t);
	assert_null(o.timer);
	assert_int_equal(world.locked, 1);
	agent.config_path = NULL;
	grant_journal_set_dir(NULL);
}

/* Not the owner's own lock, and why. */
static void recorded_late(void **state)
{
	(void)state;
	begin(1);
	deny_late();
	assert_string_equal(world.recorded,
		"0 v0 lock done arn:key request-1: the KMS of slot 0 denies its key: AccessDenied\n");
	assert_string_equal(world.told,
			    "lockVolume v0 succeeded: the KMS of slot 0 denies its key: AccessDenied");
	assert_false(world.looked_behind);
	end();
	begin(1);
	world.holds_audit = true;
	deny_late();
	assert_string_equal(world.recorded, "");
	end();
}

/* Its grant is retired: a check by its slot would be a denial. */
static void retired_late(void **state)
{
	(void)state;
	begin(1);
	deny_late();
	assert_null(json_object_get(volumes[0]->more, GRANTS_MORE));
	world.state = DM_STATE_ACTIVE;
	leases_renew((struct call *)&agent, volumes[0], &seen);
	assert_int_equal(world.count, 0);
	assert_int_equal(world.refused, -EHOSTUNREACH);
	assert_int_equal(world.locked, 1);
	end();
}

static void recorded_elsewhere(void **state)
{
	(void)state;
	begin(1);
	world.holds_audit = true;
	fixture_listen();
	until_asked();
	leases_renew((struct call *)&agent, volumes[0], &seen);
	answers(LEASE_DENIED);
	until_asked();
	answers(LEASE_DENIED);
	assert_int_equal(world.locked, 1);
	assert_string_equal(world.recorded, "");
	assert_non_null(strstr(fixture_heard(),
			       "'v0' has this host's audit, which has no record of the lock"));
	end();
}

/* As of a host that slept: the first thing that it sees is the lock. */
static void recorded_elsewhere_unasked(void **state)
{
	(void)state;
	begin(0);
	world.holds_audit = true;
	attach(0, &terms);
	fixture_listen();
	world.state = DM_STATE_LOCKED;
	pass(150 * SECOND);
	assert_int_equal(world.count, 0);
	assert_string_equal(world.recorded, "");
	assert_non_null(strstr(fixture_heard(),
			       "'v0' has this host's audit, which has no record of the lock"));
	end();
}

static void recorded_renewals(void **state)
{
	struct call *c = (struct call *)&agent;

	(void)state;
	seen.state = DM_STATE_ACTIVE;
	begin(1);
	leases_renew(c, volumes[0], &seen);
	answers(LEASE_GRANTED);
	leases_renew(c, volumes[0], &seen);
	answers(LEASE_UNREACHABLE);
	assert_string_equal(world.recorded,
		"7 v0 renew done arn:key request-1: \n"
		"0 v0 lease-check unreachable arn:key request-1: the KMS says no\n"
		"7 v0 renew unreachable arn:key request-1: the KMS says no\n");
	assert_int_equal(world.durable, 0);
	end();
}

static void restarted(void **state)
{
	(void)state;
	begin(2);
	assert_int_equal(attachments_save(agent.attachments), 0);
	leases_stop();
	attachments_free(agent.attachments);
	assert_int_equal(attachments_load(folder, &agent.attachments), 0);
	assert_int_equal(world.count, 0);
	leases_resume(&agent);
	assert_int_equal(world.count, 2);
	answers(LEASE_GRANTED);
	assert_int_equal(world.timeouts, 1);
	assert_int_equal(world.timeout_ms, 150 * SECOND);
	/* What it finds is recorded, whatever was before. */
	assert_non_null(strstr(world.recorded, "lease-check granted"));
	/* No answer: no longer than the kernel can wait. */
	pass(150 * SECOND);
	assert_non_null(strstr(world.told, "no grant came in time"));
	end();
}

static void damaged(void **state)
{
	(void)state;
	begin(1);
	leases_stop();
	json_object_set_new(volumes[0]->more, "lease", json_string("?"));
	fixture_listen();
	leases_resume(&agent);
	assert_non_null(strstr(fixture_heard(),
			       "'v0': what is remembered of its lease is damaged"));
	assert_int_equal(world.count, 0);
	end();
}

static void none(void **state)
{
	struct lease_terms no = { 0 };

	(void)state;
	begin(0);
	attach(0, &no);
	pass(500 * SECOND);
	assert_int_equal(world.count, 0);
	assert_null(json_object_get(volumes[0]->more, "lease"));
	leases_renew((struct call *)&agent, volumes[0], &seen);
	assert_int_equal(world.refused, -EINVAL);
	assert_string_equal(world.refusal, "'v0' has no lease to renew");
	end();
}

static void asked_for(void **state)
{
	struct call *c = (struct call *)&agent;

	(void)state;
	begin(1);
	leases_renew(c, volumes[0], &seen);
	leases_renew(c, volumes[0], &seen);
	assert_int_equal(world.count, 1);
	answers(LEASE_GRANTED);
	assert_int_equal(world.replies, 2);
	leases_renew(c, volumes[0], &seen);
	answers(LEASE_UNREACHABLE);
	assert_int_equal(world.refused, -EHOSTUNREACH);
	assert_string_equal(world.refusal, "'v0': the KMS says no");
	world.refused = 0;
	leases_renew(c, volumes[0], &seen);
	answers(LEASE_DENIED);
	/* Nobody can have the confirmation come earlier. */
	leases_renew(c, volumes[0], &seen);
	assert_int_equal(live(), 0);
	assert_int_equal(world.refused, 0);
	until_asked();
	answers(LEASE_DENIED);
	assert_int_equal(world.refused, -EACCES);
	assert_string_equal(world.refusal,
			    "'v0': it is locked: the KMS denies its key, asked twice");
	seen.state = DM_STATE_LOCKED;
	strcpy(seen.reason, "revoked");
	leases_renew(c, volumes[0], &seen);
	assert_int_equal(world.refused, -EKEYREVOKED);
	assert_string_equal(world.refusal,
			    "'v0' is locked (revoked): unlock it first");
	end();
}

static void asker_gone(void **state)
{
	(void)state;
	begin(1);
	leases_renew((struct call *)&agent, volumes[0], &seen);
	gone((struct call *)&agent, gone_data);
	assert_int_equal(world.replies, 1);
	answers(LEASE_GRANTED);
	assert_int_equal(world.replies, 1);
	end();
}

/* Those that were attached together do not ask together. */
static void crowd(void **state)
{
	size_t most = 0;
	int i;

	(void)state;
	begin(VOLUMES);
	for (i = 0; i < 500; i++) {
		size_t before = world.count;

		pass(100);
		if (world.count - before > most)
			most = world.count - before;
	}
	assert_int_equal(world.count, VOLUMES);
	assert_true(most < 10);
	end();
}

#define NAMED(text, test) { text, test, NULL, NULL, NULL }

int main(void)
{
	const struct CMUnitTest tests[] = {
		NAMED("agent-leases-a-grant-extends-the-key", renewed),
		NAMED("agent-leases-two-denials-lock", denied),
		NAMED("agent-leases-a-key-that-stays-is-revoked-again",
		      denied_again),
		NAMED("agent-leases-silence-extends-nothing", silent),
		NAMED("agent-leases-a-kms-that-comes-back", back_in_time),
		NAMED("agent-leases-a-grant-after-the-lock-is-too-late",
		      locked_by_others),
		NAMED("agent-leases-a-lock-ends-the-check", locked_meanwhile),
		NAMED("agent-leases-an-unlock-begins-anew", unlocked),
		NAMED("agent-leases-an-unlock-ends-the-check-of-before",
		      unlocked_meanwhile),
		NAMED("agent-leases-an-attach-hears-nothing-of-others",
		      concealed),
		NAMED("agent-leases-a-device-that-went-is-forgotten",
		      detached),
		NAMED("agent-leases-a-dead-key-is-not-renewed", key_gone),
		NAMED("agent-leases-record-changes-and-locks", recorded),
		NAMED("agent-leases-record-locks-of-the-kernel",
		      recorded_locks),
		NAMED("agent-leases-record-late-denials-as-the-agents-own",
		      recorded_late),
		NAMED("agent-leases-ask-by-no-slot-whose-grant-is-retired",
		      retired_late),
		NAMED("agent-leases-no-record-on-the-locked-volume",
		      recorded_elsewhere),
		NAMED("agent-leases-no-record-on-it-before-the-first-check",
		      recorded_elsewhere_unasked),
		NAMED("agent-leases-record-renewals-with-their-user",
		      recorded_renewals),
		NAMED("agent-leases-go-on-after-a-restart", restarted),
		NAMED("agent-leases-damaged-memory-is-named", damaged),
		NAMED("agent-leases-no-lease-asks-nobody", none),
		NAMED("agent-leases-renew-waits-for-the-answer", asked_for),
		NAMED("agent-leases-who-wanted-a-renewal-may-go", asker_gone),
		NAMED("agent-leases-a-hundred-do-not-ask-together", crowd),
	};

	messages_start();
	return cmocka_run_group_tests_name("agent_leases", tests, NULL, NULL);
}
