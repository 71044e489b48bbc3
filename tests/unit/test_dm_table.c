// SPDX-License-Identifier: GPL-2.0-or-later
/* Table and status lines of a volume: printed, parsed, and garbage refused. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "dm.h"

#define ID "vol-0123456789abcdef0"
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct dm_volume volume(void)
{
	return (struct dm_volume){
		.name = "data",
		.uuid = "01234567-89ab-cdef-0123-456789abcdef",
		.volume_id = ID,
		.size_sectors = 16384,
		.major = 254,
		.minor = 16,
		.start_sectors = 2048,
		.sector_size = 4096,
		.holes = true,
	};
}

static void prints(const struct dm_volume *v, const char *wanted)
{
	char line[DM_VOLUME_PARAMS_CHARS];

	assert_int_equal(dm_volume_params(v, line), 0);
	assert_string_equal(line, wanted);
}

static void line_of_a_volume(void **state)
{
	struct dm_volume v = volume();

	(void)state;
	prints(&v, "aes-xts-plain64 :64:envelope:" ID
	       " 0 254:16 2048 2 sector_size:4096 holes");
	v.holes = false;
	v.sector_size = 512;
	prints(&v, "aes-xts-plain64 :64:envelope:" ID
	       " 0 254:16 2048 1 sector_size:512");
}

static void line_with_all_options(void **state)
{
	struct dm_volume v = volume();

	(void)state;
	v.iv_large_sectors = true;
	v.allow_discards = true;
	v.on_lock = DM_ON_LOCK_ERROR;
	v.iv_offset_sectors = UINT64_MAX;
	v.start_sectors = 0;
	prints(&v, "aes-xts-plain64 :64:envelope:" ID
	       " 18446744073709551615 254:16 0 5 sector_size:4096 iv_large_sectors allow_discards holes on_lock:error");
}

/* dm-crypt knows neither holes nor on_lock, and logon keys have a prefix. */
static void line_for_dm_crypt(void **state)
{
	struct dm_volume v = volume();

	(void)state;
	v.target = DM_TARGET_CRYPT;
	v.on_lock = DM_ON_LOCK_ERROR;
	v.iv_large_sectors = true;
	v.allow_discards = true;
	prints(&v, "aes-xts-plain64 :64:logon:envelope:" ID
	       " 0 254:16 2048 3 sector_size:4096 iv_large_sectors allow_discards");
}

static void bad_volume_id_is_not_printed(void **state)
{
	struct dm_volume v = volume();
	char line[DM_VOLUME_PARAMS_CHARS] = "as it was";

	(void)state;
	strcpy(v.volume_id, "vol-0 0 254:0");
	assert_int_equal(dm_volume_params(&v, line), -EINVAL);
	assert_string_equal(line, "as it was");
}

static void round_trip(void **state)
{
	struct dm_volume v = volume();
	struct dm_volume back = { 0 };
	char line[DM_VOLUME_PARAMS_CHARS];
	char again[DM_VOLUME_PARAMS_CHARS];
	unsigned int bits;

	(void)state;
	for (bits = 0; bits < 64; bits++) {
		v.target = bits & 1 ? DM_TARGET_CRYPT : DM_TARGET_ENVELOPE;
		v.iv_large_sectors = bits & 2;
		v.allow_discards = bits & 4;
		v.holes = bits & 8;
		v.on_lock = bits & 16 ? DM_ON_LOCK_ERROR : DM_ON_LOCK_QUEUE;
		v.sector_size = bits & 32 ? 2048 : 512;
		assert_int_equal(dm_volume_params(&v, line), 0);
		assert_int_equal(dm_volume_parse_params(
			v.target == DM_TARGET_CRYPT ? "crypt" : "envelope",
			line, &back), 0);
		assert_int_equal(dm_volume_params(&back, again), 0);
		assert_string_equal(line, again);
		assert_string_equal(back.volume_id, v.volume_id);
		assert_int_equal(back.target, v.target);
	}
}

static void defaults_of_the_targets(void **state)
{
	struct dm_volume v = { 0 };

	(void)state;
	assert_int_equal(dm_volume_parse_params("envelope",
		"aes-xts-plain64 :64:envelope:" ID " 0 8:1 0", &v), 0);
	assert_int_equal(v.sector_size, 4096);
	assert_int_equal(dm_volume_parse_params("crypt",
		"aes-xts-plain64 :64:logon:envelope:" ID
		" 0 8:1 0 1 no_read_workqueue", &v), 0);
	assert_int_equal(v.sector_size, 512);
}

static void other_tables_are_not_ours(void **state)
{
	static const char *const lines[] = {
		"",
		" ",
		"aes-xts-plain64",
		"aes-cbc-essiv:sha256 :64:envelope:" ID " 0 8:1 0",
		"aes-xts-plain64 0011223344556677 0 8:1 0",
		"aes-xts-plain64 :64:logon:" ID " 0 8:1 0",
		"aes-xts-plain64 :64:envelope:vol-012 0 8:1 0",
		"aes-xts-plain64 :32:envelope:" ID " 0 8:1 0",
		"aes-xts-plain64 :64:envelope:" ID " -1 8:1 0",
		"aes-xts-plain64 :64:envelope:" ID " 0x1 8:1 0",
		"aes-xts-plain64 :64:envelope:" ID " 0 /dev/sda 0",
		"aes-xts-plain64 :64:envelope:" ID " 0 8: 0",
		"aes-xts-plain64 :64:envelope:" ID " 0 8:1x 0",
		"aes-xts-plain64 :64:envelope:" ID " 0 8:1 18446744073709551616",
		"aes-xts-plain64 :64:envelope:" ID " 0 8:1 0 1",
		"aes-xts-plain64 :64:envelope:" ID " 0 8:1 0 0 holes",
		"aes-xts-plain64 :64:envelope:" ID " 0 8:1 0 1 holes holes",
		"aes-xts-plain64 :64:envelope:" ID " 0 8:1 0 1 sector_size:1000",
		"aes-xts-plain64 :64:envelope:" ID " 0 8:1 0 1 sector_size:",
		"aes-xts-plain64 :64:envelope:" ID " 0 8:1 0 1 on_lock:maybe",
		"aes-xts-plain64 :64:envelope:" ID " 0 8:1 0 1 submit_from_crypt_cpus",
		"1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25",
	};
	struct dm_volume v = volume();
	struct dm_volume before = v;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(lines); i++) {
		assert_int_equal(dm_volume_parse_params("envelope", lines[i],
							&v), -EINVAL);
		assert_memory_equal(&v, &before, sizeof(v));
	}
	assert_int_equal(dm_volume_parse_params("linear", "8:1 0", &v),
			 -EINVAL);
}

static void status_of_an_active_volume(void **state)
{
	struct dm_volume_status s = { 0 };

	(void)state;
	assert_int_equal(dm_volume_parse_status("envelope",
		"active - revocable 1 2 3 18446744073709551615", &s), 0);
	assert_int_equal(s.state, DM_STATE_ACTIVE);
	assert_string_equal(s.reason, "-");
	assert_true(s.revocable);
	assert_true(s.counted);
	assert_int_equal(s.reads, 1);
	assert_int_equal(s.writes, 2);
	assert_int_equal(s.holes, 3);
	assert_true(s.errors == UINT64_MAX);
}

static void status_of_a_locked_volume(void **state)
{
	static const char *const reasons[] = {
		"revoked", "invalidated", "expired", "wiped"
	};
	struct dm_volume_status s = { 0 };
	char line[80];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(reasons); i++) {
		snprintf(line, sizeof(line), "locked %s unleased 0 0 0 0",
			 reasons[i]);
		assert_int_equal(dm_volume_parse_status("envelope", line, &s),
				 0);
		assert_int_equal(s.state, DM_STATE_LOCKED);
		assert_string_equal(s.reason, reasons[i]);
		assert_false(s.revocable);
	}
}

static void status_may_grow(void **state)
{
	struct dm_volume_status s = { 0 };

	(void)state;
	assert_int_equal(dm_volume_parse_status("envelope",
		"active - revocable 1 2 3 4 and more", &s), 0);
	assert_int_equal(s.errors, 4);
}

static void garbage_is_no_status(void **state)
{
	static const char *const lines[] = {
		"",
		"active",
		"active - revocable 1 2 3",
		"active revoked revocable 1 2 3 4",
		"locked - revocable 1 2 3 4",
		"locked because revocable 1 2 3 4",
		"active - forever 1 2 3 4",
		"active - revocable -1 2 3 4",
		"active - revocable 1 2 3 x",
		"active - revocable 1 2 3 18446744073709551616",
		"ACTIVE - revocable 1 2 3 4",
	};
	struct dm_volume_status s = { .reads = 7 };
	struct dm_volume_status before = s;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(lines); i++) {
		assert_int_equal(dm_volume_parse_status("envelope", lines[i],
							&s), -EINVAL);
		assert_memory_equal(&s, &before, sizeof(s));
	}
	assert_int_equal(dm_volume_parse_status("zero", "", &s), -EINVAL);
}

static void dm_crypt_says_nothing(void **state)
{
	struct dm_volume_status s = { .reads = 7, .counted = true };

	(void)state;
	assert_int_equal(dm_volume_parse_status("crypt", "", &s), 0);
	assert_int_equal(s.state, DM_STATE_ACTIVE);
	assert_false(s.revocable);
	assert_false(s.counted);
}

static void names(void **state)
{
	static const char *const bad[] = {
		"", ".", "..", "control", "a/b", "a b", "a\\x20", "\xc3\xa4",
		"0123456789012345678901234567890123456789"
		"0123456789012345678901234567890123456789012",
	};
	static const char *const good[] = {
		"a", "data-1", ID, "a.b", "A#+.:=@_-9",
		"0123456789012345678901234567890123456789"
		"012345678901234567890123456789012345678901",
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(bad); i++)
		assert_false(dm_volume_name_valid(bad[i]));
	for (i = 0; i < COUNT(good); i++)
		assert_true(dm_volume_name_valid(good[i]));
}

static void uuid_fits_the_longest_name(void **state)
{
	struct dm_volume v = volume();
	char uuid[DM_VOLUME_UUID_CHARS];

	(void)state;
	assert_int_equal(dm_volume_uuid(&v, uuid), 0);
	assert_string_equal(uuid,
		"ENVELOPE-01234567-89ab-cdef-0123-456789abcdef-data");
	memset(v.name, 'x', sizeof(v.name) - 1);
	assert_int_equal(dm_volume_uuid(&v, uuid), 0);
	assert_int_equal(strlen(uuid), DM_VOLUME_UUID_CHARS - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(line_of_a_volume),
		cmocka_unit_test(line_with_all_options),
		cmocka_unit_test(line_for_dm_crypt),
		cmocka_unit_test(bad_volume_id_is_not_printed),
		cmocka_unit_test(round_trip),
		cmocka_unit_test(defaults_of_the_targets),
		cmocka_unit_test(other_tables_are_not_ours),
		cmocka_unit_test(status_of_an_active_volume),
		cmocka_unit_test(status_of_a_locked_volume),
		cmocka_unit_test(status_may_grow),
		cmocka_unit_test(garbage_is_no_status),
		cmocka_unit_test(dm_crypt_says_nothing),
		cmocka_unit_test(names),
		cmocka_unit_test(uuid_fits_the_longest_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
