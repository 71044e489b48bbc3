// SPDX-License-Identifier: GPL-2.0-or-later
/* Opening devices and files: size, block sizes, who else uses them. */
#include "device.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "log.h"

#define FILE_LOGICAL_BYTES 512
#define FILE_PHYSICAL_BYTES 4096	/* a page: what files are written in */
#define LOOP_ATTEMPTS 16

static int open_error(const char *path, int code)
{
	switch (code) {
	case EBUSY:
		log_error("'%s' is in use: it is mounted, or something is mapped on it",
			  path);
		return -EBUSY;
	case EROFS:
		log_error("'%s' is read-only", path);
		return -EROFS;
	case EACCES:
	case EPERM:
		log_error("'%s': permission denied: run envelope as root",
			  path);
		return -EPERM;
	case EEXIST:
		log_error("'%s' exists: name a new file", path);
		return -EEXIST;
	default:
		log_error("'%s': cannot open it: %s", path, strerror(code));
		/* -ENXIO, say of a socket, would be taken for not attached. */
		return code == ENOENT || code == ENOMEM ? -code : -EIO;
	}
}

static int block_geometry(struct device *d)
{
	unsigned int physical;
	int logical;
	int ro;

	if (ioctl(d->fd, BLKGETSIZE64, &d->size_bytes) < 0 ||
	    ioctl(d->fd, BLKSSZGET, &logical) < 0 ||
	    ioctl(d->fd, BLKPBSZGET, &physical) < 0 ||
	    ioctl(d->fd, BLKROGET, &ro) < 0) {
		log_error("'%s': cannot read its size: %s", d->path,
			  strerror(errno));
		return -EIO;
	}
	d->logical_bytes = logical;
	d->physical_bytes = physical;
	d->read_only |= ro;
	return 0;
}

static int learn(struct device *d)
{
	struct stat st;

	if (fstat(d->fd, &st) < 0) {
		log_error("'%s': %s", d->path, strerror(errno));
		return -EIO;
	}
	if (S_ISBLK(st.st_mode)) {
		d->is_block = true;
		d->major = major(st.st_rdev);
		d->minor = minor(st.st_rdev);
		return block_geometry(d);
	}
	if (!S_ISREG(st.st_mode)) {
		log_error("'%s' is neither a block device nor a file", d->path);
		return -ENOTBLK;
	}
	d->size_bytes = st.st_size;
	d->logical_bytes = FILE_LOGICAL_BYTES;
	d->physical_bytes = FILE_PHYSICAL_BYTES;
	return 0;
}

/* "loop3" if the file is what @loop shows; sysfs prints the path. */
static bool loop_shows(const char *loop, const char *real)
{
	char path[300];
	char text[4096 + 2];
	size_t n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/block/%s/loop/backing_file", loop);
	f = fopen(path, "re");
	if (!f)
		return false;
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return n > 0 && strcmp(text, real) == 0;
}

/* O_EXCL says nothing of files: a loop device over one is the usual user. */
static int check_file_unused(const struct device *d)
{
	char *real = realpath(d->path, NULL);
	struct dirent *e;
	DIR *dir = opendir("/sys/block");
	int r = 0;

	while (real && dir && r == 0 && (e = readdir(dir))) {
		if (strncmp(e->d_name, "loop", 4) != 0 ||
		    !loop_shows(e->d_name, real))
			continue;
		log_error("'%s' is in use: it is behind /dev/%s", d->path,
			  e->d_name);
		r = -EBUSY;
	}
	if (dir)
		closedir(dir);
	free(real);
	return r;
}

static bool is_block(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISBLK(st.st_mode);
}

/*
 * A block device is not opened for writing without need: udev probes it again
 * whenever such a descriptor is closed.
 */
static int open_fd(const char *path, unsigned int flags, bool *read_only_ret)
{
	bool block = is_block(path);
	bool write = flags & DEVICE_WRITE ||
		     (flags & DEVICE_WRITE_IF_POSSIBLE && !block);
	int mode = O_CLOEXEC | O_NONBLOCK | (write ? O_RDWR : O_RDONLY);
	int fd;

	if (flags & DEVICE_CREATE)
		mode |= O_CREAT | O_EXCL;
	else if ((flags & DEVICE_EXCLUSIVE) && block)
		mode |= O_EXCL;
	fd = open(path, mode, 0600);
	if (fd < 0 && (flags & DEVICE_WRITE_IF_POSSIBLE) &&
	    (errno == EROFS || errno == EACCES || errno == EPERM)) {
		write = false;
		fd = open(path, (mode & ~O_ACCMODE) | O_RDONLY, 0600);
	}
	*read_only_ret = !write && !block;
	return fd;
}

int device_open(const char *path, unsigned int flags, struct device *ret)
{
	struct device d = DEVICE_CLOSED;
	int r;

	d.path = strdup(path);
	if (!d.path) {
		log_error("'%s': out of memory", path);
		return -ENOMEM;
	}
	d.fd = open_fd(path, flags, &d.read_only);
	r = d.fd < 0 ? open_error(path, errno) : learn(&d);
	/* Some drivers let a read-only device be opened for writing. */
	if (r == 0 && (flags & DEVICE_WRITE) && d.read_only)
		r = open_error(path, EROFS);
	if (r == 0 && (flags & DEVICE_EXCLUSIVE) && !d.is_block)
		r = check_file_unused(&d);
	if (r < 0)
		device_close(&d);
	else
		*ret = d;
	return r;
}

/* What /proc shows for @fd: for messages, as it may be out of date. */
static char *path_of(int fd)
{
	char link[32];
	char path[4096];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	path[n < 0 ? 0 : n] = '\0';
	return strdup(n < 0 ? link : path);
}

int device_adopt(int fd, struct device *ret)
{
	struct device d = { .fd = fd, .path = path_of(fd) };
	int mode = fcntl(fd, F_GETFL);
	int r = d.path ? 0 : -ENOMEM;

	/* Of a descriptor that is good for nothing not even that is known. */
	if (r == 0 && (mode < 0 || mode & O_PATH ||
		       (mode & O_ACCMODE) == O_WRONLY)) {
		log_error("'%s' was not opened for reading", d.path);
		r = -EIO;
	}
	if (r == 0)
		r = learn(&d);
	if (r == 0 && !d.is_block)
		d.read_only = (mode & O_ACCMODE) == O_RDONLY;
	if (r < 0)
		device_close(&d);
	else
		*ret = d;
	return r;
}

int device_check_unused(const struct device *d)
{
	char link[32];
	int fd;

	if (!d->is_block)
		return check_file_unused(d);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", d->fd);
	fd = open(link, O_RDONLY | O_EXCL | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return open_error(d->path, errno);
	close(fd);
	return 0;
}

void device_let_go(struct device *d)
{
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
}

void device_close(struct device *d)
{
	device_let_go(d);
	free(d->path);
	*d = (struct device)DEVICE_CLOSED;
}

/* One attempt: another process may take the free one first (-EBUSY). */
static int configure_loop(const struct device *d, bool read_only,
			  char path_ret[32])
{
	struct loop_config config = {
		.fd = d->fd,
		.info = {
			.lo_flags = LO_FLAGS_AUTOCLEAR |
				    (read_only ? LO_FLAGS_READ_ONLY : 0),
		},
	};
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int n = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);
	int code = errno;
	int fd;

	if (control >= 0)
		close(control);
	if (n < 0)
		return -code;
	snprintf((char *)config.info.lo_file_name,
		 sizeof(config.info.lo_file_name), "%s", d->path);
	snprintf(path_ret, 32, "/dev/loop%d", n);
	fd = open(path_ret, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, LOOP_CONFIGURE, &config) < 0) {
		code = errno;
		close(fd);
		return -code;
	}
	return fd;
}

int device_loop(struct device *d, bool read_only)
{
	struct device loop = DEVICE_CLOSED;
	char path[32];
	int fd = -EBUSY;
	int i;

	for (i = 0; i < LOOP_ATTEMPTS && fd == -EBUSY; i++)
		fd = configure_loop(d, read_only, path);
	if (fd < 0) {
		log_error("'%s': no loop device for the file: %s: modprobe loop, or losetup",
			  d->path, strerror(-fd));
		return fd == -EPERM || fd == -EACCES ? -EPERM : -EIO;
	}
	/* The path of the file is what people know. */
	loop.fd = fd;
	loop.path = strdup(d->path);
	loop.read_only = read_only;
	if (!loop.path || learn(&loop) < 0) {
		device_close(&loop);
		return -EIO;
	}
	device_close(d);
	*d = loop;
	return 0;
}
