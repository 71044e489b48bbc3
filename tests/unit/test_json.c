// SPDX-License-Identifier: GPL-2.0-or-later
/* JSON with the doors shut. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "json.h"

static void refused(const char *text, size_t len, unsigned int depth,
		    const char *sentence)
{
	char why[JSON_WHY_BYTES] = "";
	json_t *value = NULL;

	assert_int_equal(json_parse_strict(text, len, depth, &value, why),
			 -EBADMSG);
	assert_non_null(strstr(why, sentence));
	assert_null(value);
}

static void accepted(const char *text, unsigned int depth)
{
	char why[JSON_WHY_BYTES] = "";
	json_t *value = NULL;

	assert_int_equal(json_parse_strict(text, strlen(text), depth, &value,
					   why), 0);
	assert_non_null(value);
	json_decref(value);
}

static void doors_are_shut(void **state)
{
	static const char *const malformed[] = {
		"{\"a\":1,\"a\":1}", "{\"a\":{\"b\":1,\"b\":2}}",
		"\"\\u0000\"", "{\"\\u0000\":1}", "\"\xff\"", "\"\xc0\x80\"",
		"{} {}", "{}x", "", " ", "{", "[1,]", "{'a':1}", "NaN",
		"\"\\ud800\"", "99999999999999999999",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++)
		refused(malformed[i], strlen(malformed[i]), 8,
			"malformed JSON at byte");
	refused("{}\0", 3, 8, "NUL byte in JSON");
}

static void depth_is_limited(void **state)
{
	(void)state;
	accepted("[[[]]]", 3);
	refused("[[[]]]", 6, 2, "JSON nested more than 2 levels deep");
	accepted("{\"a\":{\"b\":[]}}", 3);
	refused("{\"a\":{\"b\":[]}}", 14, 2, "nested more than 2");
	/* Brackets in a text are no depth, and a quote in it ends nothing. */
	accepted("[\"[[[[{{{{\"]", 1);
	accepted("[\"\\\"[[[[\"]", 1);
	refused("[\"\\\\\",[[]]]", 11, 2, "nested more than 2");
	/* Siblings do not add up. */
	accepted("[[],[],[],[]]", 2);
}

static void what_is_read_is_not_quoted(void **state)
{
	char why[JSON_WHY_BYTES];
	json_t *value = NULL;

	(void)state;
	json_parse_strict("{\"k\": \"secret", 13, 8, &value, why);
	assert_null(strstr(why, "secret"));
}

static void getters(void **state)
{
	json_t *o = json_pack("{ss si sb s{} sf sI}", "text", "t", "number", 7,
			      "flag", 1, "object", "real", 7.0, "negative",
			      (json_int_t)-1);
	const char *text = NULL;
	json_t *object = NULL;
	uint64_t n = 0;
	int flag = 0;

	(void)state;
	assert_int_equal(json_get_string(o, "text", &text), 0);
	assert_string_equal(text, "t");
	assert_int_equal(json_get_string(o, "none", &text), -ENOENT);
	assert_int_equal(json_get_string(o, "number", &text), -EBADMSG);
	assert_int_equal(json_get_u64(o, "number", 7, 7, &n), 0);
	assert_int_equal(n, 7);
	assert_int_equal(json_get_u64(o, "number", 8, 9, &n), -EBADMSG);
	assert_int_equal(json_get_u64(o, "number", 0, 6, &n), -EBADMSG);
	assert_int_equal(json_get_u64(o, "negative", 0, UINT64_MAX, &n),
			 -EBADMSG);
	assert_int_equal(json_get_u64(o, "real", 0, 9, &n), -EBADMSG);
	assert_int_equal(json_get_u64(o, "none", 0, 9, &n), -ENOENT);
	assert_int_equal(n, 7);
	assert_int_equal(json_get_bool(o, "flag", &flag), 0);
	assert_int_equal(flag, 1);
	assert_int_equal(json_get_bool(o, "none", &flag), -ENOENT);
	assert_int_equal(json_get_bool(o, "number", &flag), -EBADMSG);
	assert_int_equal(json_get_object(o, "object", &object), 0);
	assert_non_null(object);
	assert_int_equal(json_get_object(o, "text", &object), -EBADMSG);
	assert_int_equal(json_get_object(o, "none", &object), -ENOENT);
	json_decref(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(doors_are_shut),
		cmocka_unit_test(depth_is_limited),
		cmocka_unit_test(what_is_read_is_not_quoted),
		cmocka_unit_test(getters),
	};

	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
