/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The units of one line of envelopetab. */
#ifndef ENVELOPE_UNITS_H
#define ENVELOPE_UNITS_H

#include "tab.h"

/*
 * Write into the folder @folder, which systemd has made:
 *
 *	envelope-attach@NAME.service
 *	links that a boot, or whoever wants its device, finds it by
 *	how long systemd waits for both devices
 *
 * -EINVAL: a name that is too long for a unit; -EIO. With a sentence that has
 * the line's number in it; @tab_path is for that, and for SourcePath=.
 */
int units_write(const char *folder, const char *tab_path,
		const struct tab_line *line);

#endif
