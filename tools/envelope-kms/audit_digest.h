/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The thread that puts the live file away: once an interval it becomes gzip
 * files, one a region, and each region's chain gets a signed digest, also
 * when nothing has happened: that proves that nothing has.
 */
#ifndef KMS_AUDIT_DIGEST_H
#define KMS_AUDIT_DIGEST_H

#include "audit_log.h"

#define AUDIT_DIGEST_SECONDS 3600

struct audit_digest;

struct audit_digest_options {
	const char *dir;         /* of the KMS; outlives the thread */
	const char *account;
	const char *regions;     /* by blanks; the first is the trail's home */
	int seconds;             /* between digests */
};

/*
 * Finishes what a killed server had begun, then starts. 0; -errno with a
 * message printed. audit_digest_stop() accepts NULL.
 */
int audit_digest_start(struct audit_log *log,
		       const struct audit_digest_options *o,
		       struct audit_digest **ret);
void audit_digest_stop(struct audit_digest *d);

#endif
