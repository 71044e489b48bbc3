/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The folder of the audit trail as CloudTrail's bucket: gzip files under the
 * names that CloudTrail gives them, written whole, with the SHA-256 of what
 * is in them.
 */
#ifndef KMS_AUDIT_BUCKET_H
#define KMS_AUDIT_BUCKET_H

#include <stdbool.h>
#include <stddef.h>

#include "audit_sign.h"

#define AUDIT_BUCKET "envelope-kms-audit"
#define AUDIT_TRAIL "envelope-kms"
#define AUDIT_STAMP_BYTES 17 /* yyyymmddThhmmssZ and a NUL */
#define AUDIT_TIME_BYTES 21  /* yyyy-mm-ddThh:mm:ssZ and a NUL */
#define AUDIT_OBJECT_BYTES 512

/* "20260105T213547Z" to "2026-01-05T21:35:47Z". */
void audit_stamp_time(const char *stamp, char ret[static AUDIT_TIME_BYTES]);

/*
 * Names in the bucket. @home is the trail's region; @unique tells two log
 * files of one moment apart.
 */
void audit_log_object(const char *account, const char *region,
		      const char *stamp, const char *unique,
		      char ret[static AUDIT_OBJECT_BYTES]);
void audit_digest_object(const char *account, const char *region,
			 const char *home, const char *stamp,
			 char ret[static AUDIT_OBJECT_BYTES]);

/* A gzip file that is being written; what has been put into it is hashed. */
struct audit_gz;

/*
 * At @path, which is begun anew. audit_gz_end() makes it durable and frees,
 * also after an error, which it returns: 0; -errno.
 */
int audit_gz_begin(const char *path, struct audit_gz **ret);
void audit_gz_put(struct audit_gz *gz, const char *data, size_t bytes);
int audit_gz_end(struct audit_gz *gz, char hash_ret[static AUDIT_HASH_HEX]);

/*
 * The hash of what is in the gzip file @path, and with @text_ret all of it
 * (at most 16 MiB) to free(3), with a NUL. -ENOENT; -EBADMSG: not gzip, or
 * cut; -errno.
 */
int audit_gz_read(const char *path, char hash_ret[static AUDIT_HASH_HEX],
		  char **text_ret);

/* Makes the folders of @object in @bucket, durably. 0; -errno. */
int audit_make_folders(const char *bucket, const char *object);

/* "bucket/object" to free(3); NULL: no memory. */
char *audit_object_path(const char *bucket, const char *object);

#endif
