// SPDX-License-Identifier: GPL-2.0-or-later
/* Detached signatures: agent/sigv4.c beside AWS's own signer. */
#include "client_capture.h"

#include <errno.h>

#include "sigv4.h"

#define AT 1767323045	/* 2026-01-02T03:04:05Z */

struct row {
	const char *host, *region, *access_key_id, *secret, *token, *target;
	const char *body, *signature;
};

/* Signatures by awscrt 0.16.8 (aws-c-auth), run over the same requests. */
static const struct row rows[] = {
	{ "127.0.0.1:8443", "us-east-1", "AKIAENVELOPETEST",
	  "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", NULL,
	  "TrentService.CreateGrant", "{\"KeyId\":\"a\"}",
	  "e607799ae6a32466d985a29ea8a7db64846598bd296b508ace8f3fa0423e5b24" },
	{ "kms.eu-west-1.amazonaws.com", "eu-west-1", "ASIATEMPORARY",
	  "secret/with+signs=", "FwoGZXIvYXdzEXAMPLE+token/with=signs",
	  "TrentService.CreateGrant", "{\"KeyId\":\"a\"}",
	  "303507fb6e2cdebba0b5ed37b0eaf2e2f81065868e7991a7c6f4ac9f112fa4e4" },
	{ "kms.example.com", "us-east-1", "AKID", "s", NULL,
	  "TrentService.ListKeys", "",
	  "460e97354076086b3e58e361e5c8296e44688d263a831307f1598360f3f36ce7" },
	{ "[::1]:8443", "cn-north-1", "AKID",
	  "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
	  "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
	  "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
	  "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
	  NULL, "TrentService.Decrypt",
	  "{\"EncryptionContext\":{\"ключ\":\"🔑\"}}",
	  "7d034807d4378922bdbdc421725d50bd3afddcbfe820a01e0430f43a7a7edb78" },
};

static struct secret *text_secret(const char *text)
{
	struct secret *s = secret_new(strlen(text) + 1);

	assert_non_null(s);
	memcpy(secret_bytes(s), text, strlen(text));
	return s;
}

static struct credentials make_credentials(const struct row *row)
{
	struct credentials c = {
		.access_key_id = (char *)row->access_key_id,
		.secret_key = text_secret(row->secret),
		.session_token = row->token ? text_secret(row->token) : NULL,
	};

	return c;
}

static int sign(const struct row *row, time_t at, char *date,
		char *authorization)
{
	struct credentials c = make_credentials(row);
	struct sigv4_request q = {
		.host = row->host,
		.region = row->region,
		.service = "kms",
		.target = row->target,
		.content_type = "application/x-amz-json-1.1",
		.body = row->body,
		.body_bytes = strlen(row->body),
	};
	int r = sigv4_sign(&q, &c, at, date, authorization);

	secret_free(c.secret_key);
	secret_free(c.session_token);
	return r;
}

static void vectors(void **state)
{
	char date[SIGV4_DATE_BYTES], authorization[SIGV4_AUTHORIZATION_BYTES];
	char expected[SIGV4_AUTHORIZATION_BYTES];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];

		assert_int_equal(sign(row, AT, date, authorization), 0);
		assert_string_equal(date, "20260102T030405Z");
		snprintf(expected, sizeof(expected),
			 "AWS4-HMAC-SHA256 Credential=%s/20260102/%s/kms/aws4_request, SignedHeaders=content-type;host;x-amz-date;%sx-amz-target, Signature=%s",
			 row->access_key_id, row->region,
			 row->token ? "x-amz-security-token;" : "",
			 row->signature);
		assert_string_equal(authorization, expected);
	}
}

/* Each of them is under the signature: change one, and it is another. */
static void everything_counts(void **state)
{
	char first[SIGV4_AUTHORIZATION_BYTES], other[SIGV4_AUTHORIZATION_BYTES];
	char date[SIGV4_DATE_BYTES];
	const char **fields;
	struct row row;
	size_t i;

	(void)state;
	assert_int_equal(sign(&rows[1], AT, date, first), 0);
	for (i = 0; i < 7; i++) {
		row = rows[1];
		fields = (const char **)&row;
		fields[i] = "elsewhere";
		assert_int_equal(sign(&row, AT, date, other), 0);
		assert_string_not_equal(first, other);
	}
	assert_int_equal(sign(&rows[1], AT + 1, date, other), 0);
	assert_string_not_equal(first, other);
}

static void refused(void **state)
{
	char date[SIGV4_DATE_BYTES] = "untouched";
	char authorization[SIGV4_AUTHORIZATION_BYTES] = "untouched";
	char longest[SIGV4_AUTHORIZATION_BYTES];
	struct row row = rows[0];

	(void)state;
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	row.region = longest;
	assert_int_equal(sign(&row, AT, date, authorization), -EINVAL);
	row = rows[0];
	row.access_key_id = longest;
	assert_int_equal(sign(&row, AT, date, authorization), -EINVAL);
	/* Year 10000. */
	assert_int_equal(sign(&rows[0], 253402300800, date, authorization),
			 -EINVAL);
	assert_string_equal(date, "untouched");
	assert_string_equal(authorization, "untouched");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NAMED("sigv4: detached signatures are awscrt's", vectors),
		NAMED("sigv4: host, region, key, secret, token, target, body and time are signed",
		      everything_counts),
		NAMED("sigv4: what does not fit is refused, and nothing given",
		      refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
