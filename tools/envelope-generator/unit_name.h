/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of units and values in their files, as systemd reads them. */
#ifndef ENVELOPE_UNIT_NAME_H
#define ENVELOPE_UNIT_NAME_H

#include <stdio.h>

#define UNIT_NAME_CHARS 256	/* systemd's limit, with the final NUL */

/*
 * PREFIX@TEXT.service and the like: @text escaped as by systemd-escape(1)
 * between @before and @behind. -ENAMETOOLONG, prints nothing.
 */
int unit_name_of(const char *before, const char *text, const char *behind,
		 char ret[UNIT_NAME_CHARS]);

/*
 * The unit that stands for the absolute path @path: a device below /dev and
 * /sys, else a mount. -ENAMETOOLONG, prints nothing.
 */
int unit_name_of_path(const char *path, char ret[UNIT_NAME_CHARS]);

/* The path @path as one word of a value: quoted, and no % is a specifier. */
void unit_print_path(FILE *f, const char *path);

#endif
