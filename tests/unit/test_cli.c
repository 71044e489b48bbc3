// SPDX-License-Identifier: GPL-2.0-or-later
/* The command line of envelope, as people meet it: sentences and statuses. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <sys/wait.h>

#include "status.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct said {
	int status;
	char text[8192];
};

/* Run envelope with a configuration that does not exist. */
static struct said run(const char *arguments)
{
	const char *build = getenv("BUILD");
	struct said s = { 0 };
	char command[1024];
	FILE *f;

	snprintf(command, sizeof(command), "{ %s/bin/envelope %s; } </dev/null 2>&1",
		 build ? build : "build", arguments);
	f = popen(command, "r");
	assert_non_null(f);
	s.text[fread(s.text, 1, sizeof(s.text) - 1, f)] = '\0';
	s.status = WEXITSTATUS(pclose(f));
	return s;
}

static void says(const char *arguments, int status, const char *text)
{
	struct said s = run(arguments);

	assert_string_equal(s.text, text);
	assert_int_equal(s.status, status);
}

static void starts(const char *arguments, int status, const char *text)
{
	struct said s = run(arguments);

	assert_memory_equal(s.text, text, strlen(text));
	assert_int_equal(s.status, status);
}

static void usage(void **state)
{
	(void)state;
	starts("", 2, "usage: envelope VERB [OPTION...] [ARGUMENT...]\n");
	starts("--help", 0, "usage: envelope VERB [OPTION...] [ARGUMENT...]\n");
	says("--version", 0, "envelope 0.1.0\n");
	says("format --version", 0, "envelope 0.1.0\n");
	says("frobnicate", 2,
	     "envelope: no verb 'frobnicate': see 'envelope --help'\n");
}

static void aliases(void **state)
{
	(void)state;
	starts("open --help", 0, "usage: envelope attach [OPTION...] DEVICE");
	starts("close --help", 0, "usage: envelope detach [OPTION...] NAME");
}

static void options(void **state)
{
	(void)state;
	says("attach --frob x", 2,
	     "envelope: attach: no option '--frob'; see 'envelope attach --help'\n");
	says("attach -d x", 2,
	     "envelope: attach: no option '-d'; see 'envelope attach --help'\n");
	says("attach --direct=yes x", 2,
	     "envelope: attach: '--direct' takes no value; see 'envelope attach --help'\n");
	says("format x --size", 2,
	     "envelope: format: '--size' needs a value; see 'envelope format --help'\n");
	says("attach --direct", 2,
	     "envelope: attach: too few arguments, want: DEVICE [NAME]; see 'envelope attach --help'\n");
	says("attach a b c", 2,
	     "envelope: attach: too many arguments, want: DEVICE [NAME]; see 'envelope attach --help'\n");
}

static void values(void **state)
{
	(void)state;
	says("format --header '' x", 2, "envelope: --header: the value is empty\n");
	says("format --context x x", 2,
	     "envelope: --context: 'x' is not NAME=VALUE\n");
	says("format --context =x x", 2,
	     "envelope: --context: '=x' is not NAME=VALUE\n");
	says("format --context a=1 --context a=2 x", 2,
	     "envelope: --context: 'a' is given twice\n");
	says("format --sector-size 4k x", 2,
	     "envelope: --sector-size: '4k' is no number\n");
	says("attach --timeout 0 x", 2,
	     "envelope: --timeout: '0' is not 1 to 3600 seconds\n");
	says("attach --timeout 3601 x", 2,
	     "envelope: --timeout: '3601' is not 1 to 3600 seconds\n");
	says("attach --volume vol-1 x", 2,
	     "envelope: --volume: 'vol-1' is no volume id\n");
	says("unlock --volume 1 x", 2,
	     "envelope: --volume: '1' is no volume id\n");
	says("attach --on-lock never x", 2,
	     "envelope: --on-lock: 'never' is neither queue nor error\n");
	says("attach --lease 15 x", 2,
	     "envelope: --lease: '15' is no length of time up to 30d; want a number and s, m, h or d\n");
	says("format --grace 31d x", 2,
	     "envelope: --grace: '31d' is no length of time up to 30d; want a number and s, m, h or d\n");
	says("attach --target linear x", 2,
	     "envelope: --target: 'linear' is neither envelope nor crypt\n");
	says("format --holes --no-holes x", 2,
	     "envelope: format: --holes and --no-holes exclude each other; see 'envelope format --help'\n");
}

static void sizes(void **state)
{
	static const char *const bad[] = {
		"0", "-1", "+1", "1.5G", "G", "1P", "1GB", "1 G", "0x10",
		"9223372036854775808", "16777216T", "99999999999999999999",
	};
	char arguments[128];
	char text[256];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(bad); i++) {
		snprintf(arguments, sizeof(arguments), "resize --size '%s' x",
			 bad[i]);
		snprintf(text, sizeof(text),
			 "envelope: --size: '%s' is no size; want bytes, or a number with K, M, G or T\n",
			 bad[i]);
		says(arguments, 2, text);
	}
	/* A good one comes as far as the device. */
	says("resize --size 1GiB /nowhere/x", 1,
	     "envelope: '/nowhere/x': cannot open it: No such file or directory\n");
}

static void agent_is_not_there(void **state)
{
	static const char *const verbs[] = {
		"attach", "detach", "status", "lock", "unlock", "renew",
		"list", "events",
	};
	char arguments[64];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		snprintf(arguments, sizeof(arguments), "%s --socket /nowhere/s%s",
			 verbs[i], i >= 6 ? "" : " x");
		says(arguments, 4,
		     "envelope: no agent answers at /nowhere/s: start it with 'systemctl start envelope-agent.socket', or use --direct, which asks the KMS with your own credentials\n");
	}
}

static void agent_has_the_lease(void **state)
{
	(void)state;
	says("unlock --lease 1h data", 2,
	     "envelope: unlock: --lease and --grace are for --direct: the agent has them since the attach; see 'envelope unlock --help'\n");
	says("renew --grace 1h data", 2,
	     "envelope: renew: --lease, --grace and --header are for --direct: the agent has them since the attach; see 'envelope renew --help'\n");
	says("renew --region x data", 2,
	     "envelope: renew: --region is for --direct: the agent has it from /etc/envelope; see 'envelope renew --help'\n");
	says("unlock --profile x data", 2,
	     "envelope: unlock: --profile is for --direct: the agent has it from /etc/envelope; see 'envelope unlock --help'\n");
}

static void agent_takes_no_configuration(void **state)
{
	static const char *const options[] = {
		"config /x", "kms-endpoint https://x", "ca-file /x",
		"profile x", "region x", "timeout 5",
	};
	char arguments[64];
	char text[256];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		snprintf(arguments, sizeof(arguments),
			 "attach /dev/null --%s", options[i]);
		snprintf(text, sizeof(text),
			 "envelope: attach: --%.*s is for --direct: the agent has it from /etc/envelope; see 'envelope attach --help'\n",
			 (int)strcspn(options[i], " "), options[i]);
		says(arguments, 2, text);
	}
}

static void nothing_attached(void **state)
{
	(void)state;
	says("status no-such-volume", 8,
	     "envelope: 'no-such-volume' is not attached\n");
	says("detach no-such-volume", 8,
	     "envelope: 'no-such-volume' is not attached\n");
	says("lock no-such-volume", 8,
	     "envelope: 'no-such-volume' is not attached\n");
	says("unlock --direct no-such-volume", 8,
	     "envelope: 'no-such-volume' is not attached\n");
	says("renew --direct no-such-volume", 8,
	     "envelope: 'no-such-volume' is not attached\n");
}

static void rehearsal_is_for_itself(void **state)
{
	(void)state;
	says("--rehearse", 2,
	     "envelope: --rehearse is for envelope's own use\n");
}

static void configuration(void **state)
{
	struct said s;

	(void)state;
	s = run("attach --direct --config /nowhere/conf /dev/null");
	assert_int_equal(s.status, 1);
	assert_non_null(strstr(s.text, "neither a block device nor a file"));
}

/* A closed standard output is a failure, not a success without output. */
static void output_that_cannot_be_written(void **state)
{
	struct said s;

	(void)state;
	s = run("list --json > /dev/full");
	assert_int_equal(s.status, 1);
	assert_string_equal(s.text,
		"envelope: cannot write to standard output: No space left on device\n");
	s = run("--help > /dev/full");
	assert_int_equal(s.status, 1);
}

static void statuses(void **state)
{
	static const struct {
		int code;
		enum envelope_status status;
	} rows[] = {
		{ 0, STATUS_DONE }, { -EIO, STATUS_FAILED },
		{ -ENOSPC, STATUS_FAILED }, { -EINVAL, STATUS_USAGE },
		{ -EACCES, STATUS_DENIED },
		{ -EHOSTUNREACH, STATUS_UNREACHABLE },
		{ -ENODATA, STATUS_NO_HEADER }, { -EBADMSG, STATUS_TAMPERED },
		{ -EBUSY, STATUS_BUSY }, { -EEXIST, STATUS_BUSY },
		{ -ENXIO, STATUS_NOT_ATTACHED },
		{ -ENOPKG, STATUS_NO_MODULE },
		{ -EKEYREVOKED, STATUS_LOCKED },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++)
		assert_int_equal(status_from_errno(rows[i].code),
				 rows[i].status);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(usage),
		cmocka_unit_test(aliases),
		cmocka_unit_test(options),
		cmocka_unit_test(values),
		cmocka_unit_test(sizes),
		cmocka_unit_test(agent_is_not_there),
		cmocka_unit_test(agent_has_the_lease),
		cmocka_unit_test(agent_takes_no_configuration),
		cmocka_unit_test(nothing_attached),
		cmocka_unit_test(rehearsal_is_for_itself),
		cmocka_unit_test(configuration),
		cmocka_unit_test(output_that_cannot_be_written),
		cmocka_unit_test(statuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
