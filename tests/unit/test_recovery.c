// SPDX-License-Identifier: GPL-2.0-or-later
/* Recovery keys: their text, its checks, and what they wrap. */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>

#include <cmocka.h>
#include <errno.h>

#include "recovery.h"

/* Bytes 0 to 31, as a second implementation (Python) writes them. */
static const char known[] =
	"000G0-40R47-0M30J-E209D-185GT-R38E6-1W81Q-24GK4-2GAHK-C5RRE-34D11-P70XS-3RFGB";

static struct secret *count_up(void)
{
	struct secret *key = secret_new(RECOVERY_KEY_BYTES);
	size_t i;

	assert_non_null(key);
	for (i = 0; i < RECOVERY_KEY_BYTES; i++)
		secret_bytes(key)[i] = i;
	return key;
}

static char *print(const struct secret *key)
{
	struct secret *text = NULL;
	char *copy;

	assert_int_equal(recovery_print(key, &text), 0);
	assert_int_equal(secret_len(text), RECOVERY_TEXT_CHARS);
	copy = strdup((const char *)secret_cbytes(text));
	secret_free(text);
	return copy;
}

static void prints(void **state)
{
	struct secret *key = count_up();
	char *text = print(key);

	(void)state;
	assert_string_equal(text, known);
	free(text);
	secret_free(key);
}

static int parse(const char *text, unsigned int *wrong)
{
	struct secret *key = NULL;
	int r;

	*wrong = 0;
	r = recovery_parse(text, strlen(text), &key, wrong);
	secret_free(key);
	return r;
}

static void round_trip(void **state)
{
	struct secret *key = NULL, *again = NULL;
	unsigned int wrong;
	char *text, *c;

	(void)state;
	assert_int_equal(recovery_new(&key), 0);
	text = print(key);
	/* As somebody types it: small letters, blanks, O and I. */
	for (c = text; *c; c++) {
		if (*c == '-')
			*c = ' ';
		else if (*c == '0')
			*c = 'o';
		else if (*c == '1')
			*c = 'l';
		else if (*c >= 'A')
			*c += 'a' - 'A';
	}
	assert_int_equal(recovery_parse(text, strlen(text), &again, &wrong),
			 0);
	assert_memory_equal(secret_cbytes(key), secret_cbytes(again),
			    RECOVERY_KEY_BYTES);
	free(text);
	secret_free(key);
	secret_free(again);
}

/* Each wrong character, and each two that were swapped, by their group. */
static void names_the_group(void **state)
{
	static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
	char text[sizeof(known)];
	unsigned int wrong;
	size_t i, j;

	(void)state;
	for (i = 0; known[i]; i++) {
		if (known[i] == '-')
			continue;
		for (j = 0; alphabet[j]; j++) {
			strcpy(text, known);
			text[i] = alphabet[j];
			if (text[i] == known[i])
				continue;
			assert_int_equal(parse(text, &wrong), -EBADMSG);
			assert_int_equal(wrong, 1u << (i / 6));
		}
		if (known[i + 1] == '-' || !known[i + 1] ||
		    known[i] == known[i + 1])
			continue;
		strcpy(text, known);
		text[i] = known[i + 1];
		text[i + 1] = known[i];
		assert_int_equal(parse(text, &wrong), -EBADMSG);
		assert_int_equal(wrong, 1u << (i / 6));
	}
}

static void names_swapped_groups(void **state)
{
	char text[sizeof(known)];
	unsigned int wrong;

	(void)state;
	strcpy(text, known);
	memcpy(text + 6, known + 12, 5);
	memcpy(text + 12, known + 6, 5);
	assert_int_equal(parse(text, &wrong), -EBADMSG);
	assert_int_equal(wrong, 1u << 1 | 1u << 2);
}

static void wants_all_groups(void **state)
{
	char text[2 * sizeof(known)];
	unsigned int wrong;

	(void)state;
	strcpy(text, known);
	text[strlen(text) - 1] = '\0';
	assert_int_equal(parse(text, &wrong), -EBADMSG);
	assert_int_equal(wrong, 0);
	sprintf(text, "%s0", known);
	assert_int_equal(parse(text, &wrong), -EBADMSG);
	assert_int_equal(wrong, 0);
	assert_int_equal(parse("", &wrong), -EBADMSG);
	strcpy(text, known);
	text[3] = '!';
	assert_int_equal(parse(text, &wrong), -EBADMSG);
	assert_int_equal(wrong, 1);
}

static void has_an_id(void **state)
{
	struct secret *key = count_up();
	char id[RECOVERY_ID_CHARS];

	(void)state;
	assert_int_equal(recovery_id(key, id), 0);
	/* printf 'envelope recovery v1' and the bytes | sha256sum */
	assert_string_equal(id, "recovery:894dc587b3320d45");
	assert_true(recovery_id_valid(id));
	assert_false(recovery_id_valid("recovery:0123456789abcdeF"));
	assert_false(recovery_id_valid("recovery:0123456789abcde"));
	assert_false(recovery_id_valid("recovery:0123456789abcdef0"));
	assert_false(recovery_id_valid("recover:0123456789abcdef"));
	secret_free(key);
}

static void wraps(void **state)
{
	json_t *context = json_pack("{s:s}", "envelope:generation", "1");
	json_t *other = json_pack("{s:s}", "envelope:generation", "2");
	uint8_t wrapped[RECOVERY_WRAPPED_BYTES];
	struct secret *key = count_up(), *dek = secret_new(64), *out = NULL;
	size_t i;

	(void)state;
	assert_int_equal(recovery_wrap(key, context, key, wrapped), -EINVAL);
	memset(secret_bytes(dek), 0x5a, 64);
	assert_int_equal(recovery_wrap(key, context, dek, wrapped), 0);
	assert_int_equal(recovery_unwrap(key, context, wrapped,
					 sizeof(wrapped), &out), 0);
	assert_memory_equal(secret_cbytes(dek), secret_cbytes(out), 64);
	secret_free(out);
	out = NULL;
	assert_int_equal(recovery_unwrap(key, other, wrapped, sizeof(wrapped),
					 &out), -EBADMSG);
	assert_int_equal(recovery_unwrap(key, context, wrapped,
					 sizeof(wrapped) - 1, &out), -EBADMSG);
	for (i = 0; i < sizeof(wrapped); i++) {
		wrapped[i] ^= 1;
		assert_int_equal(recovery_unwrap(key, context, wrapped,
						 sizeof(wrapped), &out),
				 -EBADMSG);
		wrapped[i] ^= 1;
	}
	assert_null(out);
	secret_free(key);
	secret_free(dek);
	json_decref(context);
	json_decref(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prints),
		cmocka_unit_test(round_trip),
		cmocka_unit_test(names_the_group),
		cmocka_unit_test(names_swapped_groups),
		cmocka_unit_test(wants_all_groups),
		cmocka_unit_test(has_an_id),
		cmocka_unit_test(wraps),
	};

	return cmocka_run_group_tests_name("recovery", tests, NULL, NULL);
}
