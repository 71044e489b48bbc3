/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The audit trail: one JSON object a line in CloudTrail's shape, appended and
 * made durable before the answer that it describes leaves the server.
 */
#ifndef KMS_AUDIT_H
#define KMS_AUDIT_H

#include <jansson.h>
#include <stdbool.h>

#include "audit_digest.h"
#include "crypto.h"

struct audit;
struct call;
struct key_row;

/*
 * The trail of the KMS directory @dir, created (0600) if absent, and again
 * if it is removed meanwhile. One that cannot be opened is no error
 * here: a warning is printed, and every record fails until it can be. 0;
 * -ENOMEM. audit_close() accepts NULL.
 */
int audit_open(const char *dir, struct audit **ret);
void audit_close(struct audit *a);

/*
 * Copies records to the journal from now on, once they are durable. 0;
 * -ENOMEM; -errno.
 */
int audit_forward(struct audit *a);

/* Puts records away and signs them from now on. As audit_digest_start(). */
int audit_start_digests(struct audit *a, const struct audit_digest_options *o);

/* What the command line did to an account, a user or a role. */
struct audit_change {
	const char *source;  /* of the event; NULL: IAM */
	const char *name;
	const char *account, *region;
	json_t *parameters;
	json_t *response;    /* NULL: none */
	bool failed;         /* it was recorded, but could not be kept */
	char request_id[CRYPTO_UUID_BYTES]; /* "" for the first record */
};

/*
 * Writes the record of a finished call, or of what the server itself did to a
 * key: DeleteKey, RotateKey, …. On success it is on the disk; on failure no part of it is.
 * Blocks on the disk; any thread. 0; -ENOMEM; -errno of the file (-ENOSPC,
 * -EROFS, -EFBIG, …), logged.
 */
int audit_call(struct audit *a, const struct call *c);
int audit_service_event(struct audit *a, const char *name,
			const struct key_row *key);

/*
 * The same for @change, with the user id of this process as who did it. A
 * second record of it, once it has failed, is of the same request.
 */
int audit_change(struct audit *a, struct audit_change *change);

#endif
