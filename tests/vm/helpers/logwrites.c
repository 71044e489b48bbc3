// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Replays what dm-log-writes has recorded, up to a point at which the disk was
 * told to keep it: a flush, or a write with FUA.
 *
 *   logwrites points LOG
 *       how many points there are
 *   logwrites replay LOG BASE FROM TO CRASHED BYTES [SEED]
 *       what is between two points onto BASE, and BASE, BYTES of it, onto
 *       CRASHED; prints the last mark before anything more was kept. With
 *       SEED half of what the disk had, but did not have to keep, goes onto
 *       CRASHED, too, in pieces smaller than a block. A piece is as large as
 *       ext4's superblock, which is not in the journal: no ext4 mounts with
 *       half of it, encrypted or not.
 *
 * The format is described in the kernel's drivers/md/dm-log-writes.c.
 */
#include <endian.h>
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAGIC		0x6a736677736872ull
#define FLAG_FLUSH	1
#define FLAG_FUA	2
#define FLAG_DISCARD	4
#define FLAG_MARK	8
#define PIECE_BYTES	1024	/* ext4 needs its superblock whole */
#define ALIGNMENT	4096	/* of memory, for O_DIRECT */

struct super {
	uint64_t magic;
	uint64_t version;
	uint64_t entries;
	uint32_t sector_bytes;
};

struct entry {
	uint64_t sector;
	uint64_t sectors;
	uint64_t flags;
	uint64_t mark_bytes;
	char mark[64];
};

/* Where we are in a log. */
struct log {
	int fd;
	uint64_t entries;		/* that are left */
	uint64_t sector_bytes;
	uint64_t next;			/* entry, bytes from the start */
	uint64_t data;			/* of the entry read last */
	struct entry entry;
};

static void read_at(int fd, void *buffer, size_t bytes, uint64_t at)
{
	if (pread(fd, buffer, bytes, at) != (ssize_t)bytes)
		err(2, "read of %zu bytes at %llu", bytes,
		    (unsigned long long)at);
}

static void write_at(int fd, const void *buffer, size_t bytes, uint64_t at)
{
	if (pwrite(fd, buffer, bytes, at) != (ssize_t)bytes)
		err(2, "write of %zu bytes at %llu", bytes,
		    (unsigned long long)at);
}

static int open_device(const char *path, int flags)
{
	int fd = open(path, flags);

	if (fd < 0)
		err(2, "%s", path);
	return fd;
}

static void log_open(struct log *log, const char *path)
{
	struct super super;

	log->fd = open_device(path, O_RDONLY);
	read_at(log->fd, &super, sizeof(super), 0);
	if (le64toh(super.magic) != MAGIC || le64toh(super.version) != 1)
		errx(2, "%s: no log of dm-log-writes", path);
	log->entries = le64toh(super.entries);
	log->sector_bytes = le32toh(super.sector_bytes);
	log->next = log->sector_bytes;
}

static int log_next(struct log *log)
{
	struct entry *entry = &log->entry;

	if (!log->entries)
		return 0;
	log->entries--;
	read_at(log->fd, entry, sizeof(*entry), log->next);
	entry->sector = le64toh(entry->sector);
	entry->sectors = le64toh(entry->sectors);
	entry->flags = le64toh(entry->flags);
	log->data = log->next + log->sector_bytes;
	log->next = log->data;
	if (!(entry->flags & FLAG_DISCARD))
		log->next += entry->sectors * log->sector_bytes;
	return 1;
}

static int is_point(const struct log *log)
{
	return !!(log->entry.flags & (FLAG_FLUSH | FLAG_FUA));
}

/* In pieces, each of them with luck or without; all without a seed. */
static void write_entry(const struct log *log, int fd, unsigned int seed)
{
	uint64_t bytes = log->entry.sectors * log->sector_bytes;
	uint64_t to = log->entry.sector * log->sector_bytes;
	uint64_t piece = seed ? PIECE_BYTES : bytes;
	char *buffer = aligned_alloc(ALIGNMENT, bytes + ALIGNMENT);

	if (!buffer)
		err(2, "memory");
	if (log->entry.flags & FLAG_DISCARD)
		errx(2, "a discard is in the log");
	read_at(log->fd, buffer, bytes, log->data);
	for (uint64_t at = 0; at < bytes; at += piece)
		if (!seed || random() & 1)
			write_at(fd, buffer + at, piece, to + at);
	free(buffer);
}

static void copy(int from, int to, uint64_t bytes)
{
	static char buffer[1 << 20] __attribute__((aligned(ALIGNMENT)));

	for (uint64_t at = 0; at < bytes; at += sizeof(buffer)) {
		size_t n = bytes - at < sizeof(buffer) ? bytes - at :
							 sizeof(buffer);

		read_at(from, buffer, n, at);
		write_at(to, buffer, n, at);
	}
}

static int points(const char *path)
{
	struct log log;
	unsigned int n = 0;

	log_open(&log, path);
	while (log_next(&log))
		n += is_point(&log);
	printf("%u\n", n);
	return 0;
}

static int replay(char **argv)
{
	unsigned int from = atoi(argv[2]), to = atoi(argv[3]);
	unsigned int seed = argv[6] ? atoi(argv[6]) : 0, point = 0;
	int base = open_device(argv[1], O_RDWR | O_DIRECT);
	int crashed = open_device(argv[4], O_RDWR | O_DIRECT);
	char mark[sizeof(((struct entry *)0)->mark)] = "0";
	struct log log;

	srandom(seed);
	log_open(&log, argv[0]);
	while (point < to && log_next(&log)) {
		if (log.entry.flags & FLAG_MARK)
			memcpy(mark, log.entry.mark, sizeof(mark));
		else if (point >= from)
			write_entry(&log, base, 0);
		point += is_point(&log);
	}
	copy(base, crashed, strtoull(argv[5], NULL, 0));
	while (log_next(&log) && !is_point(&log)) {
		if (log.entry.flags & FLAG_MARK)
			memcpy(mark, log.entry.mark, sizeof(mark));
		else if (seed)
			write_entry(&log, crashed, seed);
	}
	printf("%.*s\n", (int)sizeof(mark) - 1, mark);
	return point == to ? 0 : 1;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "points"))
		return points(argv[2]);
	if (argc >= 8 && argc <= 9 && !strcmp(argv[1], "replay"))
		return replay(argv + 2);
	errx(2, "usage: logwrites points LOG | replay LOG BASE FROM TO CRASHED BYTES [SEED]");
}
