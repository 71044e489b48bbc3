// SPDX-License-Identifier: GPL-2.0-or-later
/* Who could have changed or read a file before a process believes it. */
#include "trust.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"

static bool only_roots(const struct stat *st)
{
	return st->st_uid == 0 && (st->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* @path without links: itself and all folders above it. */
static int check_chain(char *path, const char *what)
{
	struct stat st;
	char *slash;

	for (;;) {
		const char *at = path[0] ? path : "/";

		if (lstat(at, &st) < 0) {
			log_error("%s '%s': %s", what, at, strerror(errno));
			return -ENOENT;
		}
		if (!only_roots(&st)) {
			log_error("%s: others than root can change '%s'; run chown root and chmod go-w on it",
				  what, at);
			return -EACCES;
		}
		slash = strrchr(path, '/');
		if (!slash)
			return 0;
		*slash = '\0';
	}
}

int trust_code(const char *path, const char *what)
{
	struct stat st;
	char *real;
	int r = 0;

	if (stat(path, &st) < 0) {
		log_error("%s '%s': %s", what, path, strerror(errno));
		return -ENOENT;
	}
	if (!S_ISREG(st.st_mode)) {
		log_error("%s '%s': not a file", what, path);
		return -ENOENT;
	}
	if (geteuid() != 0)
		return 0;
	real = realpath(path, NULL);
	if (!real) {
		log_error("%s '%s': %s", what, path, strerror(errno));
		return errno == ENOMEM ? -ENOMEM : -ENOENT;
	}
	r = check_chain(real, what);
	free(real);
	return r;
}

static int check_private(int fd, const char *path, const char *what)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		log_error("%s '%s': not a file", what, path);
		return -EACCES;
	}
	if ((st.st_uid != 0 && st.st_uid != geteuid()) ||
	    (st.st_mode & (S_IRWXG | S_IRWXO))) {
		log_error("%s '%s': others than its owner can read or change it; run chown and chmod 0600 on it",
			  what, path);
		return -EACCES;
	}
	return 0;
}

/* All of the file, up to the size of @to less one. Bytes, or -1. */
static ssize_t read_all(int fd, struct secret *to)
{
	size_t used = 0;
	ssize_t n = 1;

	while (n > 0 && used < secret_len(to) - 1) {
		n = read(fd, secret_bytes(to) + used,
			 secret_len(to) - 1 - used);
		if (n < 0)
			return -1;
		used += n;
	}
	return used;
}

static int take_line(int fd, const char *path, const char *what,
		     struct secret **ret)
{
	struct secret *all = secret_new(TRUST_SECRET_MAX_BYTES + 2);
	struct secret *line = NULL;
	ssize_t n;
	size_t len;
	int r = -ENOMEM;

	if (!all)
		goto out;
	r = -EACCES;
	n = read_all(fd, all);
	if (n < 0) {
		log_error("%s '%s': cannot be read: %s", what, path,
			  strerror(errno));
		goto out;
	}
	len = strcspn((const char *)secret_cbytes(all), "\r\n");
	if (len == 0 || len > TRUST_SECRET_MAX_BYTES) {
		log_error("%s '%s': its first line is empty or too long", what,
			  path);
		goto out;
	}
	r = -ENOMEM;
	line = secret_new(len + 1);
	if (!line)
		goto out;
	memcpy(secret_bytes(line), secret_cbytes(all), len);
	*ret = line;
	r = 0;
out:
	secret_free(all);
	return r;
}

/* -EACCES, or the file open. */
static int open_private(const char *path, const char *what)
{
	/* A pipe without a writer would be waited for without end. */
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0) {
		log_error("%s '%s': cannot be opened: %s", what, path,
			  strerror(errno));
		return -EACCES;
	}
	if (check_private(fd, path, what) < 0) {
		close(fd);
		return -EACCES;
	}
	return fd;
}

int trust_secret_file(const char *path, const char *what)
{
	int fd = open_private(path, what);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

int trust_read_secret(const char *path, const char *what, struct secret **ret)
{
	int fd = open_private(path, what);
	int r = fd;

	if (fd >= 0)
		r = take_line(fd, path, what, ret);
	if (fd >= 0)
		close(fd);
	return r;
}
