// SPDX-License-Identifier: GPL-2.0-or-later
/* Reads and writes the small files beside the database. */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <libgen.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"

#define READ_MAX (64 * 1024)

char *file_path(const char *dir, const char *name)
{
	char *path = NULL;

	return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

int file_write_all(int fd, const void *data, size_t bytes)
{
	const uint8_t *p = data;

	while (bytes) {
		ssize_t n = write(fd, p, bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		bytes -= (size_t)n;
	}
	return 0;
}

int file_write(const char *dir, const char *name, mode_t mode,
	       const void *data, size_t bytes)
{
	char *path = file_path(dir, name);
	int fd = -1;
	int rc = -ENOMEM;

	if (!path)
		return rc;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	rc = fd < 0 ? -errno : file_write_all(fd, data, bytes);
	if (rc == 0 && (fchmod(fd, mode) < 0 || fsync(fd) < 0))
		rc = -errno;
	if (rc < 0)
		log_error("%s: cannot write: %s", path, strerror(-rc));
	if (fd >= 0)
		close(fd);
	free(path);
	return rc;
}

static int read_fd(int fd, size_t bytes, struct secret **ret)
{
	struct secret *data = secret_new(bytes + 1);
	size_t used = 0;
	int rc = 0;

	if (!data)
		return -errno;
	while (rc == 0 && used < bytes) {
		ssize_t n = read(fd, secret_bytes(data) + used, bytes - used);

		if (n > 0)
			used += (size_t)n;
		else
			rc = n < 0 ? -errno : -EIO;
	}
	if (rc < 0) {
		secret_free(data);
		return rc;
	}
	*ret = data;
	return 0;
}

int file_read(const char *dir, const char *name, int secret,
	      struct secret **ret)
{
	char *path = file_path(dir, name);
	struct stat st;
	int fd = -1;
	int rc = -ENOMEM;

	if (!path)
		return rc;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	rc = fd < 0 || fstat(fd, &st) < 0 ? -errno : 0;
	if (rc == 0 && secret && (st.st_mode & 077)) {
		log_error("%s: others may read it (mode %03o); make it mode 600 and its owner yours",
			  path, (unsigned int)st.st_mode & 0777);
		rc = -EPERM;
		goto out;
	}
	if (rc == 0 && (!S_ISREG(st.st_mode) || st.st_size > READ_MAX))
		rc = -EFBIG;
	if (rc == 0)
		rc = read_fd(fd, (size_t)st.st_size, ret);
	if (rc < 0)
		log_error("%s: cannot read: %s", path, strerror(-rc));
out:
	if (fd >= 0)
		close(fd);
	free(path);
	return rc;
}

int dir_sync(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = fd < 0 || fsync(fd) < 0 ? -errno : 0;

	if (rc < 0)
		log_error("%s: cannot make it durable: %s", dir,
			  strerror(-rc));
	if (fd >= 0)
		close(fd);
	return rc;
}

int parent_sync(const char *path)
{
	char *copy = strdup(path);
	int rc = copy ? dir_sync(dirname(copy)) : -ENOMEM;

	free(copy);
	return rc;
}

static int remove_entry(const char *path, const struct stat *st, int type,
			struct FTW *level)
{
	(void)st;
	(void)type;
	(void)level;
	return remove(path);
}

void dir_remove(const char *dir)
{
	nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}
