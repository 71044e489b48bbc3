// SPDX-License-Identifier: GPL-2.0-or-later
/* Which attached volume is meant: by device name, path or volume id. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "log.h"
#include "volume.h"

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
