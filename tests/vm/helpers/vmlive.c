// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Live snapshots by hand:
 *
 *	vmlive hold [-c DEV | -s BYTES] NAME...
 *		begins, prints "ready" and for each volume the path of its
 *		snapshot and its pause in microseconds; then, for each line of
 *		"check" on stdin, the bytes of the COW that are used, or "lost";
 *		ends at the end of stdin
 *	vmlive left	what killed ones have left, a line each
 *	vmlive seal ID DEV	is the header of DEV what the seal knows?
 *
 * Exits with the errno of what failed, or 0.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "live.h"
#include "log.h"
#include "process.h"
#include "seal.h"

static void say(struct live *l, size_t count)
{
	char fd[64], path[64];
	ssize_t n;
	size_t i;

	for (i = 0; i < count; i++) {
		snprintf(fd, sizeof(fd), "/proc/self/fd/%d", live_fd(l, i));
		n = readlink(fd, path, sizeof(path) - 1);
		path[n < 0 ? 0 : n] = '\0';
		printf("%s %s %" PRIu64 "\n", live_volume_id(l, i), path,
		       live_pause_us(l, i));
	}
	printf("ready\n");
	fflush(stdout);
}

static int hold(int argc, char **argv)
{
	struct live_options o = { 0 };
	struct live *l = NULL;
	char line[64];
	size_t i, count;
	int c, r;

	while ((c = getopt(argc, argv, "c:s:")) > 0) {
		if (c == 'c')
			o.cow = optarg;
		else if (c == 's')
			o.cow_bytes = strtoull(optarg, NULL, 10);
		else
			return -EINVAL;
	}
	count = argc - optind;
	r = live_begin((const char **)argv + optind, count, &o, &l);
	if (r < 0)
		return r;
	say(l, count);
	while (fgets(line, sizeof(line), stdin))
		for (i = 0; i < count; i++) {
			if (live_check(l, i) == 0)
				printf("%" PRIu64 "\n", live_cow_used(l, i));
			else
				printf("lost\n");
			fflush(stdout);
		}
	return live_end(l);
}

static int print(const struct live_leftover *left, void *data)
{
	(void)data;
	printf("%s %s%s%s\n", left->volume_id,
	       left->name[0] ? left->name : "-",
	       left->in_use ? " in-use" : "", left->copying ? " copying" : "");
	return 0;
}

static int seal(const char *id, const char *device)
{
	struct header *h = NULL;
	struct seal *s = NULL;
	int fd = open(device, O_RDONLY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = seal_find(id, &s);
	if (r == 0)
		r = header_read(fd, device, &h);
	if (r == 0)
		r = seal_check_header(s, device, h);
	header_free(h);
	seal_free(s);
	close(fd);
	return r;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";
	int r = -EINVAL;

	if (process_harden() < 0)
		return 1;
	log_init("vmlive");
	if (strcmp(verb, "hold") == 0)
		r = hold(argc - 1, argv + 1);
	else if (strcmp(verb, "left") == 0)
		r = live_leftovers(print, NULL);
	else if (strcmp(verb, "seal") == 0 && argc == 4)
		r = seal(argv[2], argv[3]);
	return -r;
}
