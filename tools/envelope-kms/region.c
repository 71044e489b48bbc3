// SPDX-License-Identifier: GPL-2.0-or-later
/* The regions that one server is at once. */
#include "region.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NAME_MAX_CHARS 32

bool region_name_ok(const char *name)
{
	static const char chars[] = "abcdefghijklmnopqrstuvwxyz0123456789-";

	return *name && strlen(name) <= NAME_MAX_CHARS &&
	       !name[strspn(name, chars)];
}

bool region_next(const char **list, char ret[static REGION_BYTES])
{
	size_t n;

	*list += strspn(*list, " ");
	n = strcspn(*list, " ");
	if (!n || n >= REGION_BYTES)
		return false;
	memcpy(ret, *list, n);
	ret[n] = '\0';
	*list += n;
	return true;
}

bool region_listed(const char *list, const char *name)
{
	char one[REGION_BYTES];

	while (region_next(&list, one))
		if (strcmp(one, name) == 0)
			return true;
	return false;
}

int region_append(char list[static REGIONS_BYTES], const char *name)
{
	size_t used = strlen(list);

	if (!region_name_ok(name))
		return -EINVAL;
	if (region_listed(list, name))
		return -EEXIST;
	if (used + 1 + strlen(name) >= REGIONS_BYTES)
		return -ENOSPC;
	snprintf(list + used, REGIONS_BYTES - used, "%s%s", used ? " " : "",
		 name);
	return 0;
}
