/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One region's chain of signed digests, and the file that knows its end. */
#ifndef KMS_AUDIT_CHAIN_H
#define KMS_AUDIT_CHAIN_H

#include <jansson.h>

#include "audit_bucket.h"
#include "audit_sign.h"

/* Where the next digest and its signature wait to be named, in the bucket. */
#define AUDIT_NEXT "next-"
#define AUDIT_CHAIN "chain-"

/* The newest digest; object "": there is none yet. */
struct audit_chain {
	char object[AUDIT_OBJECT_BYTES];
	char stamp[AUDIT_STAMP_BYTES];
	char hash[AUDIT_HASH_HEX];
	char signature[AUDIT_SIGNATURE_HEX];
};

/*
 * The end of the chain of @region in @bucket. A digest that a killed server
 * had written but not named gets its name. 0; -ENOMEM; -EBADMSG (the file is
 * damaged); -errno.
 */
int audit_chain_read(const char *bucket, const char *region,
		     struct audit_chain *ret);

/*
 * Appends the digest @body (members that the chain does not know: account,
 * times, log files), signed with @key, and makes @chain its end. In order:
 * the new file and signature under another name, the end of the chain, the
 * name; each durable, so that a crash leaves one digest or none. -errno.
 */
int audit_chain_append(const char *bucket, const char *region,
		       const struct audit_key *key, json_t *body,
		       struct audit_chain *chain);

/* CloudTrail's string to sign; @previous "" for a first digest. */
int audit_string_to_sign(const char *end_time, const char *object,
			 const char *hash, const char *previous, char **ret);

#endif
