/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The files of a KMS directory: their names, whole reads, durable writes. */
#ifndef KMS_FILES_H
#define KMS_FILES_H

#include <stddef.h>
#include <sys/types.h>

#include "secret.h"

#define FILE_ROOT_KEY "root.key"
#define FILE_SUBKEYS "subkeys.db"
#define FILE_DATABASE "kms.db"
#define FILE_AUDIT_DIR "audit"
#define FILE_AUDIT_LOG "audit.log" /* in it */
#define FILE_AUDIT FILE_AUDIT_DIR "/" FILE_AUDIT_LOG
#define FILE_AUDIT_KEY "audit.key"
#define FILE_AUDIT_PUBLIC "audit.pem"
#define FILE_CA "ca.pem"
#define FILE_CA_KEY "ca.key"
#define FILE_CERTIFICATE "server.pem"
#define FILE_KEY "server.key"
#define FILE_CREDENTIALS "credentials"
#define FILE_CONF "envelope.conf"
#define FILE_ENDPOINT "endpoint"

/*
 * A new file, durable when this returns. -EEXIST and other -errno, with a
 * message printed.
 */
int file_write(const char *dir, const char *name, mode_t mode,
	       const void *data, size_t bytes);

/* All of @data to @fd, past stdio, whose buffers nobody wipes. 0; -errno. */
int file_write_all(int fd, const void *data, size_t bytes);

/*
 * The whole file and one NUL behind it, as a secret of its size + 1, which
 * the caller owns. At most 64 KiB. With @secret, a file that others may read
 * or write is refused with -EPERM. -errno with a message printed.
 */
int file_read(const char *dir, const char *name, int secret,
	      struct secret **ret);

/* "dir/name" for the caller to free; NULL: no memory. */
char *file_path(const char *dir, const char *name);

/* Makes the entries of @dir durable. -errno with a message printed. */
int dir_sync(const char *dir);
/* The same of the directory that @path is in. */
int parent_sync(const char *path);

/* Removes @dir with all its files, as far as that goes. */
void dir_remove(const char *dir);

#endif
