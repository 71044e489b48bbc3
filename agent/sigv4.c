// SPDX-License-Identifier: GPL-2.0-or-later
/* Signature Version 4 on OpenSSL's digest and HMAC. */
#include "sigv4.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#define ALGORITHM "AWS4-HMAC-SHA256"
#define DIGEST_BYTES 32
#define HEX_BYTES (2 * DIGEST_BYTES + 1)
#define DAY_CHARS 8	/* of the date, 20150830 */
#define SCOPE_BYTES 128

static void put_hex(const uint8_t digest[static DIGEST_BYTES],
		    char ret[static HEX_BYTES])
{
	size_t i;

	for (i = 0; i < DIGEST_BYTES; i++)
		sprintf(ret + 2 * i, "%02x", digest[i]);
}

static const char *token_of(const struct credentials *c)
{
	return c->session_token ?
	       (const char *)secret_cbytes(c->session_token) : NULL;
}

/* In the order of the alphabet, as the rule wants them. */
static const char *signed_headers(const struct credentials *c)
{
	return c->session_token ?
	       "content-type;host;x-amz-date;x-amz-security-token;x-amz-target" :
	       "content-type;host;x-amz-date;x-amz-target";
}

static bool feed(EVP_MD_CTX *md, const char *text)
{
	return EVP_DigestUpdate(md, text, strlen(text)) == 1;
}

static bool feed_header(EVP_MD_CTX *md, const char *name, const char *value)
{
	return feed(md, name) && feed(md, ":") && feed(md, value) &&
	       feed(md, "\n");
}

/*
 * The canonical request goes into the digest piece by piece: written down, it
 * would be one more place with the session token.
 */
static bool feed_request(EVP_MD_CTX *md, const struct sigv4_request *q,
			 const struct credentials *c, const char *date,
			 const char *body_hex)
{
	const char *token = token_of(c);

	return feed(md, "POST\n/\n\n") &&
	       feed_header(md, "content-type", q->content_type) &&
	       feed_header(md, "host", q->host) &&
	       feed_header(md, "x-amz-date", date) &&
	       (!token || feed_header(md, "x-amz-security-token", token)) &&
	       feed_header(md, "x-amz-target", q->target) && feed(md, "\n") &&
	       feed(md, signed_headers(c)) && feed(md, "\n") &&
	       feed(md, body_hex);
}

static int digest_request(const struct sigv4_request *q,
			  const struct credentials *c, const char *date,
			  char ret[static HEX_BYTES])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint8_t digest[DIGEST_BYTES];
	char body_hex[HEX_BYTES];
	int r = -ENOMEM;

	if (!md)
		goto out;
	r = -EIO;
	if (EVP_Digest(q->body, q->body_bytes, digest, NULL, EVP_sha256(),
		       NULL) != 1)
		goto out;
	put_hex(digest, body_hex);
	if (EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1 ||
	    !feed_request(md, q, c, date, body_hex) ||
	    EVP_DigestFinal_ex(md, digest, NULL) != 1)
		goto out;
	put_hex(digest, ret);
	r = 0;
out:
	EVP_MD_CTX_free(md);
	return r;
}

/* @key may be @ret: each key makes the next one. */
static int mac(const uint8_t *key, size_t key_bytes, const char *text,
	       size_t text_bytes, uint8_t ret[static DIGEST_BYTES])
{
	return HMAC(EVP_sha256(), key, key_bytes, (const uint8_t *)text,
		    text_bytes, ret, NULL) ? 0 : -EIO;
}

/* "AWS4" SECRET, then day, region, service, "aws4_request", one by one. */
static int derive_key(const struct sigv4_request *q,
		      const struct credentials *c, const char *date,
		      uint8_t ret[static DIGEST_BYTES])
{
	const char *secret = (const char *)secret_cbytes(c->secret_key);
	size_t bytes = strlen(secret);
	struct secret *first = secret_new(4 + bytes);
	int r;

	if (!first)
		return -ENOMEM;
	memcpy(secret_bytes(first), "AWS4", 4);
	memcpy(secret_bytes(first) + 4, secret, bytes);
	r = mac(secret_cbytes(first), 4 + bytes, date, DAY_CHARS, ret);
	secret_free(first);
	if (r == 0)
		r = mac(ret, DIGEST_BYTES, q->region, strlen(q->region), ret);
	if (r == 0)
		r = mac(ret, DIGEST_BYTES, q->service, strlen(q->service),
			ret);
	if (r == 0)
		r = mac(ret, DIGEST_BYTES, "aws4_request",
			strlen("aws4_request"), ret);
	return r;
}

static int sign_text(const struct sigv4_request *q,
		     const struct credentials *c, const char *date,
		     const char *text, char ret[static HEX_BYTES])
{
	struct secret *key = secret_new(DIGEST_BYTES);
	uint8_t signature[DIGEST_BYTES];
	int r;

	if (!key)
		return -ENOMEM;
	r = derive_key(q, c, date, secret_bytes(key));
	if (r == 0)
		r = mac(secret_cbytes(key), DIGEST_BYTES, text, strlen(text),
			signature);
	if (r == 0)
		put_hex(signature, ret);
	secret_free(key);
	return r;
}

static int format_date(time_t now, char ret[static SIGV4_DATE_BYTES])
{
	struct tm tm;

	if (!gmtime_r(&now, &tm) ||
	    strftime(ret, SIGV4_DATE_BYTES, "%Y%m%dT%H%M%SZ", &tm) !=
	    SIGV4_DATE_BYTES - 1)
		return -EINVAL;
	return 0;
}

int sigv4_sign(const struct sigv4_request *q, const struct credentials *c,
	       time_t now, char date_ret[static SIGV4_DATE_BYTES],
	       char authorization_ret[static SIGV4_AUTHORIZATION_BYTES])
{
	char text[sizeof(ALGORITHM) + SIGV4_DATE_BYTES + SCOPE_BYTES +
		  HEX_BYTES + 4];
	char authorization[SIGV4_AUTHORIZATION_BYTES];
	char request[HEX_BYTES], signature[HEX_BYTES];
	char date[SIGV4_DATE_BYTES];
	char scope[SCOPE_BYTES];
	int r;

	r = format_date(now, date);
	if (r < 0)
		return r;
	if (snprintf(scope, sizeof(scope), "%.*s/%s/%s/aws4_request",
		     DAY_CHARS, date, q->region, q->service) >=
	    (int)sizeof(scope))
		return -EINVAL;
	r = digest_request(q, c, date, request);
	if (r < 0)
		return r;
	snprintf(text, sizeof(text), ALGORITHM "\n%s\n%s\n%s", date, scope,
		 request);
	r = sign_text(q, c, date, text, signature);
	if (r < 0)
		return r;
	if (snprintf(authorization, sizeof(authorization),
		     ALGORITHM " Credential=%s/%s, SignedHeaders=%s, Signature=%s",
		     c->access_key_id, scope, signed_headers(c), signature) >=
	    (int)sizeof(authorization))
		return -EINVAL;
	strcpy(date_ret, date);
	strcpy(authorization_ret, authorization);
	return 0;
}
