/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The grant by which the user who attaches a volume lets this host open it.
 *
 * The agent composes the CreateGrant, the user's process checks it against
 * what it knows itself and signs it, the agent sends those very bytes to its
 * own KMS. So the user's credentials stay in his process and the grant is his,
 * fresh, and good for nothing but this volume on this host:
 *
 *	{"Constraints":{"EncryptionContextSubset":{
 *	    "envelope:generation":"1","envelope:volume-id":"vol-..."}},
 *	 "DryRun":true,				(only when it is asked first)
 *	 "GranteePrincipal":"arn:...","KeyId":"arn:...",
 *	 "Name":"envelope-HOST-NONCE","Operations":["Decrypt"],
 *	 "RetiringPrincipal":"arn:..."}
 *
 * without white space and in this order. Decrypt is all it allows: the check
 * of a lease is a Decrypt with DryRun, and DescribeKey, which shows nothing
 * of a volume, is for the host's own policy. Host and agent are one principal,
 * as key policies like scripts/examples/kms-key-policy.json want it.
 */
#ifndef ENVELOPE_GRANT_H
#define ENVELOPE_GRANT_H

#include <stdbool.h>
#include <stdint.h>

#include "arn.h"
#include "credentials.h"
#include "header.h"
#include "sigv4.h"

#define GRANT_HOST_BYTES 33	/* as /etc/machine-id; with the NUL, as all these */
#define GRANT_NONCE_BYTES 33		/* 128 random bits, hexadecimal */
#define GRANT_NAME_BYTES 128
#define GRANT_NAME_PREFIX "envelope-"
#define GRANT_BODY_MAX_BYTES 8192
#define GRANT_CONTENT_TYPE "application/x-amz-json-1.1"
#define GRANT_TARGET "TrentService.CreateGrant"

/* What a grant says; strings are the caller's. */
struct grant {
	const char *key_arn;
	const char *volume_id;
	uint32_t generation;
	const char *principal;	/* grantee, and who retires it */
	const char *name;
};

/*
 * The name of a new grant of @host ([a-z0-9], not empty): the prefix that all
 * of its grants share, as grant_prefix(), and a nonce. -EINVAL; -EIO (no
 * random bytes).
 */
int grant_new_name(const char *host, char ret[static GRANT_NAME_BYTES]);

/* "envelope-HOST-". -EINVAL: @host is none. */
int grant_prefix(const char *host, char ret[static GRANT_NAME_BYTES]);

/*
 * The body of CreateGrant, for free(3); the same bytes for the same @g.
 * -EINVAL: a field is none that a grant may have. -ENOMEM.
 */
int grant_compose(const struct grant *g, bool dry_run, char **ret);

/*
 * The user's side: is @body, which somebody gave us to sign, a grant for the
 * volume of @header under slot @index, to @principal, and nothing more? It is
 * iff grant_compose() makes the same bytes.
 * 0; -EBADMSG with a sentence that names @device and what is wrong; -ENOMEM.
 */
int grant_check(const char *body, const char *device,
		const struct header *header, size_t index,
		const char *principal);

/*
 * The same for who cannot read the header, but knows which volume he means,
 * @volume_id: is @body a grant for it, whatever its generation, on @key_arn?
 */
int grant_check_unread(const char *body, const char *device,
		       const char *volume_id, const char *key_arn,
		       const char *principal);

/* The key that @body is about. -EBADMSG with a sentence: none; -ENOMEM. */
int grant_read_key(const char *body, const char *device,
		   char ret[static ARN_TEXT_BYTES]);

/* The dry run of @body, for free(3). -EBADMSG: no JSON object; -ENOMEM. */
int grant_dry_run(const char *body, char **ret);

/* The header values that send a grant: the dry run's, and its own. */
struct grant_signature {
	char date[SIGV4_DATE_BYTES];
	char authorization[SIGV4_AUTHORIZATION_BYTES];
	char dry_run_authorization[SIGV4_AUTHORIZATION_BYTES];
};

/*
 * Sign @body, checked before, for @host (as http_host()) in @region, and the
 * dry run of it. -EBADMSG: no body of a grant. -EIO; -ENOMEM; -EINVAL. Prints
 * nothing.
 */
int grant_sign(const char *body, const char *host, const char *region,
	       const struct credentials *credentials,
	       struct grant_signature *ret);

#endif
