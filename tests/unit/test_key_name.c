// SPDX-License-Identifier: GPL-2.0-or-later
/* Key ids of other providers than AWS KMS: agent/key_name.c. */
#include "client_capture.h"

#include <errno.h>

#include "key_name.h"

#define ARN "arn:aws:kms:us-east-1:111122223333:key/a"

static void parses_pkcs11(void **state)
{
	struct key_name name;

	(void)state;
	assert_int_equal(key_name_parse("pkcs11:token=My%20%3BHSM;object=a-b.c_d~e%2F1",
					&name), 0);
	assert_int_equal(name.kind, KEY_PKCS11);
	assert_string_equal(name.place, "My ;HSM");
	assert_string_equal(name.object, "a-b.c_d~e/1");
	assert_int_equal(name.id_bytes, 0);
	assert_int_equal(key_name_parse("pkcs11:token=%C3%A9;id=%00%61%FF",
					&name), 0);
	assert_string_equal(name.place, "\xc3\xa9");
	assert_string_equal(name.object, "");
	assert_int_equal(name.id_bytes, 3);
	assert_memory_equal(name.id, "\0a\xff", 3);
}

static void parses_program(void **state)
{
	struct key_name name;

	(void)state;
	assert_int_equal(key_name_parse("program:my_1.x-y/keys/a:b@c=d+e,f",
					&name), 0);
	assert_int_equal(name.kind, KEY_PROGRAM);
	assert_string_equal(name.place, "my_1.x-y");
	assert_string_equal(name.object, "keys/a:b@c=d+e,f");
	assert_true(key_pattern_valid("program:a/vol*", KEY_PROGRAM, "a"));
	assert_false(key_pattern_valid("program:a/*", KEY_PROGRAM, "b"));
	assert_false(key_pattern_valid("program:a*", KEY_PROGRAM, "a"));
}

static void parses_vault(void **state)
{
	struct key_name name;

	(void)state;
	assert_int_equal(key_name_parse("vault:my_1.x-y/vol-1.a_b", &name), 0);
	assert_int_equal(name.kind, KEY_VAULT);
	assert_string_equal(name.place, "my_1.x-y");
	assert_string_equal(name.object, "vol-1.a_b");
	assert_int_equal(key_name_parse("vault:a/b", &name), 0);
	assert_true(key_pattern_valid("vault:a/vol-*", KEY_VAULT, "a"));
	assert_true(key_pattern_valid("vault:a/*", KEY_VAULT, "a"));
	assert_false(key_pattern_valid("vault:a/*", KEY_VAULT, "b"));
	assert_false(key_pattern_valid("vault:a/../*", KEY_VAULT, "a"));
}

/* One key, one spelling; and nothing that acts. */
static void refuses(void **state)
{
	static const char *const bad[] = {
		"", ARN, "alias/a", "pkcs11", "pkcs11:", "pkcs11:token=",
		"pkcs11:token=;object=a", "pkcs11:token=a", "pkcs11:token=a;",
		"pkcs11:token=a;object=", "pkcs11:token=a;id=",
		"pkcs11:object=a;token=b", "pkcs11:object=a",
		"pkcs11:token=a;object=b;id=%01",
		"pkcs11:token=a;object=b;module-path=/x",
		"pkcs11:token=a;object=b?pin-value=1",
		"pkcs11:token=a;object=b?module-path=/x",
		"pkcs11:token=a b;object=c", "pkcs11:token=a;object=%61",
		"pkcs11:token=a;object=%2f", "pkcs11:token=a;object=%",
		"pkcs11:token=a;object=%2", "pkcs11:token=a;object=%G0",
		"pkcs11:token=a;object=%00", "pkcs11:token=a;object=%0A",
		"pkcs11:token=a;object=%7F", "pkcs11:token=a;object=*",
		"pkcs11:token=a;id=a", "pkcs11:token=a;id=%1",
		"pkcs11:token=a;id=%01*", "PKCS11:token=a;object=b",
		"program:", "program:a", "program:a/", "program:/a",
		"program:a b/c", "program:../a/b c", "program:a%20/b",
		"program:a/b?c", "program:a/b c", "program:a/b*",
		"vault:", "vault:a", "vault:a/", "vault:/a", "vault:a/b/c",
		"vault:a/..", "vault:a/.", "vault:a/.b", "vault:a/b.",
		"vault:a/-b", "vault:a/b-", "vault:a/b%2f", "vault:a/b?c",
		"vault:a/b*", "vault:a/b ",
		" pkcs11:token=a;object=b", "pkcs11:token=a;object=b ",
	};
	struct key_name name = { .place = "untouched" };
	char longest[400];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (key_name_parse(bad[i], &name) != -EINVAL)
			fail_msg("taken: %s", bad[i]);
	memset(longest, 'x', sizeof(longest));
	memcpy(longest, "pkcs11:token=", 13);
	strcpy(longest + 13 + 65, ";object=a");
	assert_int_equal(key_name_parse(longest, &name), -EINVAL);
	memset(longest, 'x', sizeof(longest));
	memcpy(longest, "pkcs11:token=a;object=", 22);
	longest[22 + 129] = '\0';
	assert_int_equal(key_name_parse(longest, &name), -EINVAL);
	longest[22 + 128] = '\0';
	assert_string_equal(name.place, "untouched");
	assert_int_equal(key_name_parse(longest, &name), 0);
	strcpy(longest, "pkcs11:token=a;id=");
	for (i = 0; i < 65; i++)
		strcat(longest, "%01");
	assert_int_equal(key_name_parse(longest, &name), -EINVAL);
}

static void provider_by_key(void **state)
{
	enum key_kind kind;

	(void)state;
	assert_int_equal(key_kind(ARN), KEY_AWS);
	assert_int_equal(key_kind("alias/x"), KEY_AWS);
	assert_int_equal(key_kind("pkcs11:whatever"), KEY_PKCS11);
	assert_string_equal(key_provider(KEY_AWS), "aws-kms");
	assert_string_equal(key_provider(KEY_PKCS11), "pkcs11");
	assert_int_equal(key_provider_find("pkcs11", &kind), 0);
	assert_int_equal(kind, KEY_PKCS11);
	assert_int_equal(key_provider_find("acme", &kind), -ENOENT);
}

static void fits(void **state)
{
	static const struct {
		const char *provider, *key;
		bool fits;
	} rows[] = {
		{ "aws-kms", ARN, true },
		{ "aws-kms", "alias/a", false },
		{ "aws-kms", "pkcs11:token=a;object=b", false },
		{ "pkcs11", "pkcs11:token=a;object=b", true },
		{ "pkcs11", "pkcs11:token=a", false },
		{ "pkcs11", ARN, false },
		{ "vault-transit", "vault:a/b", true },
		{ "vault-transit", "program:a/b", false },
		{ "acme", "anything", true },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (key_fits_provider(rows[i].provider, rows[i].key) !=
		    rows[i].fits)
			fail_msg("%s %s", rows[i].provider, rows[i].key);
}

static void patterns(void **state)
{
	static const char *const bad[] = {
		"", "*", "pkcs11:*", "pkcs11:token=a;*", "pkcs11:token=*;object=a",
		"pkcs11:token=a;object=*b", "pkcs11:token=a;object=b**",
		"pkcs11:token=a;id=%01*", "pkcs11:token=b;object=a",
		"pkcs11:token=a;object=%2*", ARN,
	};
	const char *pattern = "pkcs11:token=a;object=vol*";
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (key_pattern_valid(bad[i], KEY_PKCS11, "a"))
			fail_msg("taken: %s", bad[i]);
	assert_true(key_pattern_valid(pattern, KEY_PKCS11, "a"));
	assert_true(key_pattern_valid("pkcs11:token=a;object=*", KEY_PKCS11,
				      "a"));
	assert_true(key_pattern_valid("pkcs11:token=a;id=%01", KEY_PKCS11,
				      "a"));
	assert_true(key_pattern_covers(pattern, "pkcs11:token=a;object=vol"));
	assert_true(key_pattern_covers(pattern, "pkcs11:token=a;object=vol-1"));
	assert_false(key_pattern_covers(pattern, "pkcs11:token=a;object=vo"));
	assert_false(key_pattern_covers(pattern, "pkcs11:token=b;object=vol"));
	assert_false(key_pattern_covers("pkcs11:token=a;id=%01",
					"pkcs11:token=a;id=%01%02"));
	assert_true(key_pattern_covers("pkcs11:token=a;id=%01",
				       "pkcs11:token=a;id=%01"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NAMED("key name: PKCS#11 URIs of two forms", parses_pkcs11),
		NAMED("key name: a program's keys", parses_program),
		NAMED("key name: a vault's keys", parses_vault),
		NAMED("security-05-key-name: one spelling, and nothing that acts",
		      refuses),
		NAMED("key name: the key says which provider", provider_by_key),
		NAMED("key name: what key a slot of a provider may have", fits),
		NAMED("security-01-key-name: patterns of allow-keys", patterns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
