// SPDX-License-Identifier: GPL-2.0-or-later
/* Key names and allow-keys patterns: agent/arn.c. */
#include "client_capture.h"

#include <errno.h>

#include "arn.h"

#define UUID "11111111-2222-3333-4444-555555555555"
#define MRK "mrk-0123456789abcdef0123456789abcdef"
#define IN(region, account, resource) \
	"arn:aws:kms:" region ":" account ":" resource
#define OWN(resource) IN("us-east-1", "111122223333", resource)

static void parses(void **state)
{
	struct arn arn;

	(void)state;
	assert_int_equal(arn_parse("arn:aws-cn:kms:cn-north-1:111122223333:key/"
				   MRK, &arn), 0);
	assert_string_equal(arn.partition, "aws-cn");
	assert_string_equal(arn.region, "cn-north-1");
	assert_string_equal(arn.account, "111122223333");
	assert_string_equal(arn.resource, "key/" MRK);
	assert_int_equal(arn_parse(OWN("alias/a/B_c-1"), &arn), 0);
	assert_string_equal(arn.resource, "alias/a/B_c-1");
}

static void refuses(void **state)
{
	static const char *const bad[] = {
		"", "arn", "arn:", "arn:aws:kms:us-east-1:111122223333",
		"arn:aws:kms:us-east-1:111122223333:",
		OWN("key/"), OWN("alias/"), OWN("key/a b"), OWN("key/a/b"),
		OWN("key/a:b"), OWN("key/*"), OWN("grant/x"), OWN("key/a\n"),
		IN("us-east-1", "11112222333", "key/a"),
		IN("us-east-1", "1111222233334", "key/a"),
		IN("us-east-1", "11112222333x", "key/a"),
		IN("us-east-1", "*", "key/a"), IN("us-east-1", "", "key/a"),
		IN("US-EAST-1", "111122223333", "key/a"),
		IN("", "111122223333", "key/a"),
		IN("us.east.1", "111122223333", "key/a"),
		IN("us-east-1/x", "111122223333", "key/a"),
		IN("us-east-1@evil", "111122223333", "key/a"),
		IN("a-region-name-longer-than-any-other-one", "111122223333",
		   "key/a"),
		"arn:AWS:kms:us-east-1:111122223333:key/a",
		"arn::kms:us-east-1:111122223333:key/a",
		"arn:aws:s3:us-east-1:111122223333:key/a",
		" " OWN("key/a"), OWN("key/a") " ",
	};
	struct arn arn = { .region = "untouched" };
	char longest[400];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (arn_parse(bad[i], &arn) != -EINVAL)
			fail_msg("taken: %s", bad[i]);
	strcpy(longest, OWN("key/"));
	memset(longest + strlen(longest), 'a', 129);
	longest[strlen(OWN("key/")) + 129] = '\0';
	assert_int_equal(arn_parse(longest, &arn), -EINVAL);
	longest[strlen(longest) - 1] = '\0';
	assert_string_equal(arn.region, "untouched");
	assert_int_equal(arn_parse(longest, &arn), 0);
}

static void forms(void **state)
{
	static const struct {
		const char *key;
		enum key_form form;
	} good[] = {
		{ UUID, KEY_FORM_ID }, { MRK, KEY_FORM_ID },
		{ OWN("key/" UUID), KEY_FORM_ARN },
		{ "alias/envelope", KEY_FORM_ALIAS },
		{ "alias/aws/ebs", KEY_FORM_ALIAS },
		{ OWN("alias/envelope"), KEY_FORM_ALIAS_ARN },
	};
	static const char *const bad[] = {
		"", "x", "alias/", "alias/a b", "alias/a\n", "mrk-",
		MRK "0", "11111111-2222-3333-4444-55555555555",
		UUID "5", "1111111122223333444455555555555555",
		"G1111111-2222-3333-4444-555555555555", "key/" UUID,
	};
	enum key_form form;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(arn_key_form(good[i].key, &form), 0);
		assert_int_equal(form, good[i].form);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (arn_key_form(bad[i], &form) != -EINVAL)
			fail_msg("taken: %s", bad[i]);
	assert_true(arn_is_key(OWN("key/" UUID)));
	assert_false(arn_is_key(OWN("alias/envelope")));
	assert_false(arn_is_key(UUID));
}

static void patterns(void **state)
{
	static const char *const good[] = {
		OWN("key/*"), OWN("key/" UUID), OWN("key/mrk-*"),
		IN("us-east-1", "*", "key/*"),
	};
	static const char *const bad[] = {
		"*", "", OWN("*"), OWN("key/"), OWN("key/*a"), OWN("key/**"),
		OWN("key/a*b"), OWN("alias/*"), OWN("alias/envelope"),
		IN("us-east-*", "111122223333", "key/*"),
		IN("*", "111122223333", "key/*"),
		IN("us-east-1", "1111*", "key/*"),
		IN("us-east-1", "**", "key/*"),
		"arn:*:kms:us-east-1:111122223333:key/*",
		"arn:aws:*:us-east-1:111122223333:key/*",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (!arn_pattern_valid(good[i]))
			fail_msg("refused: %s", good[i]);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (arn_pattern_valid(bad[i]))
			fail_msg("taken: %s", bad[i]);
	assert_true(arn_pattern_in_region(OWN("key/*"), "us-east-1"));
	assert_false(arn_pattern_in_region(OWN("key/*"), "us-east-2"));
}

static void covers(void **state)
{
	static const struct {
		const char *pattern, *key;
		bool yes;
	} cases[] = {
		{ OWN("key/*"), OWN("key/" UUID), true },
		{ OWN("key/" UUID), OWN("key/" UUID), true },
		{ OWN("key/" UUID), OWN("key/" MRK), false },
		{ OWN("key/mrk-*"), OWN("key/" MRK), true },
		{ OWN("key/mrk-*"), OWN("key/" UUID), false },
		{ OWN("key/*"), IN("us-east-1", "999988887777", "key/a"),
		  false },
		{ OWN("key/*"), IN("us-east-2", "111122223333", "key/a"),
		  false },
		{ OWN("key/*"), "arn:aws-cn:kms:us-east-1:111122223333:key/a",
		  false },
		{ IN("us-east-1", "*", "key/*"),
		  IN("us-east-1", "999988887777", "key/a"), true },
		{ OWN("key/*"), OWN("alias/x"), true },
		{ OWN("key/*"), IN("us-east-1", "999988887777", "alias/x"),
		  false },
		{ OWN("key/*"), "alias/x", true },
		{ OWN("key/*"), UUID, true },
		{ OWN("key/mrk-*"), UUID, false },
		{ OWN("key/mrk-*"), MRK, true },
		{ OWN("key/*"), "nonsense", false },
		{ "nonsense", UUID, false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (arn_pattern_covers(cases[i].pattern, cases[i].key) !=
		    cases[i].yes)
			fail_msg("%s on %s", cases[i].pattern, cases[i].key);
}

static void principals(void **state)
{
	static const char *const valid[] = {
		"arn:aws:iam::111122223333:role/envelope-hosts", "arn:aws:iam::111122223333:user/path/host",
		"arn:aws-cn:sts::111122223333:assumed-role/hosts/host-1",
	};
	static const char *const invalid[] = {
		"", "*", "arn:aws:iam::111122223333:root",
		"arn:aws:iam::*:role/hosts", "arn:aws:iam::1111:role/hosts",
		"arn:aws:iam::111122223333:role/",
		"arn:aws:iam::111122223333:role/hosts/",
		"arn:aws:iam::111122223333:role//",
		"arn:aws:iam::111122223333:group/hosts",
		"arn:aws:iam::111122223333:role/ho sts",
		"arn:aws:iam::111122223333:role/hosts\"",
		"arn:aws:sts::111122223333:assumed-role/hosts",
		"arn:aws:sts::111122223333:role/hosts",
		"arn::iam::111122223333:role/hosts",
		"arn:AWS:iam::111122223333:role/hosts",
	};
	char longest[ARN_PRINCIPAL_BYTES + 1];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(valid) / sizeof(valid[0]); i++)
		assert_true(arn_is_principal(valid[i]));
	for (i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++)
		assert_false(arn_is_principal(invalid[i]));
	memset(longest, 'x', sizeof(longest));
	memcpy(longest, valid[0], strlen(valid[0]));
	longest[ARN_PRINCIPAL_BYTES] = '\0';
	assert_false(arn_is_principal(longest));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NAMED("arn: a key ARN comes apart", parses),
		NAMED("security-05-arn: nothing else passes for an ARN",
		      refuses),
		NAMED("arn: the four forms of a key name", forms),
		NAMED("arn: * in a pattern only where it is documented",
		      patterns),
		NAMED("security-01-arn: a pattern covers its keys and no others",
		      covers),
		NAMED("arn: principals that can hold a grant", principals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
