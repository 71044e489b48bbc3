// SPDX-License-Identifier: GPL-2.0-or-later
/* What of a live snapshot can be judged without a kernel: tests/vm/live.sh. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "live_private.h"

/* The kernel keeps a record of each chunk in memory. */
static void chunks_stay_few(void **state)
{
	static const uint64_t sizes[] = {
		1 << 20, 1ull << 30, 16ull << 30, 17ull << 30, 1ull << 40,
		16ull << 40,
	};
	uint64_t sectors;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		sectors = live_cow_chunk_sectors(sizes[i]);
		/* A power of two, of no less than a page. */
		assert_true(sectors >= 8);
		assert_int_equal(sectors & (sectors - 1), 0);
		assert_true(sizes[i] / 512 / sectors <= 1u << 22);
	}
	assert_int_equal(live_cow_chunk_sectors(16ull << 30), 8);
	assert_int_equal(live_cow_chunk_sectors(17ull << 30), 16);
}

static void names_fit(void **state)
{
	char name[LIVE_NAME_CHARS];

	(void)state;
	live_name_of("vol-0123456789abcdef0", LIVE_SNAPSHOT, name);
	assert_string_equal(name,
			    "envelope-live-vol-0123456789abcdef0-snapshot");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chunks_stay_few),
		cmocka_unit_test(names_fit),
	};

	return cmocka_run_group_tests_name("test_live", tests, NULL, NULL);
}
