// SPDX-License-Identifier: GPL-2.0-or-later
/* Where the old data of a live snapshot go. */
#include "live_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device.h"
#include "log.h"

#define FILE_PREFIX "cow-"
#define DEFAULT_PERCENT 10
#define MIN_BYTES (1u << 20)
#define ROUND_BYTES (64u << 10)

/* A page, as long as the kernel's list of chunks stays small. */
#define MIN_CHUNK_SECTORS 8
#define MAX_CHUNKS (1u << 22)

uint64_t live_cow_chunk_sectors(uint64_t cow_bytes)
{
	uint64_t sectors = MIN_CHUNK_SECTORS;

	while (cow_bytes / 512 / sectors > MAX_CHUNKS)
		sectors *= 2;
	return sectors;
}

/* A write to such a volume would wait for one to its own COW. */
static int check_apart(const struct live *l, const char *path)
{
	size_t i;

	for (i = 0; i < l->count; i++) {
		const struct live_volume *v = &l->at[i];

		if (!device_holds(v->device_major, v->device_minor, path))
			continue;
		log_error("'%s' is stored on '%s' itself, whose old data cannot go there: name another device with --cow",
			  path, v->volume.name);
		return -EINVAL;
	}
	return 0;
}

static int make_dir(void)
{
	if ((mkdir("/var/lib/envelope", 0700) < 0 && errno != EEXIST) ||
	    (mkdir(LIVE_COW_DIR, 0700) < 0 && errno != EEXIST)) {
		int r = -errno;

		log_error("cannot make the folder '%s': %s", LIVE_COW_DIR,
			  strerror(-r));
		return r == -EACCES ? -EPERM : -EIO;
	}
	return 0;
}

/* Without a name from the start where the file system can do that. */
static int open_file(uint64_t bytes)
{
	char path[] = LIVE_COW_DIR "/" FILE_PREFIX "XXXXXX";
	int fd = open(LIVE_COW_DIR, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	int r;

	if (fd < 0) {
		fd = mkostemp(path, O_CLOEXEC);
		if (fd >= 0)
			unlink(path);
	}
	if (fd >= 0 && ftruncate(fd, bytes) == 0)
		return fd;
	r = -errno;
	log_error("cannot make a file of %" PRIu64 " bytes in '%s': %s: name a device with --cow",
		  bytes, LIVE_COW_DIR, strerror(-r));
	if (fd >= 0)
		close(fd);
	return -EIO;
}

void live_cow_clean(void)
{
	struct dirent *e;
	DIR *dir = opendir(LIVE_COW_DIR);

	/* Those in use have no name any more. */
	while (dir && (e = readdir(dir)))
		if (strncmp(e->d_name, FILE_PREFIX, strlen(FILE_PREFIX)) == 0)
			unlinkat(dirfd(dir), e->d_name, 0);
	if (dir)
		closedir(dir);
}

static uint64_t file_bytes(const struct live_options *o,
			   const struct live_volume *v)
{
	uint64_t bytes = o->cow_bytes;

	if (bytes == 0)
		bytes = v->volume.size_sectors * 512 / 100 * DEFAULT_PERCENT;
	if (bytes < MIN_BYTES)
		bytes = MIN_BYTES;
	return (bytes + ROUND_BYTES - 1) / ROUND_BYTES * ROUND_BYTES;
}

/* The kernel frees the loop device with its last user, and with it the file. */
static int make_file(const struct live_options *o, const struct live *l,
		     struct live_volume *v)
{
	struct device d = DEVICE_CLOSED;
	int fd;
	int r;

	r = make_dir();
	if (r == 0)
		r = check_apart(l, LIVE_COW_DIR);
	if (r < 0)
		return r;
	fd = open_file(file_bytes(o, v));
	if (fd < 0)
		return fd;
	r = device_adopt(fd, &d);
	if (r == 0)
		r = device_loop(&d, false);
	if (r < 0) {
		device_close(&d);
		return r;
	}
	/* Its pages are of no use twice; where that cannot be, it may be so. */
	ioctl(d.fd, LOOP_SET_DIRECT_IO, 1ul);
	v->cow = fcntl(d.fd, F_DUPFD_CLOEXEC, 0);
	v->cow_major = d.major;
	v->cow_minor = d.minor;
	v->cow_bytes = d.size_bytes;
	device_close(&d);
	return v->cow < 0 ? -EIO : 0;
}

static int check_empty(const struct device *d)
{
	char signature[DEVICE_SIGNATURE_CHARS];
	bool a, b;
	int r;

	r = device_signature(d, signature);
	if (r == 0 && !signature[0]) {
		r = header_magic_at(d->fd, d->path, &a, &b);
		if (r == 0 && (a || b))
			snprintf(signature, sizeof(signature),
				 "an envelope volume");
	}
	if (r < 0 || !signature[0])
		return r;
	log_error("'%s' has %s, which would be overwritten: wipefs --all empties it",
		  d->path, signature);
	return -EBUSY;
}

static int take_device(const struct live_options *o, const struct live *l,
		       struct live_volume *v)
{
	struct device d = DEVICE_CLOSED;
	int r;

	if (l->count > 1) {
		log_error("'%s': one device cannot have the old data of %zu volumes",
			  o->cow, l->count);
		return -EINVAL;
	}
	r = device_open(o->cow, DEVICE_WRITE | DEVICE_EXCLUSIVE, &d);
	if (r == 0 && !d.is_block) {
		log_error("'%s' is no block device", o->cow);
		r = -ENOTBLK;
	}
	if (r == 0)
		r = check_apart(l, o->cow);
	if (r == 0)
		r = check_empty(&d);
	if (r == 0) {
		v->cow_major = d.major;
		v->cow_minor = d.minor;
		v->cow_bytes = d.size_bytes;
	}
	/* Not held: device mapper takes it for itself. */
	device_close(&d);
	return r;
}

int live_cow_open(const struct live_options *o, const struct live *l,
		  struct live_volume *v)
{
	return o->cow ? take_device(o, l, v) : make_file(o, l, v);
}
