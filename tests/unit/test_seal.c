// SPDX-License-Identifier: GPL-2.0-or-later
/* What the seal of a volume proves without the DEK. */
#include "header_fixture.h"
#include "seal.h"

static struct seal *fixture_seal(uint8_t seed)
{
	struct secret *dek = fixture_dek(seed);
	struct header *h = fixture_header(dek);
	struct seal *s = NULL;

	assert_int_equal(seal_from_dek(dek, h, &s), 0);
	header_free(h);
	secret_free(dek);
	return s;
}

static int check(const struct seal *s, int fd)
{
	struct header *h = NULL;
	int r;

	assert_int_equal(header_read(fd, "volume", &h), 0);
	r = seal_check_header(s, "volume", h);
	header_free(h);
	return r;
}

/* Computed from snapshot.h's definition by another program. */
static void seal_key_is_the_formats(void **state)
{
	static const uint8_t expected[SEAL_KEY_BYTES] = {
		0xc6, 0xb8, 0x68, 0xc7, 0x15, 0x98, 0xf8, 0x3a,
		0x9f, 0xe4, 0xcc, 0x4f, 0xe1, 0x01, 0x70, 0x3d,
		0xf3, 0x95, 0x8d, 0xae, 0xcb, 0x50, 0x13, 0xf7,
		0x24, 0x24, 0x83, 0x19, 0xe3, 0x3c, 0xa6, 0x9b,
	};
	struct seal *s = fixture_seal(1);

	(void)state;
	assert_int_equal(secret_len(seal_key(s)), SEAL_KEY_BYTES);
	assert_memory_equal(secret_cbytes(seal_key(s)), expected,
			    SEAL_KEY_BYTES);
	seal_free(s);
}

static void seal_takes_the_genuine_header(void **state)
{
	struct secret *dek = fixture_dek(1);
	struct seal *s = fixture_seal(1);
	char lineage[HEADER_LINEAGE_CHARS];
	int fd = fixture_volume(dek);

	(void)state;
	assert_int_equal(check(s, fd), 0);
	assert_int_equal(header_lineage(dek, lineage), 0);
	assert_string_equal(seal_lineage(s), lineage);
	close(fd);
	seal_free(s);
	secret_free(dek);
}

static void seal_refuses_another_dek(void **state)
{
	struct secret *dek = fixture_dek(2);
	struct seal *s = fixture_seal(1);
	int fd = fixture_volume(dek);

	(void)state;
	assert_int_equal(check(s, fd), -EBADMSG);
	close(fd);
	seal_free(s);
	secret_free(dek);
}

/* In either copy, also in the one that does not serve. */
static void seal_refuses_a_forged_copy(void **state)
{
	struct secret *dek = fixture_dek(1);
	struct seal *s = fixture_seal(1);
	uint8_t *copy = malloc(HEADER_COPY_BYTES);
	unsigned int i;
	char *at;
	int fd;

	(void)state;
	assert_non_null(copy);
	for (i = 0; i < HEADER_COPIES; i++) {
		fd = fixture_volume(dek);
		fixture_load(fd, i, copy);
		at = memmem(copy, HEADER_COPY_BYTES, "2026-01-02T03:04:05Z",
			    20);
		assert_non_null(at);
		at[3] = '5';
		fixture_fix_sha(copy);
		fixture_store(fd, i, copy);
		assert_int_equal(check(s, fd), -EBADMSG);
		close(fd);
	}
	free(copy);
	seal_free(s);
	secret_free(dek);
}

/* The key of its HMAC is another volume's, though the DEK is the same. */
static void seal_is_of_one_volume(void **state)
{
	static const uint8_t uuid[HEADER_UUID_BYTES] = { 1 };
	struct secret *dek = fixture_dek(1);
	struct seal *s = NULL;
	int fd = fixture_volume(dek);

	(void)state;
	assert_int_equal(seal_from_id(dek, VOLUME_ID, uuid, &s), 0);
	assert_int_equal(check(s, fd), -EBADMSG);
	close(fd);
	seal_free(s);
	secret_free(dek);
}

static void seal_refuses_what_is_no_dek(void **state)
{
	static const uint8_t uuid[HEADER_UUID_BYTES] = { 1 };
	struct secret *dek = secret_new(32);
	struct seal *s = NULL;

	(void)state;
	assert_int_equal(seal_from_id(dek, VOLUME_ID, uuid, &s), -EINVAL);
	assert_null(s);
	secret_free(dek);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(seal_key_is_the_formats),
		cmocka_unit_test(seal_takes_the_genuine_header),
		cmocka_unit_test(seal_refuses_another_dek),
		cmocka_unit_test(seal_refuses_a_forged_copy),
		cmocka_unit_test(seal_is_of_one_volume),
		cmocka_unit_test(seal_refuses_what_is_no_dek),
	};

	return cmocka_run_group_tests_name("test_seal", tests, NULL, NULL);
}
