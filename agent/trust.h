/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files that a root process runs, loads, or takes secrets from: may it?
 *
 * Not asked of others than root: what their configuration names is theirs.
 */
#ifndef ENVELOPE_TRUST_H
#define ENVELOPE_TRUST_H

#include "secret.h"

#define TRUST_SECRET_MAX_BYTES 4096

/*
 * May @path be run or loaded? Links followed, it is a regular file, and it and
 * all folders above it are root's and writable by nobody else.
 * @what names it in the sentence. 0; -EACCES; -ENOENT; -ENOMEM.
 */
int trust_code(const char *path, const char *what);

/*
 * Is @path a file of root's, or this user's, that no other can read or write?
 * @what names it in the sentence. 0; -EACCES.
 */
int trust_secret_file(const char *path, const char *what);

/*
 * The first line of @path, without its end, as a secret with a NUL behind it
 * (which counts in its size). The file is root's, or this user's, and no other
 * can read or write it. @what names it in the sentence.
 * 0 with *@ret for secret_free(); -EACCES (others can read it; it cannot be
 * read; empty, or longer than TRUST_SECRET_MAX_BYTES); -ENOMEM.
 */
int trust_read_secret(const char *path, const char *what, struct secret **ret);

#endif
