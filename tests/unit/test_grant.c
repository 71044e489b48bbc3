// SPDX-License-Identifier: GPL-2.0-or-later
/* The grant that a user signs: agent/grant.c. */
#include "header_fixture.h"
#include "client_capture.h"

#include "grant.h"
#include "log.h"

#define HOST_ARN "arn:aws:iam::111122223333:role/envelope-hosts"
#define NAME "envelope-0123abc-00112233445566778899aabbccddeeff"
#define CONSTRAINT "\"Constraints\":{\"EncryptionContextSubset\":{\"envelope:generation\":\"1\",\"envelope:volume-id\":\"" VOLUME_ID "\"}}"
#define GRANTEE "\"GranteePrincipal\":\"" HOST_ARN "\""
#define KEY "\"KeyId\":\"" ARN_1 "\""
#define NAMED_SO "\"Name\":\"" NAME "\""
#define OPERATIONS "\"Operations\":[\"Decrypt\"]"
#define RETIRING "\"RetiringPrincipal\":\"" HOST_ARN "\""
#define GOOD "{" CONSTRAINT "," GRANTEE "," KEY "," NAMED_SO "," OPERATIONS "," RETIRING "}"

static struct grant good(void)
{
	struct grant g = { ARN_1, VOLUME_ID, 1, HOST_ARN, NAME };

	return g;
}

static void composed(void **state)
{
	struct grant g = good();
	char *body = NULL;

	(void)state;
	assert_int_equal(grant_compose(&g, false, &body), 0);
	assert_string_equal(body, GOOD);
	free(body);
	assert_int_equal(grant_compose(&g, true, &body), 0);
	assert_string_equal(body, "{" CONSTRAINT ",\"DryRun\":true," GRANTEE
			    "," KEY "," NAMED_SO "," OPERATIONS "," RETIRING
			    "}");
	free(body);
}

static void expect_not_composed(struct grant g)
{
	char *body = NULL;

	assert_int_equal(grant_compose(&g, false, &body), -EINVAL);
	assert_null(body);
}

static void not_composed(void **state)
{
	struct grant g = good();

	(void)state;
	g.key_arn = "arn:aws:kms:us-east-1:111122223333:alias/a";
	expect_not_composed(g);
	g = good();
	g.volume_id = "vol-1";
	expect_not_composed(g);
	g = good();
	g.generation = 0;
	expect_not_composed(g);
	g = good();
	g.principal = "*";
	expect_not_composed(g);
	g = good();
	g.name = "envelope-0123abc-0011";
	expect_not_composed(g);
	g.name = "envelope--00112233445566778899aabbccddeeff";
	expect_not_composed(g);
	g.name = "other-0123abc-00112233445566778899aabbccddeeff";
	expect_not_composed(g);
}

static void names(void **state)
{
	char name[GRANT_NAME_BYTES], other[GRANT_NAME_BYTES];
	char prefix[GRANT_NAME_BYTES];
	struct grant g = good();
	char *body;

	(void)state;
	assert_int_equal(grant_new_name("0123abc", name), 0);
	assert_int_equal(grant_new_name("0123abc", other), 0);
	assert_int_equal(grant_prefix("0123abc", prefix), 0);
	assert_string_equal(prefix, "envelope-0123abc-");
	assert_memory_equal(name, prefix, strlen(prefix));
	assert_string_not_equal(name, other);
	g.name = name;
	assert_int_equal(grant_compose(&g, false, &body), 0);
	free(body);
	assert_int_equal(grant_new_name("", name), -EINVAL);
	assert_int_equal(grant_new_name("a-b", name), -EINVAL);
	assert_int_equal(grant_prefix("0123456789012345678901234567890123",
				      prefix), -EINVAL);
}

static int check(const char *body)
{
	struct secret *dek = fixture_dek(1);
	struct header *h = fixture_header(dek);
	int r;

	capture_start();
	r = grant_check(body, "/dev/sdb", h, 0, HOST_ARN);
	capture_end();
	header_free(h);
	secret_free(dek);
	return r;
}

static void expect_refused(const char *body, const char *why)
{
	char expected[512];

	assert_int_equal(check(body), -EBADMSG);
	snprintf(expected, sizeof(expected),
		 "unit: '/dev/sdb': the grant that the agent wants signed %s, so it is not signed; check host-principal and that the agent can be trusted\n",
		 why);
	assert_string_equal(capture_text, expected);
}

static int check_unread(const char *body, const char *volume_id)
{
	int r;

	capture_start();
	r = grant_check_unread(body, "/dev/sdb", volume_id, ARN_1, HOST_ARN);
	capture_end();
	return r;
}

/* By who knows the volume's id, but neither its key nor its generation. */
static void checked_unread(void **state)
{
	static const char *const wrong[] = {
		"", "{}", "[]", "{" CONSTRAINT "}",
		/* another key, another principal, one operation more */
		"{" CONSTRAINT "," GRANTEE ",\"KeyId\":\"" ARN_2 "\","
			NAMED_SO "," OPERATIONS "," RETIRING "}",
		"{" CONSTRAINT ",\"GranteePrincipal\":\"" HOST_ARN "2\"," KEY
			"," NAMED_SO "," OPERATIONS "," RETIRING "}",
		"{" CONSTRAINT "," GRANTEE "," KEY "," NAMED_SO
			",\"Operations\":[\"Decrypt\",\"Encrypt\"]," RETIRING
			"}",
		"{\"Constraints\":{\"EncryptionContextSubset\":{\"envelope:generation\":\"0\",\"envelope:volume-id\":\"" VOLUME_ID "\"}},"
			GRANTEE "," KEY "," NAMED_SO "," OPERATIONS ","
			RETIRING "}",
		"{\"Constraints\":{\"EncryptionContextSubset\":{\"envelope:generation\":\"4294967297\",\"envelope:volume-id\":\"" VOLUME_ID "\"}},"
			GRANTEE "," KEY "," NAMED_SO "," OPERATIONS ","
			RETIRING "}",
	};
	char arn[ARN_TEXT_BYTES] = "";
	size_t i;

	(void)state;
	assert_int_equal(check_unread(GOOD, VOLUME_ID), 0);
	assert_string_equal(capture_text, "");
	assert_int_equal(check_unread(
		"{\"Constraints\":{\"EncryptionContextSubset\":{\"envelope:generation\":\"7\",\"envelope:volume-id\":\"" VOLUME_ID "\"}},"
		GRANTEE "," KEY "," NAMED_SO "," OPERATIONS "," RETIRING "}",
		VOLUME_ID), 0);
	assert_int_equal(check_unread(GOOD, "vol-00000000000000000"), -EBADMSG);
	assert_non_null(strstr(capture_text, "wants signed is not bound to this volume"));
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(check_unread(wrong[i], VOLUME_ID), -EBADMSG);
	assert_int_equal(grant_read_key(GOOD, "/dev/sdb", arn), 0);
	assert_string_equal(arn, ARN_1);
	capture_start();
	assert_int_equal(grant_read_key("{\"KeyId\":\"alias/a\"}", "/dev/sdb",
					arn), -EBADMSG);
	capture_end();
	assert_non_null(strstr(capture_text, "is no JSON of a grant"));
}

static void checked(void **state)
{
	(void)state;
	assert_int_equal(check(GOOD), 0);
	assert_string_equal(capture_text, "");
}

#define BODY(constraint, grantee, key, name, operations, retiring) \
	"{" constraint "," grantee "," key "," name "," operations "," retiring "}"

static void other_volume(void **state)
{
	static const char *const constraints[] = {
		"\"Constraints\":{}",
		"\"Constraints\":{\"EncryptionContextSubset\":{}}",
		"\"Constraints\":{\"EncryptionContextSubset\":{\"envelope:volume-id\":\"" VOLUME_ID "\"}}",
		"\"Constraints\":{\"EncryptionContextSubset\":{\"envelope:generation\":\"1\"}}",
		"\"Constraints\":{\"EncryptionContextSubset\":{\"envelope:generation\":\"2\",\"envelope:volume-id\":\"" VOLUME_ID "\"}}",
		"\"Constraints\":{\"EncryptionContextSubset\":{\"envelope:generation\":\"1\",\"envelope:volume-id\":\"vol-0123456789abcdef1\"}}",
		"\"Constraints\":{\"EncryptionContextEquals\":{\"envelope:generation\":\"1\",\"envelope:volume-id\":\"" VOLUME_ID "\"}}",
		"\"Constraints\":null",
		"\"Constraints\":\"" VOLUME_ID "\"",
	};
	char body[2048];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(constraints) / sizeof(constraints[0]); i++) {
		snprintf(body, sizeof(body), "{%s,%s}", constraints[i],
			 GRANTEE "," KEY "," NAMED_SO "," OPERATIONS ","
			 RETIRING);
		expect_refused(body, "is not bound to this volume and its generation");
	}
	expect_refused("{" GRANTEE "," KEY "," NAMED_SO "," OPERATIONS ","
		       RETIRING "}",
		       "is not bound to this volume and its generation");
}

static void other_key(void **state)
{
	const char *why = "is not for the volume's KMS key";

	(void)state;
	expect_refused(BODY(CONSTRAINT, GRANTEE, "\"KeyId\":\"" ARN_2 "\"",
			    NAMED_SO, OPERATIONS, RETIRING), why);
	expect_refused(BODY(CONSTRAINT, GRANTEE, "\"KeyId\":1", NAMED_SO,
			    OPERATIONS, RETIRING), why);
}

static void other_principal(void **state)
{
	const char *grantee = "goes to another principal than this host's";
	const char *retiring =
		"can be retired by another principal than this host's";

	(void)state;
	expect_refused(BODY(CONSTRAINT,
			    "\"GranteePrincipal\":\"" HOST_ARN "2\"", KEY,
			    NAMED_SO, OPERATIONS, RETIRING), grantee);
	expect_refused(BODY(CONSTRAINT, "\"GranteePrincipal\":[]", KEY,
			    NAMED_SO, OPERATIONS, RETIRING), grantee);
	expect_refused(BODY(CONSTRAINT, GRANTEE, KEY, NAMED_SO, OPERATIONS,
			    "\"RetiringPrincipal\":\"" HOST_ARN "2\""),
		       retiring);
	expect_refused("{" CONSTRAINT "," GRANTEE "," KEY "," NAMED_SO ","
		       OPERATIONS "}", retiring);
}

static void more_than_asked(void **state)
{
	static const char *const tails[] = {
		"\"Operations\":[\"Decrypt\",\"CreateGrant\"]," RETIRING,
		"\"Operations\":[\"Encrypt\"]," RETIRING,
		"\"Operations\":[]," RETIRING,
		"\"Operations\":\"Decrypt\"," RETIRING,
		OPERATIONS "," RETIRING ",\"GranteeServicePrincipal\":\"ec2.amazonaws.com\"",
		OPERATIONS "," RETIRING ",\"GrantTokens\":[\"x\"]",
		OPERATIONS "," RETIRING ",\"DryRun\":true",
		OPERATIONS ", " RETIRING,
	};
	const char *why = "asks for more than to decrypt this volume's key";
	char body[2048];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
		snprintf(body, sizeof(body), "{%s,%s}", CONSTRAINT "," GRANTEE
			 "," KEY "," NAMED_SO, tails[i]);
		expect_refused(body, why);
	}
	/* A name that the host could not find again. */
	expect_refused(BODY(CONSTRAINT, GRANTEE, KEY, "\"Name\":\"mine\"",
			    OPERATIONS, RETIRING), why);
}

static void no_grant(void **state)
{
	const char *why = "is no JSON of a grant";
	char *longest = malloc(GRANT_BODY_MAX_BYTES + 2);

	(void)state;
	expect_refused("", why);
	expect_refused("[]", why);
	expect_refused("{" CONSTRAINT, why);
	expect_refused("{" KEY "," KEY "}", why);
	expect_refused("{\"Name\":1}", why);
	memset(longest, ' ', GRANT_BODY_MAX_BYTES + 1);
	memcpy(longest, GOOD, strlen(GOOD));
	longest[GRANT_BODY_MAX_BYTES + 1] = '\0';
	expect_refused(longest, why);
	free(longest);
}

static void signed_twice(void **state)
{
	struct credentials c = {
		.access_key_id = (char *)"AKID",
		.secret_key = fixture_dek(1),
	};
	struct grant_signature s = { .date = "" };

	(void)state;
	/* Some text: the fixture's bytes end before a NUL. */
	memset(secret_bytes(c.secret_key), 'x', HEADER_DEK_BYTES - 1);
	secret_bytes(c.secret_key)[HEADER_DEK_BYTES - 1] = '\0';
	assert_int_equal(grant_sign(GOOD, "h", "us-east-1", &c, &s), 0);
	assert_int_equal(strlen(s.date), SIGV4_DATE_BYTES - 1);
	assert_string_not_equal(s.authorization, s.dry_run_authorization);
	assert_int_equal(grant_sign("[]", "h", "us-east-1", &c, &s), -EBADMSG);
	assert_int_equal(grant_sign("", "h", "us-east-1", &c, &s), -EBADMSG);
	secret_free(c.secret_key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NAMED("grant: the composed body, byte by byte", composed),
		NAMED("grant: fields that no grant has are not composed",
		      not_composed),
		NAMED("grant: names of one host share a prefix", names),
		NAMED("security-12: a grant for the header's volume passes the check",
		      checked),
		NAMED("security-12: who cannot read the header signs for the volume that he names",
		      checked_unread),
		NAMED("security-12: a grant that is not bound to the volume is not signed",
		      other_volume),
		NAMED("security-12: a grant on another key is not signed",
		      other_key),
		NAMED("security-12: a grant to another principal is not signed",
		      other_principal),
		NAMED("security-12: a grant of more than Decrypt is not signed",
		      more_than_asked),
		NAMED("security-12: what is no grant is not signed", no_grant),
		NAMED("grant: both bodies are signed", signed_twice),
	};

	log_init("unit");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
