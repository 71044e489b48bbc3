/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the writer and the reader of the audit share: its files. */
#ifndef ENVELOPE_AUDIT_PRIVATE_H
#define ENVELOPE_AUDIT_PRIVATE_H

#include "audit.h"

#define AUDIT_NAME_BYTES 48
#define AUDIT_PATH_BYTES 4096

/* The folder's path. */
void audit_folder(char ret[AUDIT_PATH_BYTES]);

/*
 * The names of the files that are full in the folder @dir, oldest first: an
 * array for free(3), whose names are in it. -errno.
 */
int audit_list(int dir, char (**ret)[AUDIT_NAME_BYTES], size_t *count_ret);

/* The head in the folder @dir. -ENOENT: none. -EBADMSG: it is damaged. */
int audit_head_read(int dir, struct audit_mark *ret);

#endif
