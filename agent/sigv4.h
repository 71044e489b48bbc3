/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AWS Signature Version 4 apart from the sending: who signs a request need
 * not be who sends it.
 *
 * Signed is POST / without a query, with the headers content-type, host,
 * x-amz-date, x-amz-security-token (where the credentials have one) and
 * x-amz-target, and the whole body. Source: "Create a signed AWS API request",
 * AWS IAM user guide.
 */
#ifndef ENVELOPE_SIGV4_H
#define ENVELOPE_SIGV4_H

#include <stddef.h>
#include <time.h>

#include "credentials.h"

#define SIGV4_DATE_BYTES 17		/* 20150830T123600Z and the NUL */
#define SIGV4_AUTHORIZATION_BYTES 512	/* with the NUL */

/* What is signed; strings are the caller's. */
struct sigv4_request {
	const char *host;		/* Host header: HOST[:PORT] */
	const char *region;		/* scope */
	const char *service;		/* scope, "kms" */
	const char *target;		/* X-Amz-Target */
	const char *content_type;
	const void *body;
	size_t body_bytes;
};

/*
 * The header values X-Amz-Date and Authorization that @credentials give the
 * request at time @now. The third header, X-Amz-Security-Token, is their
 * session token as it is. Neither value is a secret: nothing but this one
 * request, and for 5 minutes, can be sent with them.
 * 0; -EINVAL (@now has no four-digit year, a name is too long); -ENOMEM;
 * -EIO (OpenSSL). Prints nothing.
 */
int sigv4_sign(const struct sigv4_request *request,
	       const struct credentials *credentials, time_t now,
	       char date_ret[static SIGV4_DATE_BYTES],
	       char authorization_ret[static SIGV4_AUTHORIZATION_BYTES]);

#endif
