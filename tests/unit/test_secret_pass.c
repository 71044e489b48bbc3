// SPDX-License-Identifier: GPL-2.0-or-later
/* The page that passes a secret: taken once, and of one size for ever. */
#include <stdarg.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

#include "secret.h"
#include "secret_pass.h"

static void passes(void **state)
{
	static const uint8_t zero[64];
	struct secret *s = secret_new(64);
	struct secret *got = NULL;
	int fd = secret_page_open();

	(void)state;
	assert_non_null(s);
	assert_true(fd >= 0);
	memset(secret_bytes(s), 0x5a, 64);
	assert_int_equal(secret_page_put(fd, s), 0);
	assert_int_equal(secret_page_take(fd, 64, &got), 0);
	assert_memory_equal(secret_cbytes(got), secret_cbytes(s), 64);
	secret_free(got);
	/* The page is wiped by who takes. */
	assert_int_equal(secret_page_take(fd, 64, &got), 0);
	assert_memory_equal(secret_cbytes(got), zero, 64);
	secret_free(got);
	secret_free(s);
	close(fd);
}

/* Who has the other descriptor must not make the reader die by SIGBUS. */
static void keeps_its_size(void **state)
{
	struct secret *got = NULL;
	int fd = secret_page_open();
	struct stat st;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 4096);
	assert_int_equal(secret_page_take(fd, 64, &got), 0);
	secret_free(got);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(passes),
		cmocka_unit_test(keeps_its_size),
	};

	return cmocka_run_group_tests_name("secret_pass", tests, NULL, NULL);
}
