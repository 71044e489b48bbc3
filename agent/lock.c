// SPDX-License-Identifier: GPL-2.0-or-later
/* Lock files: flock(2), which ends with the process that has it. */
#include "lock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

int lock_take(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	while (fd >= 0 && flock(fd, LOCK_EX) < 0 && errno == EINTR)
		;
	return fd;
}

void lock_drop(int lock)
{
	if (lock >= 0)
		close(lock);
}
