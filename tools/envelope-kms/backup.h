/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is in a backup: a sealed file (sealed_file.h) with, one behind the
 * other, the bytes of a JSON text as a big-endian u32, that text, and the
 * files that it lists. Neither the root key nor the subkeys are ever in it.
 *
 *   {"format": 1, "created": "2026-01-05T21:35:47Z", "account": "…",
 *    "keys": 7, "trail": …as trail.h…,
 *    "files": [{"name": "kms.db", "bytes": 81920}, …]}
 */
#ifndef KMS_BACKUP_H
#define KMS_BACKUP_H

#include <stddef.h>
#include <sys/types.h>

#define BACKUP_FORMAT 1
#define BACKUP_HEAD_MAX (1 << 20)
#define BACKUP_SUFFIX ".backup"

/* What may be in a backup, the database first. */
struct backup_file {
	const char *name; /* NULL: the end */
	mode_t mode;      /* that it gets */
};

extern const struct backup_file backup_files[];

#endif
