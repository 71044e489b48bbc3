// SPDX-License-Identifier: GPL-2.0-or-later
/* Signature Version 4 against the vectors of AWS's own test suite. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sigv4.h"

/* The suite's credentials, scope and time: 20150830T123600Z. */
#define SECRET_KEY "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define CREDENTIAL "AKIDEXAMPLE/20150830/us-east-1/service/aws4_request"
#define NOW 1440938160
#define DATE { "X-Amz-Date", "20150830T123600Z" }
#define HOST { "Host", "example.amazonaws.com" }

struct vector {
	const char *name, *method, *body;
	struct sigv4_header headers[6];
	const char *list, *signature;
};

/* Those of aws-sig-v4-test-suite that use path "/" and no query. */
static const struct vector vectors[] = {
	{ "get-vanilla", "GET", "", { HOST, DATE }, "host;x-amz-date",
	  "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
	{ "post-vanilla", "POST", "", { HOST, DATE }, "host;x-amz-date",
	  "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b" },
	{ "get-header-value-trim", "GET", "",
	  { HOST, { "My-Header1", " value1" },
	    { "My-Header2", " \"a   b   c\"" }, DATE },
	  "host;my-header1;my-header2;x-amz-date",
	  "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736" },
	{ "post-header-key-case", "POST", "",
	  { { "host", "example.amazonaws.com" },
	    { "x-aMz-dAte", "20150830T123600Z" } }, "host;x-amz-date",
	  "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b" },
	{ "post-header-key-sort", "POST", "",
	  { HOST, { "My-Header1", "value1" }, DATE },
	  "host;my-header1;x-amz-date",
	  "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c" },
	{ "post-header-value-case", "POST", "",
	  { HOST, { "My-Header1", "VALUE1" }, DATE },
	  "host;my-header1;x-amz-date",
	  "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d" },
	{ "post-x-www-form-urlencoded", "POST", "Param1=value1",
	  { { "Content-Type", "application/x-www-form-urlencoded" }, HOST,
	    DATE }, "content-type;host;x-amz-date",
	  "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a" },
};

static char authorization[4096];

static void build(const struct vector *v, const char *signature,
		  struct sigv4_request *r)
{
	size_t i;

	memset(r, 0, sizeof(*r));
	r->method = v->method;
	for (i = 0; i < 6 && v->headers[i].name; i++)
		r->headers[r->header_count++] = v->headers[i];
	snprintf(authorization, sizeof(authorization),
		 "AWS4-HMAC-SHA256 Credential=" CREDENTIAL
		 ", SignedHeaders=%s, Signature=%s", v->list, signature);
	r->headers[r->header_count].name = "Authorization";
	r->headers[r->header_count++].value = authorization;
	assert_int_equal(crypto_sha256(v->body, strlen(v->body),
				       r->body_sha256), 0);
}

static enum error verify(const struct sigv4_request *r, int64_t now,
			 char why[static SIGV4_WHY_BYTES])
{
	struct sigv4_rules rules = { "us-east-1", "service", now };
	struct secret *secret_key = secret_new(strlen(SECRET_KEY));
	struct secret *key = secret_new(CRYPTO_SHA256_BYTES);
	struct sigv4_claim claim;
	enum error e;

	assert_non_null(secret_key);
	assert_non_null(key);
	memcpy(secret_bytes(secret_key), SECRET_KEY, strlen(SECRET_KEY));
	why[0] = '\0';
	e = sigv4_read(r, &rules, &claim, why);
	if (e == ERR_NONE)
		assert_int_equal(sigv4_signing_key(&claim, secret_key, key),
				 0);
	if (e == ERR_NONE)
		e = sigv4_verify(r, &claim, key, why);
	secret_free(secret_key);
	secret_free(key);
	return e;
}

static void kms_sigv4_test_suite(void **state)
{
	char why[SIGV4_WHY_BYTES];
	struct sigv4_request r;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		build(&vectors[i], vectors[i].signature, &r);
		if (verify(&r, NOW, why) != ERR_NONE)
			fail_msg("%s: %s", vectors[i].name, why);
	}
}

static void kms_sigv4_canonical_request(void **state)
{
	struct sigv4_rules rules = { "us-east-1", "service", NOW };
	char why[SIGV4_WHY_BYTES];
	struct sigv4_claim claim;
	struct sigv4_request r;
	char *text;

	(void)state;
	build(&vectors[2], vectors[2].signature, &r);
	assert_int_equal(sigv4_read(&r, &rules, &claim, why), ERR_NONE);
	text = sigv4_canonical(&r, &claim);
	assert_string_equal(text,
		"GET\n/\n\nhost:example.amazonaws.com\nmy-header1:value1\n"
		"my-header2:\"a b c\"\nx-amz-date:20150830T123600Z\n\n"
		"host;my-header1;my-header2;x-amz-date\n"
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	free(text);
}

static void kms_sigv4_wrong_signature(void **state)
{
	char why[SIGV4_WHY_BYTES], signature[65];
	struct sigv4_request r;
	int i;

	(void)state;
	for (i = 0; i < 64; i++) {
		strcpy(signature, vectors[1].signature);
		signature[i] = signature[i] == '0' ? '1' : '0';
		build(&vectors[1], signature, &r);
		assert_int_equal(verify(&r, NOW, why), ERR_INVALID_SIGNATURE);
	}
	build(&vectors[1], "", &r);
	assert_int_equal(verify(&r, NOW, why), ERR_INVALID_SIGNATURE);
	assert_true(strncmp(why, "The request signature we calculated", 35) ==
		    0);
}

static void kms_sigv4_clock_skew_both_ways(void **state)
{
	char why[SIGV4_WHY_BYTES];
	struct sigv4_request r;

	(void)state;
	build(&vectors[1], vectors[1].signature, &r);
	assert_int_equal(verify(&r, NOW + 300, why), ERR_NONE);
	assert_int_equal(verify(&r, NOW - 300, why), ERR_NONE);
	assert_int_equal(verify(&r, NOW + 301, why), ERR_INVALID_SIGNATURE);
	assert_string_equal(why, "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T124101Z - 5 min.)");
	assert_int_equal(verify(&r, NOW - 301, why), ERR_INVALID_SIGNATURE);
	assert_string_equal(why, "Signature not yet current: 20150830T123600Z is still later than 20150830T123559Z (20150830T123059Z + 5 min.)");
}

/* The suite's get-header-key-duplicate: valid there, refused here. */
static void kms_sigv4_duplicate_signed_header(void **state)
{
	static const struct vector v = {
		"get-header-key-duplicate", "GET", "",
		{ HOST, { "My-Header1", "value2" },
		  { "My-Header1", "value2" }, { "My-Header1", "value1" },
		  DATE }, "host;my-header1;x-amz-date",
		"c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"
	};
	char why[SIGV4_WHY_BYTES];
	struct sigv4_request r;

	(void)state;
	build(&v, v.signature, &r);
	assert_int_equal(verify(&r, NOW, why), ERR_INVALID_SIGNATURE);
	assert_string_equal(why, "The signed header 'My-Header1' occurs more than once.");
}

static void kms_sigv4_header_lists(void **state)
{
	static const char *const lists[] = {
		"", ";", "host;", ";host", "x-amz-date;host", "host;host",
		"Host;x-amz-date", "host; x-amz-date", "host;;x-amz-date",
	};
	struct vector v = vectors[1];
	char why[SIGV4_WHY_BYTES];
	struct sigv4_request r;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		v.list = lists[i];
		build(&v, v.signature, &r);
		assert_int_not_equal(verify(&r, NOW, why), ERR_NONE);
	}
	v.list = "x-amz-date";
	build(&v, v.signature, &r);
	assert_int_equal(verify(&r, NOW, why), ERR_INVALID_SIGNATURE);
	v.list = "host";
	build(&v, v.signature, &r);
	assert_int_equal(verify(&r, NOW, why), ERR_INVALID_SIGNATURE);
	assert_string_equal(why, "There were headers present in the request which were not signed: X-Amz-Date");
}

static void kms_sigv4_hostile_headers(void **state)
{
	static const char *const values[] = {
		"", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 ", "Basic dTpw",
		"AWS4-HMAC-SHA256 Credential=a",
		"AWS4-HMAC-SHA256 Credential=a/b/c/d, SignedHeaders=host, Signature=0",
		"AWS4-HMAC-SHA256 Credential=a/20150830/us-east-1/service/aws4_request/x, SignedHeaders=host, Signature=0",
		"AWS4-HMAC-SHA256 Credential=/20150830/us-east-1/service/aws4_request, SignedHeaders=host, Signature=0",
		"AWS4-HMAC-SHA256 Credential=a/201508301/us-east-1/service/aws4_request, SignedHeaders=host, Signature=0",
		"AWS4-HMAC-SHA256 ,,,===, Credential",
	};
	char why[SIGV4_WHY_BYTES], huge[8192];
	struct sigv4_request r;
	size_t i;

	(void)state;
	build(&vectors[1], vectors[1].signature, &r);
	for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		r.headers[2].value = values[i];
		assert_int_equal(verify(&r, NOW, why),
				 ERR_INCOMPLETE_SIGNATURE);
	}
	memset(huge, 'a', sizeof(huge) - 1);
	huge[sizeof(huge) - 1] = '\0';
	memcpy(huge, "AWS4-HMAC-SHA256 Credential=", 28);
	r.headers[2].value = huge;
	assert_int_equal(verify(&r, NOW, why), ERR_INCOMPLETE_SIGNATURE);
	r.headers[2].name = "X";
	assert_int_equal(verify(&r, NOW, why), ERR_MISSING_AUTHENTICATION);
}

static void kms_sigv4_dates(void **state)
{
	static const char *const dates[] = {
		"", "20150830T123600", "2015-08-30T12:36:00Z",
		"20150830T123600Zx", "20151330T123600Z", "20150830T993600Z",
	};
	char why[SIGV4_WHY_BYTES];
	struct sigv4_request r;
	size_t i;

	(void)state;
	build(&vectors[1], vectors[1].signature, &r);
	for (i = 0; i < sizeof(dates) / sizeof(dates[0]); i++) {
		r.headers[1].value = dates[i];
		assert_int_equal(verify(&r, NOW, why),
				 ERR_INCOMPLETE_SIGNATURE);
	}
	r.headers[1].value = "20150831T000000Z";
	assert_int_equal(verify(&r, NOW, why), ERR_INVALID_SIGNATURE);
	assert_string_equal(why, "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20150830' != '20150831', from '20150831T000000Z'.");
}

#define named(name, f) { name, f, NULL, NULL, NULL }

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kms_sigv4_test_suite),
		cmocka_unit_test(kms_sigv4_canonical_request),
		cmocka_unit_test(kms_sigv4_wrong_signature),
		cmocka_unit_test(kms_sigv4_clock_skew_both_ways),
		named("security-28-duplicate-signed-header-refused", kms_sigv4_duplicate_signed_header),
		cmocka_unit_test(kms_sigv4_header_lists),
		cmocka_unit_test(kms_sigv4_hostile_headers),
		cmocka_unit_test(kms_sigv4_dates),
	};

	return cmocka_run_group_tests_name("kms_sigv4", tests, NULL, NULL);
}
