// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Work on a file system whose result is known at every fsync, and a look at
 * what is left of it.
 *
 *   crashfs work DIR STEPS SEED LOGGER   each step: a file is replaced or
 *           removed, a line goes to the journal, both are synced, and "mark N"
 *           is sent to the dm-log-writes device LOGGER
 *   crashfs check DIR DONE SEED    all that step DONE had synced is there; of
 *           the step after it, all or nothing of what it does to its file
 *
 * The contents follow from the seed and the step.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define FILES		12
#define MAX_BYTES	40000
#define LINE_BYTES	700

static uint64_t seed;

static uint64_t mix(uint64_t x)
{
	x += seed * 0x9e3779b97f4a7c15ull + 0x9e3779b97f4a7c15ull;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

/* What step does: to which file; replaced unless it removes. */
static unsigned int file_of(unsigned int step)
{
	return mix(step * 8) % FILES;
}

static int removes(unsigned int step)
{
	return mix(step * 8 + 1) % 5 == 0;
}

static size_t bytes_of(unsigned int step)
{
	return 1 + mix(step * 8 + 2) % MAX_BYTES;
}

static void fill(uint8_t *p, size_t bytes, unsigned int step)
{
	uint64_t x = mix(step * 8 + 3) | 1;

	for (size_t i = 0; i < bytes; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		p[i] = x;
	}
}

static void mark(const char *device, unsigned int step)
{
	struct {
		struct dm_ioctl head;
		uint64_t sector;
		char text[64];
	} message = {
		.head = {
			.version = { DM_VERSION_MAJOR, 0, 0 },
			.data_size = sizeof(message),
			.data_start = sizeof(message.head),
		},
	};
	static int control = -1;

	if (control < 0)
		control = open("/dev/mapper/control", O_RDWR);
	snprintf(message.head.name, sizeof(message.head.name), "%s", device);
	snprintf(message.text, sizeof(message.text), "mark %u", step);
	if (ioctl(control, DM_TARGET_MSG, &message))
		err(2, "mark");
}

static void synced_write(const char *path, int flags, const uint8_t *data,
			 size_t bytes)
{
	int fd = open(path, O_WRONLY | O_CREAT | flags, 0600);

	if (fd < 0 || write(fd, data, bytes) != (ssize_t)bytes || fsync(fd))
		err(2, "%s", path);
	close(fd);
}

static void sync_folder(void)
{
	int fd = open(".", O_RDONLY | O_DIRECTORY);

	if (fd < 0 || fsync(fd))
		err(2, "fsync of the folder");
	close(fd);
}

static int work(unsigned int steps, const char *logger)
{
	static uint8_t data[MAX_BYTES];
	char name[16];

	for (unsigned int step = 1; step <= steps; step++) {
		snprintf(name, sizeof(name), "f%u", file_of(step));
		if (removes(step)) {
			unlink(name);
		} else {
			fill(data, bytes_of(step), step);
			synced_write("new", O_TRUNC, data, bytes_of(step));
			if (rename("new", name))
				err(2, "rename to %s", name);
		}
		sync_folder();
		fill(data, LINE_BYTES, step);
		synced_write("journal", O_APPEND, data, LINE_BYTES);
		mark(logger, step);
	}
	return 0;
}

/* Whether name is as step left it; 0: not there. */
static int is_as_left(const char *name, unsigned int step)
{
	static uint8_t want[MAX_BYTES], have[MAX_BYTES + 1];
	size_t bytes;
	ssize_t n;
	int fd = open(name, O_RDONLY);

	if (fd < 0 && errno != ENOENT)
		err(1, "%s", name);
	if (!step || removes(step) || fd < 0) {
		if (fd >= 0)
			close(fd);
		return (!step || removes(step)) == (fd < 0);
	}
	bytes = bytes_of(step);
	fill(want, bytes, step);
	n = read(fd, have, sizeof(have));
	close(fd);
	if (n < 0)
		err(1, "%s", name);
	return (size_t)n == bytes && !memcmp(want, have, bytes);
}

static void check_journal(unsigned int done)
{
	uint8_t want[LINE_BYTES], have[LINE_BYTES];
	int fd = open("journal", O_RDONLY);

	if (fd < 0 && done)
		err(1, "journal");
	for (unsigned int step = 1; step <= done; step++) {
		fill(want, LINE_BYTES, step);
		if (read(fd, have, LINE_BYTES) != LINE_BYTES ||
		    memcmp(want, have, LINE_BYTES))
			errx(1, "journal: line %u is not what was synced",
			     step);
	}
	if (fd >= 0)
		close(fd);
}

static int check(unsigned int done)
{
	unsigned int last[FILES] = { 0 };
	char name[16];

	for (unsigned int step = 1; step <= done; step++)
		last[file_of(step)] = step;
	for (unsigned int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		if (is_as_left(name, last[i]))
			continue;
		if (file_of(done + 1) == i && is_as_left(name, done + 1))
			continue;
		errx(1, "%s is not what step %u synced (%u are done)", name,
		     last[i], done);
	}
	check_journal(done);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 5)
		errx(2, "usage: crashfs work DIR STEPS SEED LOGGER | check DIR DONE SEED");
	if (chdir(argv[2]))
		err(2, "%s", argv[2]);
	seed = strtoull(argv[4], NULL, 0);
	if (!strcmp(argv[1], "work") && argc == 6)
		return work(atoi(argv[3]), argv[5]);
	if (!strcmp(argv[1], "check"))
		return check(atoi(argv[3]));
	errx(2, "no verb %s", argv[1]);
}
