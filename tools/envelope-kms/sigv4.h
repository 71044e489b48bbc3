/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AWS Signature Version 4, the verifying side. Knows nothing of HTTP servers
 * or databases, so that AWS's test vectors run against it.
 *
 * Only the form of the signature that KMS clients use is accepted:
 * the Authorization header, path "/", no query, the body signed.
 */
#ifndef KMS_SIGV4_H
#define KMS_SIGV4_H

#include <stddef.h>
#include <stdint.h>

#include "crypto.h"
#include "errors.h"
#include "secret.h"

#define SIGV4_HEADERS_MAX 64
#define SIGV4_SKEW_SECONDS 300
#define SIGV4_WHY_BYTES 512

struct sigv4_header {
	const char *name;  /* as sent */
	const char *value;
};

struct sigv4_request {
	const char *method;
	struct sigv4_header headers[SIGV4_HEADERS_MAX];
	size_t header_count;
	uint8_t body_sha256[CRYPTO_SHA256_BYTES];
};

/* The signature's own statements about itself, cut out of the request. */
struct sigv4_claim {
	char access_key_id[129];
	char date[9];           /* yyyymmdd, of the scope */
	char region[64], service[64], terminator[64];
	char signed_headers[2048];
	char signature[2 * CRYPTO_SHA256_BYTES + 1];
	char timestamp[17];     /* X-Amz-Date: yyyymmddThhmmssZ */
};

/* What the server requires. */
struct sigv4_rules {
	const char *regions;    /* a list, region.h */
	const char *service;
	int64_t now_seconds;    /* since 1970, UTC */
};

/*
 * Cuts the claim out of @r and checks its form, its scope, its time and what
 * it signs; no key is needed for that. ERR_NONE, or the error to answer with
 * and a sentence for the client in @why.
 */
enum error sigv4_read(const struct sigv4_request *r,
		      const struct sigv4_rules *rules,
		      struct sigv4_claim *ret, char why[static SIGV4_WHY_BYTES]);

/*
 * The HMAC chain from @secret_key (text, no NUL) over the scope of @claim, into
 * the CRYPTO_SHA256_BYTES of @key. 0; -ENOMEM; -EIO.
 */
int sigv4_signing_key(const struct sigv4_claim *claim,
		      const struct secret *secret_key, struct secret *key);

/*
 * Compares the signature with the one that the signing key @key gives, in
 * constant time. ERR_NONE; ERR_INVALID_SIGNATURE; ERR_INTERNAL.
 */
enum error sigv4_verify(const struct sigv4_request *r,
			const struct sigv4_claim *claim,
			const struct secret *key,
			char why[static SIGV4_WHY_BYTES]);

/*
 * The canonical request of @r, for which sigv4_read() held: malloc(3)ed
 * text, or NULL. Exposed for the test vectors.
 */
char *sigv4_canonical(const struct sigv4_request *r,
		      const struct sigv4_claim *claim);

/* The value of the only header @name; NULL: absent, or there are several. */
const char *sigv4_header(const struct sigv4_request *r, const char *name);

#endif
