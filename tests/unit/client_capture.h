/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For tests: what a function prints to standard error, and named tests. */
#ifndef TESTS_CLIENT_CAPTURE_H
#define TESTS_CLIENT_CAPTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define NAMED(title, function) { title, function, NULL, NULL, NULL }

static int capture_saved = -1;
static int capture_file = -1;
static char capture_text[8192];

static inline void capture_start(void)
{
	fflush(stderr);
	capture_saved = dup(STDERR_FILENO);
	capture_file = memfd_create("stderr", 0);
	assert_true(capture_saved >= 0 && capture_file >= 0);
	dup2(capture_file, STDERR_FILENO);
}

/* The text since capture_start(), valid until the next call. */
static inline const char *capture_end(void)
{
	ssize_t n;

	dup2(capture_saved, STDERR_FILENO);
	n = pread(capture_file, capture_text, sizeof(capture_text) - 1, 0);
	capture_text[n > 0 ? n : 0] = '\0';
	close(capture_saved);
	close(capture_file);
	return capture_text;
}

/* A file of its own with @text; the path is for free(3). */
static inline char *capture_temp_file(const char *text)
{
	char *path = strdup("/tmp/envelope-test-XXXXXX");
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	return path;
}

#endif
