// SPDX-License-Identifier: GPL-2.0-or-later
/* A volume that is denied when it is attached, with a device mapper of ours. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "audit.h"
#include "event.h"
#include "keyring.h"
#include "log.h"
#include "volume_private.h"

#define DENIED "key 'k': the key is disabled"
#define OTHER "vol-00000000000000002"

static const struct late_order order = {
	.volume_id = "vol-00000000000000001", .name = "data",
};

/* What the rest of the world has, and was told. */
static struct {
	enum dm_state state;
	const char *volume_id;
	int status_error;	/* 0: the device is there */
	int failures;		/* of locks that are still to come */
	int half;		/* of those, with the key dropped */
	int tries, dropped, drop_error;
	bool on_it;		/* the audit */
	int events, records;
	bool failed;
	char cause[4096], result[16];
} world;

int __wrap_dm_volume_status_get(const char *name, struct dm_volume_status *ret)
{
	assert_string_equal(name, "data");
	*ret = (struct dm_volume_status){ .state = world.state };
	strcpy(ret->volume.name, name);
	strcpy(ret->volume.volume_id, world.volume_id);
	return world.status_error;
}

int __wrap_keyring_drop_dek(const char *volume_id)
{
	assert_string_equal(volume_id, order.volume_id);
	world.dropped++;
	return world.drop_error;
}

int __wrap_volume_end_key(const struct dm_volume_status *s,
			  struct dm_volume_status *ret)
{
	world.tries++;
	if (world.half)
		world.state = DM_STATE_LOCKED;
	if (world.failures > 0) {
		world.failures--;
		log_error("'data': no memory for its message");
		return -EIO;
	}
	*ret = *s;
	ret->state = world.state = DM_STATE_LOCKED;
	return 0;
}

bool __wrap_volume_holds_audit(const struct dm_volume_status *s)
{
	/* Behind the lock, to look might wait. */
	assert_int_equal(s->state, DM_STATE_ACTIVE);
	return world.on_it;
}

void __wrap_event_to_journal(const struct event *e)
{
	world.events++;
	world.failed = e->failed;
	snprintf(world.cause, sizeof(world.cause), "%s", e->cause);
	assert_string_equal(e->name, EVENT_LOCK);
	assert_string_equal(e->device, "data");
	assert_string_equal(e->volume_id, order.volume_id);
}

int __wrap_audit_write(const struct audit_record *r, unsigned int flags)
{
	world.records++;
	snprintf(world.result, sizeof(world.result), "%s", r->result);
	assert_string_equal(r->event, "lock");
	assert_int_equal(flags, AUDIT_AFTERWARDS);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	memset(&world, 0, sizeof(world));
	world.state = DM_STATE_ACTIVE;
	world.volume_id = order.volume_id;
	return 0;
}

static void test_locks(void **state)
{
	(void)state;
	volume_lock_late(&order, DENIED);
	assert_int_equal(world.state, DM_STATE_LOCKED);
	assert_int_equal(world.tries, 1);
	assert_int_equal(world.events, 1);
	assert_false(world.failed);
	assert_string_equal(world.cause, DENIED);
	assert_int_equal(world.records, 1);
	assert_string_equal(world.result, "done");
}

static void test_again(void **state)
{
	(void)state;
	world.failures = 1;
	volume_lock_late(&order, DENIED);
	assert_int_equal(world.state, DM_STATE_LOCKED);
	assert_int_equal(world.tries, 2);
	assert_int_equal(world.events, 1);
	assert_false(world.failed);
	assert_string_equal(world.cause, DENIED);
}

/* The key was dropped, which has locked it, and only then it failed. */
static void test_half(void **state)
{
	(void)state;
	world.failures = world.half = 1;
	volume_lock_late(&order, DENIED);
	assert_int_equal(world.tries, 1);
	assert_int_equal(world.events, 1);
	assert_false(world.failed);
	assert_int_equal(world.records, 1);
}

static void test_fails(void **state)
{
	(void)state;
	world.failures = 9;
	volume_lock_late(&order, DENIED);
	assert_int_equal(world.tries, 2);
	assert_int_equal(world.events, 1);
	assert_true(world.failed);
	assert_string_equal(world.cause, "'data' stays usable, as it cannot be locked: 'data': no memory for its message: 'envelope lock data' does it; " DENIED);
	assert_int_equal(world.records, 1);
	assert_string_equal(world.result, "failed");
}

static void test_audit_on_it(void **state)
{
	(void)state;
	world.on_it = true;
	volume_lock_late(&order, DENIED);
	assert_int_equal(world.events, 1);
	assert_int_equal(world.records, 0);
}

/* Another volume, one that was locked, and one that is gone. */
static void test_nothing(void **state)
{
	(void)state;
	world.volume_id = OTHER;
	volume_lock_late(&order, DENIED);
	assert_int_equal(world.dropped, 0);
	setup(NULL);
	world.state = DM_STATE_LOCKED;
	volume_lock_late(&order, DENIED);
	assert_int_equal(world.dropped, 0);
	setup(NULL);
	world.status_error = -ENXIO;
	volume_lock_late(&order, DENIED);
	assert_int_equal(world.dropped, 1);
	assert_int_equal(world.tries + world.events + world.records, 0);
}

/* Under another name, and its key stays. */
static void test_key_stays(void **state)
{
	(void)state;
	world.status_error = -ENXIO;
	world.drop_error = -EPERM;
	volume_lock_late(&order, DENIED);
	assert_int_equal(world.dropped, 2);
	assert_int_equal(world.events, 1);
	assert_true(world.failed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{ "volume-late: a denial locks, and is told and recorded", test_locks, setup, NULL, NULL },
		{ "volume-late: what cannot be locked is tried again", test_again, setup, NULL, NULL },
		{ "volume-late: a lock that failed behind the key's end is one", test_half, setup, NULL, NULL },
		{ "volume-late: a lock that fails twice is told, and how to do it", test_fails, setup, NULL, NULL },
		{ "volume-late: nothing is recorded on what is locked", test_audit_on_it, setup, NULL, NULL },
		{ "volume-late: what is another's, locked or gone is left alone", test_nothing, setup, NULL, NULL },
		{ "volume-late: a key that stays is told", test_key_stays, setup, NULL, NULL },
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("volume-late", tests, NULL, NULL);
}
