// SPDX-License-Identifier: GPL-2.0-or-later
/* Verifies AWS Signature Version 4 and says what is wrong as AWS does. */
#include "sigv4.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "region.h"

#define ALGORITHM "AWS4-HMAC-SHA256"
#define TERMINATOR "aws4_request"
#define TO_SIGN_BYTES 512

static enum error refuse(char *why, enum error e, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static enum error refuse(char *why, enum error e, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, SIGV4_WHY_BYTES, fmt, args);
	va_end(args);
	return e;
}

/* Most names differ in their first letter already. */
static bool same_name(const char *a, const char *b)
{
	return ((a[0] ^ b[0]) & ~0x20) == 0 && strcasecmp(a, b) == 0;
}

static size_t count_header(const struct sigv4_request *r, const char *name)
{
	size_t i, n = 0;

	for (i = 0; i < r->header_count; i++)
		n += same_name(r->headers[i].name, name);
	return n;
}

const char *sigv4_header(const struct sigv4_request *r, const char *name)
{
	const char *found = NULL;
	size_t i;

	for (i = 0; i < r->header_count; i++) {
		if (!same_name(r->headers[i].name, name))
			continue;
		if (found)
			return NULL;
		found = r->headers[i].value;
	}
	return found;
}

/* True when the ';'-separated @list names the header @name. */
static bool list_has(const char *list, const char *name)
{
	size_t n = strlen(name);

	while (*list) {
		size_t len = (size_t)(strchrnul(list, ';') - list);

		if (len == n && strncasecmp(list, name, n) == 0)
			return true;
		list += len + (list[len] == ';');
	}
	return false;
}

/* Copies "Name=value" of the Authorization header's list. */
static bool copy_part(const char *parts, const char *name, char *ret,
		      size_t bytes)
{
	size_t n = strlen(name);

	while (*parts) {
		size_t len;

		parts += strspn(parts, ", ");
		len = strcspn(parts, ", ");
		if (len > n && strncmp(parts, name, n) == 0 &&
		    parts[n] == '=') {
			if (len - n > bytes)
				return false;
			memcpy(ret, parts + n + 1, len - n - 1);
			ret[len - n - 1] = '\0';
			return true;
		}
		parts += len;
	}
	return false;
}

/* The next part of a scope, which ends at '/' or, the last one, at the end. */
static bool next_scope(const char **p, char *ret, size_t bytes)
{
	size_t len = strcspn(*p, "/");

	if (len == 0 || len >= bytes)
		return false;
	memcpy(ret, *p, len);
	ret[len] = '\0';
	*p += len + ((*p)[len] == '/');
	return true;
}

static bool split_credential(const char *p, struct sigv4_claim *c)
{
	return next_scope(&p, c->access_key_id, sizeof(c->access_key_id)) &&
	       next_scope(&p, c->date, sizeof(c->date)) &&
	       next_scope(&p, c->region, sizeof(c->region)) &&
	       next_scope(&p, c->service, sizeof(c->service)) &&
	       next_scope(&p, c->terminator, sizeof(c->terminator)) &&
	       *p == '\0';
}

static enum error read_authorization(const struct sigv4_request *r,
				     struct sigv4_claim *c, char *why)
{
	const char *value = sigv4_header(r, "authorization");
	char credential[512];

	if (count_header(r, "authorization") == 0)
		return refuse(why, ERR_MISSING_AUTHENTICATION,
			      "Missing Authentication Token");
	if (!value)
		return refuse(why, ERR_INCOMPLETE_SIGNATURE,
			      "There is more than one Authorization header.");
	if (strncmp(value, ALGORITHM " ", strlen(ALGORITHM) + 1) != 0)
		return refuse(why, ERR_INCOMPLETE_SIGNATURE,
			      "Authorization header must begin with '" ALGORITHM "'.");
	value += strlen(ALGORITHM) + 1;
	if (!copy_part(value, "Credential", credential, sizeof(credential)))
		return refuse(why, ERR_INCOMPLETE_SIGNATURE,
			      "Authorization header requires 'Credential' parameter.");
	if (!copy_part(value, "Signature", c->signature,
		       sizeof(c->signature)))
		return refuse(why, ERR_INCOMPLETE_SIGNATURE,
			      "Authorization header requires 'Signature' parameter.");
	if (!copy_part(value, "SignedHeaders", c->signed_headers,
		       sizeof(c->signed_headers)))
		return refuse(why, ERR_INCOMPLETE_SIGNATURE,
			      "Authorization header requires 'SignedHeaders' parameter.");
	if (!split_credential(credential, c))
		return refuse(why, ERR_INCOMPLETE_SIGNATURE,
			      "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term.");
	return ERR_NONE;
}

/* @count digits as a number from @min to @max; negative: they are not. */
static int digits(const char *text, int count, int min, int max)
{
	int n = 0;

	for (; count > 0; count--, text++) {
		if (*text < '0' || *text > '9')
			return -1;
		n = 10 * n + (*text - '0');
	}
	return n < min || n > max ? -1 : n;
}

/*
 * Days from 1970 to that day of the Gregorian calendar; years begin in March,
 * so that a leap day ends one.
 */
static int64_t days_to(int year, int month, int day)
{
	int from_march = (month + 9) % 12;

	year -= month <= 2;
	return 365LL * year + year / 4 - year / 100 + year / 400 +
	       (153 * from_march + 2) / 5 + day - 1 - 719468;
}

/*
 * yyyymmddThhmmssZ to seconds since 1970; negative: not that form. The C
 * library's own ways take a lock that all threads share.
 */
static int64_t parse_time(const char *text)
{
	int year, month, day, hour, minute, second;

	if (strlen(text) != 16 || text[8] != 'T' || text[15] != 'Z')
		return -1;
	year = digits(text, 4, 1970, 9999);
	month = digits(text + 4, 2, 1, 12);
	day = digits(text + 6, 2, 1, 31);
	hour = digits(text + 9, 2, 0, 23);
	minute = digits(text + 11, 2, 0, 59);
	second = digits(text + 13, 2, 0, 60);
	if (year < 0 || month < 0 || day < 0 || hour < 0 || minute < 0 ||
	    second < 0)
		return -1;
	return ((days_to(year, month, day) * 24 + hour) * 60 + minute) * 60 +
	       second;
}

static void format_time(int64_t seconds, char ret[static 17])
{
	time_t t = (time_t)seconds;
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(ret, 17, "%Y%m%dT%H%M%SZ", &tm);
}

static enum error check_time(const struct sigv4_request *r,
			     const struct sigv4_rules *rules,
			     struct sigv4_claim *c, char *why)
{
	const char *value = sigv4_header(r, "x-amz-date");
	char limit[17], now[17];
	int64_t sent;

	sent = value ? parse_time(value) : -1;
	if (sent < 0)
		return refuse(why, ERR_INCOMPLETE_SIGNATURE,
			      "Date must be in ISO-8601 'basic format' in one 'X-Amz-Date' header.");
	memcpy(c->timestamp, value, sizeof(c->timestamp));
	if (strncmp(c->date, c->timestamp, 8) != 0)
		return refuse(why, ERR_INVALID_SIGNATURE,
			      "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%.8s', from '%s'.",
			      c->date, c->timestamp, c->timestamp);
	if (sent < rules->now_seconds - SIGV4_SKEW_SECONDS) {
		format_time(rules->now_seconds, now);
		format_time(rules->now_seconds - SIGV4_SKEW_SECONDS, limit);
		return refuse(why, ERR_INVALID_SIGNATURE,
			      "Signature expired: %s is now earlier than %s (%s - 5 min.)",
			      c->timestamp, limit, now);
	}
	if (sent > rules->now_seconds + SIGV4_SKEW_SECONDS) {
		format_time(rules->now_seconds, now);
		format_time(rules->now_seconds + SIGV4_SKEW_SECONDS, limit);
		return refuse(why, ERR_INVALID_SIGNATURE,
			      "Signature not yet current: %s is still later than %s (%s + 5 min.)",
			      c->timestamp, limit, now);
	}
	return ERR_NONE;
}

static enum error check_scope(const struct sigv4_rules *rules,
			      const struct sigv4_claim *c, char *why)
{
	if (strcmp(c->terminator, TERMINATOR) != 0)
		return refuse(why, ERR_INVALID_SIGNATURE,
			      "Credential should be scoped with a valid terminator: '"
			      TERMINATOR "', not '%s'.", c->terminator);
	if (!region_listed(rules->regions, c->region))
		return refuse(why, ERR_INVALID_SIGNATURE,
			      "Credential should be scoped to a valid region, not '%s'.",
			      c->region);
	if (strcmp(c->service, rules->service) != 0)
		return refuse(why, ERR_INVALID_SIGNATURE,
			      "Credential should be scoped to correct service: '%s'.",
			      rules->service);
	return ERR_NONE;
}

/* The list must be what a signer makes: lower case, sorted, each name once. */
static bool list_is_canonical(const char *list)
{
	char last[128] = "", name[128];
	const char *p;

	for (p = list; *p; p++)
		if (isupper((unsigned char)*p) || isspace((unsigned char)*p))
			return false;
	for (p = list; *p;) {
		size_t len = strcspn(p, ";");

		if (len == 0 || len >= sizeof(name))
			return false;
		memcpy(name, p, len);
		name[len] = '\0';
		if (strcmp(last, name) >= 0)
			return false;
		memcpy(last, name, len + 1);
		p += len;
		if (*p == ';' && p[1] == '\0')
			return false;
		p += *p == ';';
	}
	return true;
}

static enum error check_signed(const struct sigv4_request *r,
			       const struct sigv4_claim *c, char *why)
{
	size_t i;

	if (!list_is_canonical(c->signed_headers))
		return refuse(why, ERR_INCOMPLETE_SIGNATURE,
			      "'SignedHeaders' must be lower-case names, sorted, each once.");
	if (!list_has(c->signed_headers, "host"))
		return refuse(why, ERR_INVALID_SIGNATURE,
			      "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.");
	for (i = 0; i < r->header_count; i++) {
		const char *name = r->headers[i].name;
		bool listed = list_has(c->signed_headers, name);

		if (!listed && strncasecmp(name, "x-amz-", 6) == 0)
			return refuse(why, ERR_INVALID_SIGNATURE,
				      "There were headers present in the request which were not signed: %.100s",
				      name);
		if (listed && count_header(r, name) != 1)
			return refuse(why, ERR_INVALID_SIGNATURE,
				      "The signed header '%.100s' occurs more than once.",
				      name);
	}
	return ERR_NONE;
}

enum error sigv4_read(const struct sigv4_request *r,
		      const struct sigv4_rules *rules,
		      struct sigv4_claim *ret, char why[static SIGV4_WHY_BYTES])
{
	enum error e = read_authorization(r, ret, why);

	if (e == ERR_NONE)
		e = check_scope(rules, ret, why);
	if (e == ERR_NONE)
		e = check_time(r, rules, ret, why);
	if (e == ERR_NONE)
		e = check_signed(r, ret, why);
	return e;
}

/* Text that grows into memory which is known to be enough. */
static char *put(char *p, const char *text, size_t bytes)
{
	memcpy(p, text, bytes);
	return p + bytes;
}

/* A value as signers write it: ends cut, inner blanks made one. */
static char *put_value(char *p, const char *value)
{
	bool blank = false, any = false;

	for (; *value; value++) {
		if (*value == ' ' || *value == '\t') {
			blank = any;
			continue;
		}
		if (blank)
			*p++ = ' ';
		*p++ = *value;
		blank = false;
		any = true;
	}
	return p;
}

/*
 * Enough for the canonical request: of the list of names, each once, with a
 * colon and a newline, and then the list; each value is somebody's.
 */
static size_t canonical_bytes(const struct sigv4_request *r,
			      const struct sigv4_claim *claim)
{
	size_t bytes = strlen(r->method) + 3 * strlen(claim->signed_headers) +
		       2 * CRYPTO_SHA256_BYTES + 32;
	size_t i;

	for (i = 0; i < r->header_count; i++)
		bytes += strlen(r->headers[i].value);
	return bytes;
}

char *sigv4_canonical(const struct sigv4_request *r,
		      const struct sigv4_claim *claim)
{
	char *text = malloc(canonical_bytes(r, claim)), *out = text;
	const char *p = claim->signed_headers;
	char name[128];

	if (!text)
		return NULL;
	out = put(out, r->method, strlen(r->method));
	out = put(out, "\n/\n\n", 4);
	while (*p) {
		size_t len = strcspn(p, ";");
		size_t n = len < sizeof(name) ? len : sizeof(name) - 1;
		const char *value;

		*put(name, p, n) = '\0';
		value = sigv4_header(r, name);
		out = put(out, name, n);
		*out++ = ':';
		out = put_value(out, value ? value : "");
		*out++ = '\n';
		p += len + (p[len] == ';');
	}
	*out++ = '\n';
	out = put(out, claim->signed_headers, strlen(claim->signed_headers));
	*out++ = '\n';
	crypto_hex(r->body_sha256, sizeof(r->body_sha256), out);
	return text;
}

/* HMAC chain from "AWS4" and the secret key to the signing key. */
int sigv4_signing_key(const struct sigv4_claim *c,
		      const struct secret *secret_key, struct secret *key)
{
	const char *const parts[] = { c->date, c->region, c->service,
				      c->terminator };
	struct secret *start = secret_new(4 + secret_len(secret_key));
	size_t i;
	int rc;

	if (!start)
		return -ENOMEM;
	memcpy(secret_bytes(start), "AWS4", 4);
	memcpy(secret_bytes(start) + 4, secret_cbytes(secret_key),
	       secret_len(secret_key));
	rc = crypto_hmac(secret_cbytes(start), secret_len(start), parts[0],
			 strlen(parts[0]), secret_bytes(key));
	for (i = 1; rc == 0 && i < 4; i++)
		rc = crypto_hmac(secret_cbytes(key), CRYPTO_SHA256_BYTES,
				 parts[i], strlen(parts[i]),
				 secret_bytes(key));
	secret_free(start);
	return rc;
}

/* Of the canonical request's @digest. The end of the text, which has no NUL. */
static char *string_to_sign(const struct sigv4_claim *c, const uint8_t *digest,
			    char ret[static TO_SIGN_BYTES])
{
	const char *const parts[] = {
		ALGORITHM "\n", c->timestamp, "\n", c->date, "/", c->region,
		"/", c->service, "/", c->terminator, "\n",
	};
	char *p = ret;
	size_t i;

	/* Once a request: not by printf(). */
	_Static_assert(sizeof(ALGORITHM) + sizeof(c->timestamp) +
		       sizeof(c->date) + sizeof(c->region) +
		       sizeof(c->service) + sizeof(c->terminator) +
		       2 * CRYPTO_SHA256_BYTES + 8 < TO_SIGN_BYTES, "scope");
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		p = put(p, parts[i], strlen(parts[i]));
	crypto_hex(digest, CRYPTO_SHA256_BYTES, p);
	return p + 2 * CRYPTO_SHA256_BYTES;
}

static int expected_signature(const struct sigv4_request *r,
			      const struct sigv4_claim *c,
			      const struct secret *key,
			      char ret[static 2 * CRYPTO_SHA256_BYTES + 1])
{
	uint8_t digest[CRYPTO_SHA256_BYTES];
	char to_sign[TO_SIGN_BYTES], *end;
	char *canonical = sigv4_canonical(r, c);
	int rc = -1;

	if (!canonical)
		goto out;
	rc = crypto_sha256(canonical, strlen(canonical), digest);
	if (rc < 0)
		goto out;
	end = string_to_sign(c, digest, to_sign);
	rc = crypto_hmac(secret_cbytes(key), secret_len(key), to_sign,
			 (size_t)(end - to_sign), digest);
	crypto_hex(digest, sizeof(digest), ret);
out:
	free(canonical);
	return rc;
}

enum error sigv4_verify(const struct sigv4_request *r,
			const struct sigv4_claim *claim,
			const struct secret *key,
			char why[static SIGV4_WHY_BYTES])
{
	char expected[2 * CRYPTO_SHA256_BYTES + 1];

	if (expected_signature(r, claim, key, expected) < 0)
		return refuse(why, ERR_INTERNAL, "%s", "");
	if (strlen(claim->signature) != strlen(expected) ||
	    CRYPTO_memcmp(claim->signature, expected, strlen(expected)) != 0)
		return refuse(why, ERR_INVALID_SIGNATURE,
			      "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.");
	return ERR_NONE;
}
