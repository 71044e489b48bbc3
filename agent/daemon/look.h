/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which volumes a caller sees, and how they are described to him. */
#ifndef ENVELOPE_LOOK_H
#define ENVELOPE_LOOK_H

#include "attachments.h"
#include "server.h"

/* Whose is the attached volume @s? Root's, unless the agent attached it. */
uid_t look_owner(struct agent *agent, const struct dm_volume_status *s);

/* Root sees all, others what they attached. */
bool look_visible(struct agent *agent, const struct caller *who,
		  const struct dm_volume_status *s);

/*
 * The attached volume @name (device name, volume id) that the caller of @c
 * sees. -ENXIO also for those of others, prints nothing; others as dm.h.
 */
int look_find(struct call *c, const char *name, struct dm_volume_status *ret);

/* End @c after look_find() has failed with @r. */
void look_missing(struct call *c, const char *name, int r);

/* As the interface's type Volume; new reference, NULL: no memory. */
json_t *look_describe(struct agent *agent, const struct dm_volume_status *s);

#endif
