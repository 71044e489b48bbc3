/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The root key of a directory, and whether it is that of a database. */
#ifndef KMS_ROOT_KEY_H
#define KMS_ROOT_KEY_H

#include "store.h"

/*
 * The key in @dir, a secret for the caller. -EINVAL: not of its size; -EPERM:
 * others may read it; -errno; with a message printed.
 */
int root_key_read(const char *dir, struct secret **ret);

/* -EBADMSG, with a message that names @dir: not the one of @s. */
int root_key_check(const char *dir, const struct secret *root,
		   struct store *s);

#endif
