/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A secret from one process to another: through a page that both map and lock,
 * so that no pipe or socket buffer keeps a copy.
 */
#ifndef ENVELOPE_SECRET_PASS_H
#define ENVELOPE_SECRET_PASS_H

#include <stddef.h>

#include "secret.h"

/*
 * The page, empty, by a descriptor to inherit or pass; close-on-exec.
 * -EIO; prints its own error.
 */
int secret_page_open(void);

/* Copy @s, of at most 4000 bytes, into the page. -EIO, -EINVAL; prints. */
int secret_page_put(int fd, const struct secret *s);

/*
 * A secret of the first @bytes of the page, which is wiped: the writer could
 * change what he still maps, so a copy is used. -ENOMEM, -EIO; prints.
 */
int secret_page_take(int fd, size_t bytes, struct secret **ret);

#endif
