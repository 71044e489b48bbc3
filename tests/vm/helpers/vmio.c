// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One direct request to a block device, and what became of it.
 *
 *   vmio [-n] read DEV OFFSET BYTES         "data", or "zeros"
 *   vmio [-n] check DEV OFFSET BYTES SEED   is it what fill wrote?
 *   vmio [-n] fill DEV OFFSET BYTES SEED
 *   vmio [-n] zero DEV OFFSET BYTES
 *   vmio discard DEV OFFSET BYTES
 *   vmio flush DEV
 *   vmio readahead DEV OFFSET BYTES         cached pages after it: a number
 *
 * -n: RWF_NOWAIT. A failed call prints its errno's name and exits 1; a short
 * one or a difference exits 3.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

static int failed(void)
{
	puts(strerrorname_np(errno));
	return 1;
}

static void fill(uint8_t *p, size_t bytes, uint64_t seed, uint64_t offset)
{
	uint64_t x = seed * 0x9e3779b97f4a7c15ull + offset;

	for (size_t i = 0; i + 8 <= bytes; i += 8) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(p + i, &x, 8);
	}
}

static int is_zero(const uint8_t *p, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		if (p[i])
			return 0;
	return 1;
}

/*
 * Memory of large requests is in huge pages, so that the kernel need not cut
 * them for the number of their pages.
 */
#define HUGE_PAGE_BYTES	(2 << 20)

static uint8_t *memory(size_t bytes)
{
	return aligned_alloc(bytes < HUGE_PAGE_BYTES ? 4096 : HUGE_PAGE_BYTES,
			     bytes);
}

static int transfer(const char *verb, int fd, int flags, off_t offset,
		    size_t bytes, uint64_t seed)
{
	uint8_t *buffer = memory(bytes), *want = memory(bytes);
	struct iovec iov = { buffer, bytes };
	int writing = !strcmp(verb, "fill") || !strcmp(verb, "zero");
	ssize_t n;

	memset(buffer, 0, bytes);
	if (strcmp(verb, "zero"))
		fill(want, bytes, seed, offset);
	else
		memset(want, 0, bytes);
	if (writing)
		memcpy(buffer, want, bytes);

	n = writing ? pwritev2(fd, &iov, 1, offset, flags) :
		      preadv2(fd, &iov, 1, offset, flags);
	if (n < 0)
		return failed();
	if ((size_t)n != bytes) {
		printf("short: %zd\n", n);
		return 3;
	}
	if (!strcmp(verb, "read"))
		puts(is_zero(buffer, bytes) ? "zeros" : "data");
	if (!strcmp(verb, "check") && memcmp(buffer, want, bytes)) {
		puts("different");
		return 3;
	}
	return 0;
}

static int discard(int fd, uint64_t offset, uint64_t bytes)
{
	uint64_t range[2] = { offset, bytes };

	return ioctl(fd, BLKDISCARD, range) ? failed() : 0;
}

/* readahead(2) answers nothing; what is in the page cache afterwards does. */
static int read_ahead(const char *path, off_t offset, size_t bytes)
{
	int fd = open(path, O_RDONLY);
	unsigned char in[4096] = { 0 };
	unsigned int n = 0;
	void *map;

	if (fd < 0)
		return failed();
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	readahead(fd, offset, bytes);
	usleep(300000);
	map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, offset);
	if (map == MAP_FAILED || mincore(map, bytes, in))
		return failed();
	for (size_t i = 0; i < bytes / 4096; i++)
		n += in[i] & 1;
	printf("%u\n", n);
	return 0;
}

int main(int argc, char **argv)
{
	int flags = 0, fd;
	const char *verb;
	uint64_t offset, bytes, seed;

	if (argc > 1 && !strcmp(argv[1], "-n")) {
		flags = RWF_NOWAIT;
		argv++;
		argc--;
	}
	if (argc < 3) {
		fprintf(stderr, "usage: vmio [-n] VERB DEV [OFFSET BYTES [SEED]]\n");
		return 2;
	}
	verb = argv[1];
	offset = argc > 3 ? strtoull(argv[3], NULL, 0) : 0;
	bytes = argc > 4 ? strtoull(argv[4], NULL, 0) : 0;
	seed = argc > 5 ? strtoull(argv[5], NULL, 0) : 0;
	if (!strcmp(verb, "readahead"))
		return read_ahead(argv[2], offset, bytes);

	fd = open(argv[2], O_RDWR | O_DIRECT);
	if (fd < 0)
		return failed();
	if (!strcmp(verb, "discard"))
		return discard(fd, offset, bytes);
	if (!strcmp(verb, "flush"))
		return fsync(fd) ? failed() : 0;
	return transfer(verb, fd, flags, offset, bytes, seed);
}
