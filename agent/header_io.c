// SPDX-License-Identifier: GPL-2.0-or-later
/* Moving the header's bytes: whole, durable, and with the error named. */
#include "header_private.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

static const struct header_io system_io = { pwrite, fsync };
static const struct header_io *io = &system_io;

void header_set_io(const struct header_io *other)
{
	io = other ? other : &system_io;
}

/* What lies behind the end of a short file reads as zeros: no header there. */
int header_pread_all(int fd, const char *name, void *p, size_t bytes,
		     off_t offset)
{
	uint8_t *at = p;

	while (bytes > 0) {
		ssize_t n = pread(fd, at, bytes, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			log_error("'%s': cannot read the header at byte %lld: %s",
				  name, (long long)offset, strerror(errno));
			return -EIO;
		}
		if (n == 0) {
			memset(at, 0, bytes);
			return 0;
		}
		at += n;
		bytes -= n;
		offset += n;
	}
	return 0;
}

int header_pwrite_all(int fd, const char *name, const void *p, size_t bytes,
		      off_t offset)
{
	const uint8_t *at = p;

	while (bytes > 0) {
		ssize_t n = io->pwrite(fd, at, bytes, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			log_error("'%s': cannot write the header at byte %lld: %s",
				  name, (long long)offset,
				  n < 0 ? strerror(errno) : "no space");
			return -EIO;
		}
		at += n;
		bytes -= n;
		offset += n;
	}
	return 0;
}

int header_flush(int fd, const char *name)
{
	int r;

	do {
		r = io->fsync(fd);
	} while (r < 0 && errno == EINTR);
	if (r < 0) {
		log_error("'%s': cannot flush the header: %s", name,
			  strerror(errno));
		return -EIO;
	}
	return 0;
}
