// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Does one thing again and again, and each time lets the next allocation of
 * it fail (/proc/thread-self/fail-nth), until a round comes through without a
 * fault. One process for all rounds: there are hundreds.
 *
 *   faultwalk MIN load DEVICE TABLE      a table into DEVICE's inactive slot
 *   faultwalk MIN create DEVICE TABLE    a device, made and removed again
 *   faultwalk MIN message DEVICE TEXT    after the message "key wipe"
 *   faultwalk MIN wipe DEVICE            that message itself
 *   faultwalk MIN fill DEVICE BYTES      a write, read back afterwards
 *   faultwalk MIN nowait DEVICE BYTES    the same with RWF_NOWAIT
 *   faultwalk MIN read DEVICE BYTES
 *   faultwalk MIN key NAME               a key of type envelope, unlinked again
 *   faultwalk MIN module FILE            a module, removed again
 *
 * A round may succeed, or fail with ENOMEM (nowait: EAGAIN; wipe, fill and read:
 * not at all). At least MIN allocations must have been met; MIN/STEP+FIRST takes
 * only every STEP-th from the FIRST. Prints the figures; on anything else says
 * what, and exits 1.
 */

#include <errno.h>
#include <fcntl.h>
#include <keyutils.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../vm/helpers/dmctl.h"

#define MAX_ROUNDS	20000

static int device = -1;
static int nth_fd = -1;
static int module_fd = -1;
static size_t io_bytes;
static unsigned char *io_buffer, *io_back;
static const char *name, *text;
static unsigned int round_number;

static int load(void)
{
	return dm_load(name, text);
}

static int create(void)
{
	return dm_create(name, text);
}

static int message(void)
{
	return dm_message(name, text);
}

static int transfer(int writing, int flags)
{
	struct iovec iov = { io_buffer, io_bytes };
	ssize_t n;

	n = writing ? pwritev2(device, &iov, 1, 0, flags) :
		      preadv2(device, &iov, 1, 0, flags);
	if (n < 0)
		return -errno;
	return (size_t)n == io_bytes ? 0 : -EIO;
}

static int fill(void)
{
	return transfer(1, 0);
}

static int nowait(void)
{
	return transfer(1, RWF_NOWAIT);
}

static int reading(void)
{
	return transfer(0, 0);
}

static int add(void)
{
	unsigned char secret[64] = { 1, 2, 3 };

	return add_key("envelope", name, secret, sizeof(secret),
		       KEY_SPEC_PROCESS_KEYRING) < 0 ? -errno : 0;
}

static int insert(void)
{
	return syscall(SYS_finit_module, module_fd, "", 0) ? -errno : 0;
}

/* What each round finds before it; not under a fault. */
static int wiped(void)
{
	return dm_message(name, "key wipe");
}

static int new_data(void)
{
	for (size_t i = 0; i < io_bytes; i++)
		io_buffer[i] = i * 7 + i / 512 + round_number;
	return 0;
}

/* After a round that ended with r: puts things back, and looks at them. */
static int cleared(int r)
{
	(void)r;
	return dm_simple(name, DM_TABLE_CLEAR, 0);
}

static int removed(int r)
{
	int gone = dm_simple(name, DM_DEV_REMOVE, 0);

	return r && gone == -ENXIO ? 0 : gone;
}

static int same_data(int r)
{
	struct iovec iov = { io_back, io_bytes };

	if (r)
		return 0;
	if (preadv2(device, &iov, 1, 0, 0) != (ssize_t)io_bytes)
		return -EIO;
	return memcmp(io_buffer, io_back, io_bytes) ? -EILSEQ : 0;
}

/* RWF_NOWAIT that was refused has written nothing: the last data stay. */
static int same_or_old(int r)
{
	static int first = 1;
	static unsigned char *last;
	struct iovec iov = { io_back, io_bytes };

	if (!last)
		last = aligned_alloc(4096, io_bytes);
	if (preadv2(device, &iov, 1, 0, 0) != (ssize_t)io_bytes)
		return -EIO;
	if (memcmp(io_back, r ? last : io_buffer, io_bytes) && !(r && first))
		return -EILSEQ;
	memcpy(last, io_back, io_bytes);
	first = 0;
	return 0;
}

static int unlinked(int r)
{
	return r || !keyctl_clear(KEY_SPEC_PROCESS_KEYRING) ? 0 : -errno;
}

static int unloaded(int r)
{
	if (r)
		return access("/sys/module/dm_envelope", F_OK) ? 0 : -EEXIST;
	return syscall(SYS_delete_module, "dm_envelope", O_NONBLOCK) ? -errno :
								      0;
}

static int no_check(int r)
{
	(void)r;
	return 0;
}

static int nothing(void)
{
	return 0;
}

static const struct verb {
	const char *name;
	int (*before)(void);
	int (*act)(void);
	int (*after)(int r);
	int allowed;			/* errno, 0: must not fail */
} verbs[] = {
	{ "load", nothing, load, cleared, ENOMEM },
	{ "create", nothing, create, removed, ENOMEM },
	{ "message", wiped, message, no_check, ENOMEM },
	{ "wipe", nothing, wiped, no_check, 0 },
	{ "fill", new_data, fill, same_data, 0 },
	{ "nowait", new_data, nowait, same_or_old, EAGAIN },
	{ "read", nothing, reading, no_check, 0 },
	{ "key", nothing, add, unlinked, ENOMEM },
	{ "module", nothing, insert, unloaded, ENOMEM },
};

static void arm(unsigned int n)
{
	char number[16];
	int length = snprintf(number, sizeof(number), "%u", n);

	if (pwrite(nth_fd, number, length, 0) != length) {
		perror("faultwalk: fail-nth");
		exit(1);
	}
}

/* Whether the fault struck; none will strike any more. */
static int disarm(void)
{
	char number[16] = "";

	if (pread(nth_fd, number, sizeof(number) - 1, 0) <= 0) {
		perror("faultwalk: fail-nth");
		exit(1);
	}
	arm(0);
	return atoi(number) == 0;
}

static void complain(const char *what, unsigned int n, int r)
{
	printf("%s at allocation %u: %s\n", what, n, strerror(-r));
	exit(1);
}

static int walk(const struct verb *verb, unsigned int min, unsigned int step,
		unsigned int first)
{
	unsigned int n, failed = 0;
	int r, after, struck = 1;

	for (n = first; struck && n < MAX_ROUNDS; n += step) {
		round_number = n;
		r = verb->before();
		if (r)
			complain("cannot begin", n, r);
		arm(n);
		r = verb->act();
		struck = disarm();
		after = verb->after(r);
		if (after)
			complain("wrong afterwards", n, after);
		if (r && (r != -verb->allowed || !struck))
			complain("wrong error", n, r);
		failed += !!r;
	}
	/* the last round met none, and n is a step past it */
	n -= 1 + step;
	printf("%u allocations, every %u. from %u, %u fatal\n", n, step, first,
	       failed);
	return !struck && n >= min ? 0 : 1;
}

static void open_parts(const char *verb, char **argv)
{
	char path[256];

	name = argv[0];
	text = argv[1];
	if (!strcmp(verb, "module"))
		module_fd = open(name, O_RDONLY | O_CLOEXEC);
	else if (strcmp(verb, "key"))
		dm_open();
	if (text && (!strcmp(verb, "fill") || !strcmp(verb, "nowait") ||
		     !strcmp(verb, "read"))) {
		snprintf(path, sizeof(path), "/dev/mapper/%s", name);
		device = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
		io_bytes = strtoul(text, NULL, 0);
		io_buffer = aligned_alloc(4096, io_bytes);
		io_back = aligned_alloc(4096, io_bytes);
	}
	nth_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
}

int main(int argc, char **argv)
{
	unsigned int min, step = 1, first = 1;

	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
		if (argc >= 4 && !strcmp(argv[2], verbs[i].name) &&
		    sscanf(argv[1], "%u/%u+%u", &min, &step, &first) >= 1) {
			open_parts(argv[2], argv + 3);
			return walk(&verbs[i], min, step, first);
		}
	}
	fprintf(stderr, "usage: faultwalk MIN VERB NAME [TEXT]\n");
	return 2;
}
