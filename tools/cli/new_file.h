/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A file that appears whole, or not at all, and never in another's place. */
#ifndef ENVELOPE_NEW_FILE_H
#define ENVELOPE_NEW_FILE_H

#include "device.h"

struct new_file {
	struct device device;	/* PATH.part, 0600, for writing */
	char *path;
};

/* -EEXIST with a sentence: there is something of that name. */
int new_file_check(const char *path);

/* Begin @path. As device_open(); -ENOMEM. Ended by new_file_end(). */
int new_file_begin(const char *path, struct new_file *ret);

/*
 * The file has all that it will have, if @r is 0; else it goes. @r, or what
 * went wrong with its name: -EEXIST, -EIO, and the part stays then.
 */
int new_file_end(struct new_file *file, int r);

#endif
