// SPDX-License-Identifier: GPL-2.0-or-later
/* Buffers for secrets: locked, not dumped, not inherited, wiped. */
#include <stdarg.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "secret.h"

static void sized_and_zeroed(void **state)
{
	static const uint8_t zero[64];
	struct secret *s = secret_new(64);
	const struct secret *c = s;

	(void)state;
	assert_non_null(s);
	assert_int_equal(secret_len(s), 64);
	assert_memory_equal(secret_bytes(s), zero, 64);
	assert_ptr_equal(secret_bytes(s), secret_cbytes(c));
	secret_free(s);
	secret_free(NULL);
}

static void limits(void **state)
{
	struct secret *s;

	(void)state;
	errno = 0;
	assert_null(secret_new(0));
	assert_int_equal(errno, EINVAL);
	assert_null(secret_new((1 << 20) + 1));
	assert_int_equal(errno, EINVAL);
	s = secret_new(1 << 20);
	assert_non_null(s);
	secret_bytes(s)[(1 << 20) - 1] = 1;
	secret_free(s);
}

#ifndef __SANITIZE_ADDRESS__

/* The VmFlags line of the mapping that holds @p, see proc(5). */
static void flags_of(const void *p, char *ret, size_t room)
{
	unsigned long long start, end;
	bool inside = false;
	FILE *f = fopen("/proc/self/smaps", "r");
	char line[512];

	assert_non_null(f);
	ret[0] = '\0';
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%llx-%llx ", &start, &end) == 2)
			inside = (uintptr_t)p >= start && (uintptr_t)p < end;
		if (inside && strncmp(line, "VmFlags:", 8) == 0)
			snprintf(ret, room, "%s", line);
	}
	fclose(f);
}

static void locked_and_not_dumped(void **state)
{
	struct secret *s = secret_new(64);
	char flags[512];

	(void)state;
	flags_of(secret_bytes(s), flags, sizeof(flags));
	assert_non_null(strstr(flags, " lo"));
	assert_non_null(strstr(flags, " dd"));
	assert_non_null(strstr(flags, " dc"));
	secret_free(s);
}

/* Unlocked memory is no fallback. */
static void lock_limit_spent(void **state)
{
	const struct rlimit none = { 0, 0 };
	pid_t child = fork();
	int status;

	(void)state;
	if (child == 0) {
		if (setrlimit(RLIMIT_MEMLOCK, &none) < 0 || setuid(1234) < 0)
			_exit(1);
		errno = 0;
		_exit(!secret_new(64) && errno == ENOMEM ? 0 : 2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

#endif

/* How a child ends that reads the secret of its parent. */
static int child_reads(const struct secret *s)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		signal(SIGSEGV, SIG_DFL);
		_exit(secret_cbytes(s)[0] ? 1 : 2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void not_inherited(void **state)
{
	struct secret *s = secret_new(64);
	int status;

	(void)state;
	secret_bytes(s)[0] = 1;
	status = child_reads(s);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSEGV);
	secret_free(s);
}

static void copies_are_apart(void **state)
{
	struct secret *s = secret_new(64), *copy;

	(void)state;
	memset(secret_bytes(s), 7, 64);
	copy = secret_dup(s);
	assert_non_null(copy);
	assert_int_equal(secret_len(copy), 64);
	assert_memory_equal(secret_bytes(copy), secret_bytes(s), 64);
	secret_bytes(copy)[63] = 8;
	assert_int_equal(secret_bytes(s)[63], 7);
	secret_free(s);
	assert_int_equal(secret_bytes(copy)[0], 7);
	secret_free(copy);
}

static void wipe_wipes(void **state)
{
	uint8_t bytes[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };

	(void)state;
	wipe(bytes + 1, 6);
	assert_memory_equal(bytes, "\1\0\0\0\0\0\0\10", 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sized_and_zeroed),
		cmocka_unit_test(limits),
#ifndef __SANITIZE_ADDRESS__	/* which makes mlock(2) do nothing */
		cmocka_unit_test(locked_and_not_dumped),
		cmocka_unit_test(lock_limit_spent),
#endif
		cmocka_unit_test(not_inherited),
		cmocka_unit_test(copies_are_apart),
		cmocka_unit_test(wipe_wipes),
	};

	return cmocka_run_group_tests_name("secret", tests, NULL, NULL);
}
