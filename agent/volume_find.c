// SPDX-License-Identifier: GPL-2.0-or-later
/* Which attached volume is meant: by device name, path or volume id; and what
 * is below it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "log.h"
#include "volume_private.h"

static bool path_is(const char *path, const struct dm_volume_status *s)
{
	struct stat st;

	return strchr(path, '/') && stat(path, &st) == 0 &&
	       S_ISBLK(st.st_mode) && major(st.st_rdev) == s->device_major &&
	       minor(st.st_rdev) == s->device_minor;
}

/* The name first: a volume may be called like another volume's id. */
static const struct dm_volume_status *pick(const char *name,
					   const struct dm_volume_status *list,
					   size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (strcmp(name, list[i].volume.name) == 0)
			return &list[i];
	for (i = 0; i < count; i++)
		if (strcmp(name, list[i].volume.volume_id) == 0 ||
		    path_is(name, &list[i]))
			return &list[i];
	return NULL;
}

int volume_find_quietly(const char *name, struct dm_volume_status *ret)
{
	struct dm_volume_status *list = NULL;
	const struct dm_volume_status *found;
	size_t count = 0;
	int r;

	r = dm_volume_list(&list, &count);
	if (r < 0)
		return r;
	found = pick(name, list, count);
	if (found)
		*ret = *found;
	else
		r = -ENXIO;
	free(list);
	return r;
}

int volume_find(const char *name, struct dm_volume_status *ret)
{
	int r = volume_find_quietly(name, ret);

	if (r == -ENXIO)
		log_error("'%s' is not attached", name);
	return r;
}

int volume_find_id(const char *volume_id, struct dm_volume_status *ret)
{
	struct dm_volume_status *list = NULL;
	size_t count = 0;
	size_t i;
	int r;

	r = dm_volume_list(&list, &count);
	if (r < 0)
		return r;
	r = -ENXIO;
	for (i = 0; i < count && r < 0; i++) {
		if (strcmp(volume_id, list[i].volume.volume_id) != 0)
			continue;
		*ret = list[i];
		r = 0;
	}
	free(list);
	return r;
}

/* By the name that the kernel gave the device number. */
int volume_node_below(const struct dm_volume *v, char ret[VOLUME_NODE_CHARS])
{
	char line[256];
	FILE *f;
	int r = -ENXIO;

	snprintf(line, sizeof(line), "/sys/dev/block/%u:%u/uevent", v->major,
		 v->minor);
	f = fopen(line, "re");
	while (f && r < 0 && fgets(line, sizeof(line), f)) {
		if (strncmp(line, "DEVNAME=", 8) != 0)
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(ret, VOLUME_NODE_CHARS, "/dev/%s", line + 8);
		r = 0;
	}
	if (f)
		fclose(f);
	if (r < 0)
		log_error("the device %u:%u below has no node", v->major,
			  v->minor);
	return r;
}

int volume_open_below(const struct dm_volume *live, const char *header_path,
		      struct volume *ret)
{
	struct volume v = VOLUME_CLOSED;
	char node[VOLUME_NODE_CHARS];
	const char *id;
	int r;

	r = volume_node_below(live, node);
	if (r == 0)
		r = volume_open(node, header_path, 0, &v);
	if (r < 0)
		return r;
	id = header_core(v.header)->volume_id;
	if (strcmp(id, live->volume_id) != 0) {
		log_error("'%s' is volume %s, but the header is that of %s",
			  live->name, live->volume_id, id);
		volume_close(&v);
		return -EBADMSG;
	}
	*ret = v;
	return 0;
}
