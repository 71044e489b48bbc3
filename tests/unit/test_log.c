// SPDX-License-Identifier: GPL-2.0-or-later
/* Messages: one line each, whatever stands in the names. */
#include "header_fixture.h"

#include "log.h"
#include "status.h"

static void lines(void **state)
{
	(void)state;
	log_init("program");
	fixture_listen();
	log_error("'%s': broken", "disk");
	log_warn("careful");
	log_info("done %d", 7);
	assert_string_equal(fixture_heard(),
			    "program: 'disk': broken\nprogram: warning: careful\nprogram: done 7\n");
}

static void muted(void **state)
{
	(void)state;
	log_init("program");
	fixture_listen();
	log_mute(true);
	log_error("on the side");
	log_mute(false);
	log_error("in the middle");
	assert_string_equal(fixture_heard(), "program: in the middle\n");
}

static void names_cannot_forge_lines(void **state)
{
	(void)state;
	log_init("program");
	fixture_listen();
	log_error("%s, %s", "a\nprogram: b\r\x1b[2J\x7f\t",
		  "\xc3\xa9\xc2\x9bm");
	assert_string_equal(fixture_heard(),
			    "program: a?program: b?" "?[2J?" "?, \xc3\xa9?" "?m\n");
}

static void long_lines_are_cut(void **state)
{
	char name[4096];
	const char *heard;

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	fixture_listen();
	log_error("%s", name);
	heard = fixture_heard();
	assert_true(strlen(heard) < 2049);
	assert_ptr_equal(strchr(heard, '\n'), heard + strlen(heard) - 1);
}

static void statuses(void **state)
{
	static const struct {
		int r;
		enum envelope_status status;
	} rows[] = {
		{ 0, 0 }, { -EIO, 1 }, { -ENOMEM, 1 }, { -EOPNOTSUPP, 1 },
		{ -EINVAL, 2 }, { -EACCES, 3 }, { -EHOSTUNREACH, 4 },
		{ -ENODATA, 5 }, { -EBADMSG, 6 }, { -EBUSY, 7 },
		{ -EEXIST, 7 }, { -ENXIO, 8 }, { -ENOPKG, 9 },
		{ -EKEYREVOKED, 10 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(status_from_errno(rows[i].r), rows[i].status);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
		cmocka_unit_test(muted),
		cmocka_unit_test(names_cannot_forge_lines),
		cmocka_unit_test(long_lines_are_cut),
		cmocka_unit_test(statuses),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
