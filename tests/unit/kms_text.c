// SPDX-License-Identifier: GPL-2.0-or-later
/* Base64, UTF-8 repair and the allowance for unauthenticated failures. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base64.h"
#include "throttle.h"
#include "utf8.h"

static void kms_base64_rfc4648(void **state)
{
	static const char *const pairs[][2] = {
		{ "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" },
		{ "foo", "Zm9v" }, { "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" },
		{ "\xff\xfe\xfd\xfb\xf0", "//79+/A=" },
	};
	uint8_t raw[16];
	char text[32];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		size_t n = strlen(pairs[i][0]);

		base64_encode((const uint8_t *)pairs[i][0], n, text);
		assert_string_equal(text, pairs[i][1]);
		assert_int_equal(base64_decode(text, strlen(text), raw), n);
		assert_memory_equal(raw, pairs[i][0], n);
	}
}

static void kms_base64_all_bytes(void **state)
{
	uint8_t in[256], out[258];
	char text[BASE64_TEXT_BYTES(256) + 1];
	int i;

	(void)state;
	for (i = 0; i < 256; i++)
		in[i] = (uint8_t)i;
	base64_encode(in, 256, text);
	assert_int_equal(base64_decode(text, strlen(text), out), 256);
	assert_memory_equal(in, out, 256);
}

/* Each length, and each byte in each place of each group. */
static void kms_base64_every_place(void **state)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"abcdefghijklmnopqrstuvwxyz0123456789+/";
	char text[BASE64_TEXT_BYTES(24) + 1], copy[sizeof(text)];
	uint8_t in[24], out[24];
	size_t bytes, at;
	int c;

	(void)state;
	for (bytes = 0; bytes < sizeof(in); bytes++)
		in[bytes] = (uint8_t)(37 * bytes + 11);
	for (bytes = 0; bytes <= sizeof(in); bytes++) {
		memset(text, 'x', sizeof(text));
		base64_encode(in, bytes, text);
		assert_int_equal(strlen(text), BASE64_TEXT_BYTES(bytes));
		assert_int_equal(base64_decode(text, strlen(text), out), bytes);
		assert_memory_equal(in, out, bytes);
	}
	for (at = 0; at < 32; at++) {
		for (c = 1; c < 256; c++) {
			memcpy(copy, text, sizeof(text));
			copy[at] = (char)c;
			assert_int_equal(base64_decode(copy, 32, out),
					 strchr(digits, c) ? 24 : -EINVAL);
		}
	}
}

static void kms_base64_refuses(void **state)
{
	static const char *const bad[] = {
		"A", "AA", "AAA", "A===", "=AAA", "AA=A", "AAAA=", "AB==",
		"AAB=", "A A=", "AA\n=", "AA-_", "====", "AA==AAAA",
	};
	uint8_t raw[16];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(base64_decode(bad[i], strlen(bad[i]), raw),
				 -EINVAL);
}

static void kms_utf8_mends(void **state)
{
	static const char *const pairs[][2] = {
		{ "plain", "plain" }, { "\xc3\xa9", "\xc3\xa9" },
		{ "a\xc3", "a?" }, { "\xe2\x82", "??" }, { "\xc0\x80", "??" },
		{ "\xed\xa0\x80", "???" }, { "\xf4\x90\x80\x80", "????" },
		{ "\xff" "a\x80", "?a?" },
	};
	char text[16];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		strcpy(text, pairs[i][0]);
		utf8_mend(text);
		assert_string_equal(text, pairs[i][1]);
	}
}

static void kms_throttle_burst_then_rate(void **state)
{
	struct throttle *t = throttle_new(0);
	int i, allowed = 0;

	(void)state;
	assert_non_null(t);
	for (i = 0; i < 10 * THROTTLE_BURST; i++)
		allowed += throttle_failure(t, "192.0.2.1", 1000);
	assert_int_equal(allowed, THROTTLE_BURST);
	/* Somebody else's allowance is his own. */
	assert_true(throttle_failure(t, "192.0.2.2", 1000));
	for (i = 0, allowed = 0; i < 100; i++)
		allowed += throttle_failure(t, "192.0.2.1", 2000);
	assert_int_equal(allowed, THROTTLE_PER_SECOND);
	/* A clock that steps back gives nothing and takes nothing. */
	assert_false(throttle_failure(t, "192.0.2.1", 500));
	throttle_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kms_base64_rfc4648),
		cmocka_unit_test(kms_base64_all_bytes),
		cmocka_unit_test(kms_base64_every_place),
		cmocka_unit_test(kms_base64_refuses),
		cmocka_unit_test(kms_utf8_mends),
		cmocka_unit_test(kms_throttle_burst_then_rate),
	};

	return cmocka_run_group_tests_name("kms_text", tests, NULL, NULL);
}
