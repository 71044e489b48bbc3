// SPDX-License-Identifier: GPL-2.0-or-later
/* The name of a file comes last. */
#include "new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"

int new_file_check(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return 0;
	log_error("'%s' exists: name a new file", path);
	return -EEXIST;
}

int new_file_begin(const char *path, struct new_file *ret)
{
	char *part = NULL;
	int r = 0;

	*ret = (struct new_file){ .device = DEVICE_CLOSED };
	ret->path = strdup(path);
	if (!ret->path || asprintf(&part, "%s.part", path) < 0) {
		log_error("out of memory");
		part = NULL;
		r = -ENOMEM;
	}
	if (r == 0)
		r = device_open(part, DEVICE_WRITE | DEVICE_CREATE,
				&ret->device);
	if (r < 0)
		free(ret->path);
	free(part);
	return r;
}

static int take_name(const char *part, const char *path)
{
	int code;

	if (renameat2(AT_FDCWD, part, AT_FDCWD, path, RENAME_NOREPLACE) == 0)
		return 0;
	/* NFS knows no such rename, but a link never replaces either. */
	if (errno == EINVAL && link(part, path) == 0) {
		unlink(part);
		return 0;
	}
	code = errno;
	log_error("'%s' is whole, but cannot become '%s': %s: move it yourself",
		  part, path, strerror(code));
	return code == EEXIST ? -EEXIST : -EIO;
}

int new_file_end(struct new_file *file, int r)
{
	device_let_go(&file->device);
	if (r < 0)
		unlink(file->device.path);
	else
		r = take_name(file->device.path, file->path);
	device_close(&file->device);
	free(file->path);
	return r;
}
