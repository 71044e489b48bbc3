/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the volume of a line of envelopetab is now. */
#ifndef ENVELOPE_TAB_DEVICE_H
#define ENVELOPE_TAB_DEVICE_H

#include "tab.h"

#define TAB_DEVICE_CHARS 4096

/*
 * The path of the device that @line names: its own, if something is there; by
 * UUID or volume id, the first block device of /proc/partitions whose header
 * says so, which is unverified. -ENOENT: none, prints nothing. -EIO.
 */
int tab_device_find(const struct tab_line *line, char ret[TAB_DEVICE_CHARS]);

/*
 * Is it attached? Its status goes to *@ret. -ENXIO: nothing of that name is.
 * -EEXIST, with a sentence: another volume, or another device has the name.
 * -EPERM and others of device mapper, printed.
 */
int tab_device_attached(const struct tab_line *line,
			struct dm_volume_status *ret);

#endif
