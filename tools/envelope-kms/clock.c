// SPDX-License-Identifier: GPL-2.0-or-later
/* What time it is, and for directories made for tests, what it would be. */
#include "clock.h"

#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "server.h"

static const char *test_file; /* NULL: the real time */

void clock_set_test_file(const char *path)
{
	test_file = path;
}

bool clock_is_test(void)
{
	return test_file != NULL;
}

/* Seconds that the file says; 0: no file, or none in it. */
static int64_t test_offset(void)
{
	char text[32] = "";
	int fd = open(test_file, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	return n > 0 ? strtoll(text, NULL, 10) : 0;
}

int64_t server_wall_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t server_now_ms(void)
{
	int64_t now = server_wall_ms();

	return test_file ? now + test_offset() * 1000 : now;
}
