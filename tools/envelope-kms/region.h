/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lists of regions: names with a blank between each two. */
#ifndef KMS_REGION_H
#define KMS_REGION_H

#include <stdbool.h>
#include <stddef.h>

#define REGION_BYTES 64
#define REGIONS_BYTES 1024 /* of a list */

/* Of a-z, 0-9 and "-": fit for an ARN, a host name and a list. */
bool region_name_ok(const char *name);

/* True when @list has @name. */
bool region_listed(const char *list, const char *name);

/* Appends @name. 0; -EINVAL (no region name); -EEXIST; -ENOSPC. */
int region_append(char list[static REGIONS_BYTES], const char *name);

/* The next name from *@list on, which moves behind it. False: no more. */
bool region_next(const char **list, char ret[static REGION_BYTES]);

#endif
