/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts that know libdevmapper share among themselves. */
#ifndef ENVELOPE_DM_PRIVATE_H
#define ENVELOPE_DM_PRIVATE_H

#include <libdevmapper.h>

#include "dm.h"

/*
 * A task for the device @name, or for none if NULL; the caller destroys it.
 * Errors as dm.h says, with a message.
 */
int dm_new_task(int type, const char *name, struct dm_task **ret);

/*
 * -errno of the ioctl, silent; the library reports some failures without one.
 */
int dm_run_task(struct dm_task *task);

/*
 * Run a task that makes uevents, and wait for udev, if there is one, to have
 * made the nodes and links; else the library makes them. @flags of
 * DM_UDEV_DISABLE_...: what udev shall leave alone.
 */
int dm_run_with_udev(struct dm_task *task, unsigned int flags);

#endif
