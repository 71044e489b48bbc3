// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * envelope-id: what udev(7) shall know of a device with our header, found in
 * its first 256 KiB alone: no key, no network, nothing written. What it says
 * is what anybody may have written there; the attach verifies it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "header.h"
#include "log.h"
#include "status.h"

#define PROGRAM "envelope-id"

static const char usage[] =
	"usage: " PROGRAM " DEVICE\n\n"
	"Prints what udev shall know of a block device, or file, that begins with\n"
	"the header of an encrypted volume, for IMPORT{program} in a rule.\n\n"
	"  --help                   this text\n"
	"  --version                print the version\n";

static int open_device(const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		log_error("'%s': %s", path, strerror(errno));
	} else if (!S_ISBLK(st.st_mode) && !S_ISREG(st.st_mode)) {
		log_error("'%s': neither a block device nor a file", path);
	} else {
		return fd;
	}
	if (fd >= 0)
		close(fd);
	return -1;
}

/*
 * The text of a header is checked when it is read: no value can end its line.
 * A detached header is found by whoever names its place; the volume's UUID
 * stays free for the volume.
 */
static void print_volume(const struct header *h)
{
	const struct header_core *core = header_core(h);
	char uuid[HEADER_UUID_CHARS];

	printf("ID_FS_VERSION=%d\n", HEADER_VERSION);
	if (core->detached)
		return;
	header_uuid_print(core->uuid, uuid);
	printf("ID_FS_UUID=%s\nID_FS_UUID_ENC=%s\nENVELOPE_VOLUME_ID=%s\n",
	       uuid, uuid, core->volume_id);
}

/* A damaged header, or a newer one, is still not a blank device. */
static int identify(int fd, const char *path)
{
	struct header *h = NULL;
	bool a, b;
	int r = header_magic_at(fd, path, &a, &b);

	if (r < 0)
		return STATUS_FAILED;
	if (!a && !b)
		return STATUS_NO_HEADER;
	fputs("ID_FS_TYPE=dm_envelope\nID_FS_USAGE=crypto\n", stdout);
	log_mute(true);
	r = header_read(fd, path, &h);
	log_mute(false);
	if (r == 0)
		print_volume(h);
	header_free(h);
	return STATUS_DONE;
}

int main(int argc, char **argv)
{
	int status;
	int fd;

	log_init(PROGRAM);
	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return fputs(usage, stdout) < 0;
	if (argc == 2 && strcmp(argv[1], "--version") == 0)
		return printf(PROGRAM " " ENVELOPE_VERSION "\n") < 0;
	if (argc != 2 || argv[1][0] == '-') {
		fputs(usage, stderr);
		return STATUS_USAGE;
	}
	fd = open_device(argv[1]);
	if (fd < 0)
		return STATUS_FAILED;
	status = identify(fd, argv[1]);
	close(fd);
	return fflush(stdout) < 0 ? STATUS_FAILED : status;
}
