/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The live file of the audit trail: lines that are on the disk when the call
 * returns. Calls that come at the same time share one write and one flush;
 * other processes may append, too.
 */
#ifndef KMS_AUDIT_LOG_H
#define KMS_AUDIT_LOG_H

#include <stddef.h>

struct audit_log;

/*
 * The file @name in the folder @folder, created (0600) if absent, and again
 * if it is removed meanwhile. One that cannot be opened is no error here: a
 * warning is printed, and every line fails until it can be. 0; -ENOMEM.
 * audit_log_close() accepts NULL.
 */
int audit_log_open(const char *folder, const char *name,
		   struct audit_log **ret);
void audit_log_close(struct audit_log *log);

/*
 * Appends @line of @bytes, its newline included. On success it is on the
 * disk; on failure no part of it is. Any thread. 0; -ENOMEM; -errno of the
 * file, logged once for all lines of one write.
 */
int audit_log_append(struct audit_log *log, const char *line, size_t bytes);

/*
 * Moves the file to @path, durably, and begins another: every line is in one
 * or the other. -ENOENT: it is empty, and stays; -errno of the file.
 */
int audit_log_rotate(struct audit_log *log, const char *path);

#endif
