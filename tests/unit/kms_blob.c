// SPDX-License-Identifier: GPL-2.0-or-later
/* Key derivation, the encryption context's bytes, blobs and sealed rows. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "blob.h"
#include "context.h"
#include "crypto.h"
#include "seal.h"

/*
 * Made with Python's cryptography package (KBKDFHMAC, AESGCM): material 00 to
 * 1f, N 40 to 5f, material id 32 times aa, context {"volume": "vol-1",
 * "a": "bc"}, plaintext "plain text".
 */
#define KEY_ID "01234567-89ab-cdef-0123-456789abcdef"
#define KDF_HEX "767dc6d0f6de8dfbb379b6554187ff677a3e01bdebccb42cb7dfb0bdb089cc7a"
#define CONTEXT_JSON "{\"volume\":\"vol-1\",\"a\":\"bc\"}"
#define CONTEXT_HEX \
	"00000002000000016100000002626300000006766f6c756d6500000005766f6c2d31"
#define BLOB_HEX \
	"454b4d53010030313233343536372d383961622d636465662d303132332d3435" \
	"36373839616263646566aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
	"aaaaaaaaaaaaaaaaaaaa404142434445464748494a4b4c4d4e4f505152535455" \
	"565758595a5b5c5d5e5f8bf667bd6d1a04d8f05aafc9c6f7560882e6d41e8bd1" \
	"b57b4d2ac26ff0cab51be128"

static size_t from_hex(const char *hex, uint8_t *ret)
{
	size_t n = strlen(hex) / 2, i;

	for (i = 0; i < n; i++) {
		unsigned int byte;

		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		ret[i] = (uint8_t)byte;
	}
	return n;
}

static struct secret *counting(size_t bytes)
{
	struct secret *s = secret_new(bytes);
	size_t i;

	assert_non_null(s);
	for (i = 0; i < bytes; i++)
		secret_bytes(s)[i] = (uint8_t)i;
	return s;
}

static void encode(const char *json, struct context *ret)
{
	json_t *map = json_loads(json, 0, NULL);

	assert_non_null(map);
	assert_int_equal(context_encode(map, ret), 0);
	json_decref(map);
}

static int same_bytes(const char *a, const char *b)
{
	struct context x, y;
	int same;

	encode(a, &x);
	encode(b, &y);
	same = x.bytes == y.bytes && memcmp(x.data, y.data, x.bytes) == 0;
	context_free(&x);
	context_free(&y);
	return same;
}

static void kms_kdf_known_answer(void **state)
{
	struct secret *key = counting(32), *out;
	uint8_t n[32], want[32];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(n); i++)
		n[i] = (uint8_t)(0x40 + i);
	from_hex(KDF_HEX, want);
	assert_int_equal(crypto_kdf(key, "envelope-kms blob v1", n, sizeof(n),
				    &out), 0);
	assert_memory_equal(secret_cbytes(out), want, sizeof(want));
	secret_free(out);
	secret_free(key);
}

static void kms_context_known_answer(void **state)
{
	struct context c;
	uint8_t want[64];
	size_t n = from_hex(CONTEXT_HEX, want);

	(void)state;
	encode(CONTEXT_JSON, &c);
	assert_int_equal(c.bytes, n);
	assert_memory_equal(c.data, want, n);
	context_free(&c);
}

static void kms_context_keeps_neighbours_apart(void **state)
{
	(void)state;
	assert_false(same_bytes("{\"a\":\"bc\"}", "{\"ab\":\"c\"}"));
	assert_false(same_bytes("{\"a\":\"\"}", "{}"));
	assert_false(same_bytes("{\"a\":\"\"}", "{\"\":\"a\"}"));
	assert_false(same_bytes("{\"a\":\"b\",\"c\":\"d\"}",
				"{\"a\":\"bcd\"}"));
	assert_false(same_bytes("{\"a\":\"b\"}", "{\"A\":\"b\"}"));
	/* One character or its two parts: other bytes, another context. */
	assert_false(same_bytes("{\"a\":\"\u00e9\"}", "{\"a\":\"e\u0301\"}"));
}

static void kms_context_ignores_the_order(void **state)
{
	(void)state;
	assert_true(same_bytes("{\"a\":\"1\",\"b\":\"2\",\"ab\":\"3\"}",
			       "{\"b\":\"2\",\"ab\":\"3\",\"a\":\"1\"}"));
	assert_true(same_bytes("{\"\u00e9\":\"1\",\"z\":\"2\"}",
			       "{\"z\":\"2\",\"\u00e9\":\"1\"}"));
}

static void kms_context_absent_is_empty(void **state)
{
	static const uint8_t none[4];
	struct context c;

	(void)state;
	assert_int_equal(context_encode(NULL, &c), 0);
	assert_int_equal(c.bytes, sizeof(none));
	assert_memory_equal(c.data, none, sizeof(none));
	context_free(&c);
}

static void kms_context_refuses_other_types(void **state)
{
	json_t *number = json_pack("{s:i}", "a", 1), *list = json_array();
	struct context c;

	(void)state;
	assert_int_equal(context_encode(number, &c), -EINVAL);
	assert_int_equal(context_encode(list, &c), -EINVAL);
	json_decref(number);
	json_decref(list);
}

static void kms_blob_known_answer(void **state)
{
	struct secret *material = counting(32), *plain = NULL;
	struct context c;
	struct blob_key key;
	uint8_t blob[256];
	size_t n = from_hex(BLOB_HEX, blob);

	(void)state;
	encode(CONTEXT_JSON, &c);
	assert_int_equal(blob_read_key(blob, n, &key), 0);
	assert_string_equal(key.key_id, KEY_ID);
	assert_int_equal(key.material_id[31], 0xaa);
	assert_int_equal(blob_open(material, &c, blob, n, &plain), 0);
	assert_int_equal(secret_len(plain), 10);
	assert_memory_equal(secret_cbytes(plain), "plain text", 10);
	secret_free(plain);
	context_free(&c);
	secret_free(material);
}

/* 0: it opened. */
static int try_open(const struct secret *material, const struct context *c,
		    const uint8_t *blob, size_t n)
{
	struct secret *plain = NULL;
	struct blob_key key;
	int rc = blob_read_key(blob, n, &key);

	if (rc == 0)
		rc = blob_open(material, c, blob, n, &plain);
	secret_free(plain);
	return rc;
}

static void kms_blob_every_bit_counts(void **state)
{
	struct secret *material = counting(32);
	struct context c;
	uint8_t blob[256];
	size_t n = from_hex(BLOB_HEX, blob), i;

	(void)state;
	encode(CONTEXT_JSON, &c);
	for (i = 0; i < 8 * n; i++) {
		blob[i / 8] ^= 1 << i % 8;
		assert_int_equal(try_open(material, &c, blob, n), -EBADMSG);
		blob[i / 8] ^= 1 << i % 8;
	}
	for (i = 0; i < n; i++)
		assert_int_equal(try_open(material, &c, blob, i), -EBADMSG);
	assert_int_equal(try_open(material, &c, blob, n + 1), -EBADMSG);
	assert_int_equal(try_open(material, &c, blob, n), 0);
	context_free(&c);
	secret_free(material);
}

/* A new checksum over a changed header does not make it authentic. */
static void kms_blob_header_is_authenticated(void **state)
{
	struct secret *material = counting(32);
	uint8_t blob[256], digest[CRYPTO_SHA256_BYTES];
	size_t n = from_hex(BLOB_HEX, blob);
	struct context c;

	(void)state;
	encode(CONTEXT_JSON, &c);
	blob[6] ^= 1;
	assert_int_equal(crypto_sha256(blob, 106, digest), 0);
	memcpy(blob + 106, digest, 8);
	assert_int_equal(try_open(material, &c, blob, n), -EBADMSG);
	context_free(&c);
	secret_free(material);
}

static void kms_blob_needs_its_context_and_material(void **state)
{
	struct secret *material = counting(32), *other = counting(32);
	struct context c, none;
	uint8_t blob[256];
	size_t n = from_hex(BLOB_HEX, blob);

	(void)state;
	secret_bytes(other)[31] ^= 1;
	encode(CONTEXT_JSON, &c);
	encode("{}", &none);
	assert_int_equal(try_open(material, &none, blob, n), -EBADMSG);
	assert_int_equal(try_open(other, &c, blob, n), -EBADMSG);
	context_free(&c);
	context_free(&none);
	secret_free(material);
	secret_free(other);
}

static void kms_blob_same_plaintext_differs(void **state)
{
	struct secret *material = counting(32), *plain = counting(4096);
	struct blob_key key = { KEY_ID, { 1, 2, 3 } };
	uint8_t *a, *b;
	size_t an, bn;
	struct context c;

	(void)state;
	encode("{}", &c);
	assert_int_equal(blob_seal(material, &key, &c, plain, &a, &an), 0);
	assert_int_equal(blob_seal(material, &key, &c, plain, &b, &bn), 0);
	assert_int_equal(an, bn);
	assert_true(an <= BLOB_MAX_BYTES);
	assert_memory_not_equal(a + 74, b + 74, 32);
	assert_memory_not_equal(a + BLOB_HEADER_BYTES, b + BLOB_HEADER_BYTES,
				4096);
	assert_int_equal(try_open(material, &c, a, an), 0);
	free(a);
	free(b);
	context_free(&c);
	secret_free(plain);
	secret_free(material);
}

static void kms_seal_opens_only_in_its_place(void **state)
{
	static const struct seal_place right = { "material", "1", "r", "k",
						 "m" };
	static const struct seal_place wrong[] = {
		{ "access-key", "1", "r", "k", "m" },
		{ "material", "2", "r", "k", "m" },
		{ "material", "1", "s", "k", "m" },
		{ "material", "1", "r", "l", "m" },
		{ "material", "1", "r", "k", "n" },
		{ "material", "1", "rk", "", "m" },
	};
	struct secret *root = counting(32), *plain = counting(32), *out;
	uint8_t *sealed;
	size_t n, i;

	(void)state;
	assert_int_equal(seal_close(root, &right, plain, &sealed, &n), 0);
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(seal_open(root, &wrong[i], sealed, n, &out),
				 -EBADMSG);
	assert_int_equal(seal_open(root, &right, sealed, n, &out), 0);
	assert_memory_equal(secret_cbytes(out), secret_cbytes(plain), 32);
	secret_free(out);
	assert_int_equal(seal_open(root, &right, sealed, n - 1, &out),
			 -EBADMSG);
	assert_int_equal(seal_open(root, &right, sealed, 48, &out), -EBADMSG);
	secret_bytes(root)[0] ^= 1;
	assert_int_equal(seal_open(root, &right, sealed, n, &out), -EBADMSG);
	free(sealed);
	secret_free(plain);
	secret_free(root);
}

#define named(name, f) { name, f, NULL, NULL, NULL }

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kms_kdf_known_answer),
		cmocka_unit_test(kms_context_known_answer),
		cmocka_unit_test(kms_context_keeps_neighbours_apart),
		cmocka_unit_test(kms_context_ignores_the_order),
		cmocka_unit_test(kms_context_absent_is_empty),
		cmocka_unit_test(kms_context_refuses_other_types),
		cmocka_unit_test(kms_blob_known_answer),
		cmocka_unit_test(kms_blob_every_bit_counts),
		named("security-27-blob-header-authenticated", kms_blob_header_is_authenticated),
		cmocka_unit_test(kms_blob_needs_its_context_and_material),
		cmocka_unit_test(kms_blob_same_plaintext_differs),
		named("security-27-row-opens-only-in-its-place", kms_seal_opens_only_in_its_place),
	};

	return cmocka_run_group_tests_name("kms_blob", tests, NULL, NULL);
}
