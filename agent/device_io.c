// SPDX-License-Identifier: GPL-2.0-or-later
/* All the bytes, or an error that says where. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "device.h"
#include "log.h"

int device_read_at(int fd, const char *name, void *p, size_t bytes,
		   uint64_t offset)
{
	uint8_t *at = p;

	while (bytes > 0) {
		ssize_t n = pread(fd, at, bytes, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			log_error("'%s': cannot read at byte %llu: %s", name,
				  (unsigned long long)offset,
				  n < 0 ? strerror(errno) : "the device ends");
			return -EIO;
		}
		at += n;
		bytes -= n;
		offset += n;
	}
	return 0;
}

int device_write_at(int fd, const char *name, const void *p, size_t bytes,
		    uint64_t offset)
{
	const uint8_t *at = p;

	while (bytes > 0) {
		ssize_t n = pwrite(fd, at, bytes, offset);
		int code = n < 0 ? errno : ENOSPC;

		if (n < 0 && code == EINTR)
			continue;
		if (n <= 0) {
			log_error("'%s': cannot write at byte %llu: %s", name,
				  (unsigned long long)offset, strerror(code));
			return code == ENOSPC || code == EDQUOT ? -ENOSPC :
			       -EIO;
		}
		at += n;
		bytes -= n;
		offset += n;
	}
	return 0;
}
