// SPDX-License-Identifier: GPL-2.0-or-later
/* What a line of envelopetab means on this host at this moment. */
#include "tab_device.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "log.h"
#include "volume.h"

static bool is_meant(const struct tab_line *line, const struct header *h)
{
	const struct header_core *core = header_core(h);
	char uuid[HEADER_UUID_CHARS];

	if (core->detached)
		return false;
	if (line->by == TAB_BY_VOLUME)
		return strcmp(core->volume_id, line->device) == 0;
	header_uuid_print(core->uuid, uuid);
	return strcmp(uuid, line->device) == 0;
}

/* What cannot be read, or is damaged, is not the volume that is looked for. */
static bool look(const struct tab_line *line, const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct header *h = NULL;
	bool found = false;
	bool a, b;

	if (fd < 0)
		return false;
	log_mute(true);
	if (header_magic_at(fd, path, &a, &b) == 0 && (a || b) &&
	    header_read(fd, path, &h) == 0)
		found = is_meant(line, h);
	log_mute(false);
	header_free(h);
	close(fd);
	return found;
}

static int scan(const struct tab_line *line, char ret[TAB_DEVICE_CHARS])
{
	FILE *f = fopen("/proc/partitions", "re");
	char text[256];
	char name[64];
	int r = -ENOENT;

	if (!f) {
		log_error("/proc/partitions: %s", strerror(errno));
		return -EIO;
	}
	while (r < 0 && fgets(text, sizeof(text), f)) {
		if (sscanf(text, "%*u %*u %*u %63s", name) != 1)
			continue;
		snprintf(ret, TAB_DEVICE_CHARS, "/dev/%s", name);
		if (look(line, ret))
			r = 0;
	}
	fclose(f);
	return r;
}

/*
 * The link of 61-envelope.rules, where there is one: they pass by what else
 * has an old copy of the header in it, between the blocks of a file system.
 */
static bool follow_link(const struct tab_line *line,
			char ret[TAB_DEVICE_CHARS])
{
	snprintf(ret, TAB_DEVICE_CHARS, "/dev/disk/%s%s",
		 line->by == TAB_BY_UUID ? "by-uuid/" : "by-id/envelope-",
		 line->device);
	return look(line, ret);
}

int tab_device_find(const struct tab_line *line, char ret[TAB_DEVICE_CHARS])
{
	if (line->by != TAB_BY_PATH)
		return follow_link(line, ret) ? 0 : scan(line, ret);
	if (access(line->device, F_OK) < 0)
		return -ENOENT;
	snprintf(ret, TAB_DEVICE_CHARS, "%s", line->device);
	return 0;
}

/* A file's loop device is another each time. */
static bool is_below(const struct tab_line *line,
		     const struct dm_volume *attached)
{
	const char *id = line->by == TAB_BY_VOLUME ? line->device :
						     line->volume_id;
	struct stat st;

	if (id && strcmp(id, attached->volume_id) != 0)
		return false;
	if (line->by == TAB_BY_UUID)
		return strcmp(line->device, attached->uuid) == 0;
	return line->by != TAB_BY_PATH || stat(line->device, &st) < 0 ||
	       !S_ISBLK(st.st_mode) ||
	       (major(st.st_rdev) == attached->major &&
		minor(st.st_rdev) == attached->minor);
}

int tab_device_attached(const struct tab_line *line,
			struct dm_volume_status *ret)
{
	char path[16 + DM_VOLUME_NAME_CHARS];
	int r = volume_find_quietly(line->name, ret);

	snprintf(path, sizeof(path), "/dev/mapper/%s", line->name);
	if (r == 0 && strcmp(ret->volume.name, line->name) == 0 &&
	    is_below(line, &ret->volume))
		return 0;
	if (r == 0 && strcmp(ret->volume.name, line->name) == 0) {
		log_error("'%s': volume %s is attached by that name from %u:%u, which is not %s: detach it, or correct the line",
			  line->name, ret->volume.volume_id,
			  ret->volume.major, ret->volume.minor, line->spec);
		return -EEXIST;
	}
	if (r < 0 && r != -ENXIO)
		return r;
	if (access(path, F_OK) == 0) {
		log_error("'%s': something else has %s: remove it, or rename the line",
			  line->name, path);
		return -EEXIST;
	}
	return -ENXIO;
}
