// SPDX-License-Identifier: GPL-2.0-or-later
/* The KMS client's pure parts: meanings, jitter, base64, the cut plaintext. */
#include "client_capture.h"

#include <errno.h>
#include <stdbool.h>

#include "http.h"
#include "kms.h"
#include "kms_provider.h"
#include "log.h"

static void denied_is_closed(void **state)
{
	/* All that denies; a lease locks on nothing else. */
	static const char *const denied[] = {
		"AccessDeniedException", "DisabledException",
		"NotFoundException", "InvalidArnException",
		"IncorrectKeyException", "InvalidCiphertextException",
		"InvalidKeyUsageException", "InvalidGrantTokenException",
		"UnrecognizedClientException", "InvalidClientTokenId",
		"InvalidSignatureException", "SignatureDoesNotMatch",
		"IncompleteSignature", "IncompleteSignatureException",
		"MissingAuthenticationToken",
		"MissingAuthenticationTokenException",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(denied) / sizeof(denied[0]); i++) {
		const struct kms_meaning *m = kms_meaning_of(denied[i], "",
							     400);

		if (m->error != -EACCES || m->retry)
			fail_msg("%s", denied[i]);
	}
}

static void unreachable_retries(void **state)
{
	static const struct {
		const char *code;
		bool retry;
	} cases[] = {
		{ "ThrottlingException", true }, { "Throttling", true },
		{ "TooManyRequestsException", true },
		{ "KMSInternalException", true },
		{ "DependencyTimeoutException", true },
		{ "KeyUnavailableException", true },
		{ "InternalFailure", true }, { "ServiceUnavailable", true },
		{ "ServiceUnavailableException", true },
		{ "ExpiredTokenException", false },
		{ "RequestExpired", false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct kms_meaning *m = kms_meaning_of(cases[i].code,
							     "", 400);

		if (m->error != -EHOSTUNREACH || m->retry != cases[i].retry)
			fail_msg("%s", cases[i].code);
	}
}

static void states_by_message(void **state)
{
	static const struct {
		const char *code, *message;
		int error;
	} cases[] = {
		{ "KMSInvalidStateException", "x is pending deletion.",
		  -EACCES },
		{ "KMSInvalidStateException", "x is pending import.",
		  -EACCES },
		{ "KMSInvalidStateException", "x is unavailable.",
		  -EHOSTUNREACH },
		{ "KMSInvalidStateException", "x is creating.",
		  -EHOSTUNREACH },
		{ "KMSInvalidStateException", "", -EHOSTUNREACH },
		{ "InvalidSignatureException", "Signature expired: a is now earlier than b",
		  -EHOSTUNREACH },
		{ "InvalidSignatureException", "Signature not yet current: a",
		  -EHOSTUNREACH },
		{ "InvalidSignatureException", "does not match", -EACCES },
		{ "InvalidSignatureException", "Credential should be scoped to a valid region",
		  -EACCES },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (kms_meaning_of(cases[i].code, cases[i].message,
				   400)->error != cases[i].error)
			fail_msg("%s: %s", cases[i].code, cases[i].message);
}

static void unknown_by_status(void **state)
{
	(void)state;
	assert_int_equal(kms_meaning_of("Fancy", "", 500)->error,
			 -EHOSTUNREACH);
	assert_true(kms_meaning_of("Fancy", "", 503)->retry);
	assert_int_equal(kms_meaning_of("Fancy", "", 403)->error, -EACCES);
	assert_int_equal(kms_meaning_of("Fancy", "", 401)->error, -EACCES);
	assert_int_equal(kms_meaning_of("Fancy", "", 400)->error, -EIO);
	assert_false(kms_meaning_of("Fancy", "", 400)->retry);
	assert_int_equal(kms_meaning_of("UnsupportedOperationException", "",
					400)->error, -ENOTSUP);
	assert_int_equal(kms_meaning_of("ValidationException", "",
					400)->error, -EIO);
}

static void jitter_bounds(void **state)
{
	static const unsigned int most[] = {
		100, 200, 400, 800, 1600, 3200, 5000, 5000,
	};
	unsigned int attempt;

	(void)state;
	for (attempt = 0; attempt < 8; attempt++) {
		assert_int_equal(http_backoff_ms(attempt, 0), 0);
		assert_int_equal(http_backoff_ms(attempt, UINT32_MAX),
				 most[attempt]);
		assert_int_equal(http_backoff_ms(attempt, 1u << 31),
				 (most[attempt] + 1) / 2);
	}
	assert_int_equal(http_backoff_ms(64, UINT32_MAX), 5000);
	assert_int_equal(http_backoff_ms(UINT32_MAX, UINT32_MAX), 5000);
}

static void jitter_spread(void **state)
{
	unsigned int hits[101] = { 0 };
	unsigned int i;

	(void)state;
	/* Every value from 0 to the bound, each about as often. */
	for (i = 0; i < 101000; i++)
		hits[http_backoff_ms(0, (uint64_t)i * UINT32_MAX / 101000)]++;
	for (i = 0; i <= 100; i++)
		assert_in_range(hits[i], 999, 1001);
}

static void session_bounds(void **state)
{
	struct http *http = NULL;

	(void)state;
	assert_int_equal(http_open(0, &http), -EINVAL);
	assert_int_equal(http_open(86400001, &http), -EINVAL);
	assert_null(http);
	assert_int_equal(http_open(86400000, &http), 0);
	assert_in_range(http_left_ms(http), 86300000, 86400000);
	assert_int_equal(http_timeout_ms(http), 86400000);
	http_close(http);
	http_close(NULL);
}

/* RFC 4648, section 10. */
static void base64_vectors(void **state)
{
	static const char *const vectors[][2] = {
		{ "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy" },
	};
	uint8_t *data;
	size_t bytes, i;
	char *text;

	(void)state;
	for (i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		text = kms_base64_encode((const uint8_t *)vectors[i][0],
					 strlen(vectors[i][0]));
		assert_string_equal(text, vectors[i][1]);
		assert_int_equal(kms_base64_decode(text, 6, &data, &bytes), 0);
		assert_int_equal(bytes, strlen(vectors[i][0]));
		assert_memory_equal(data, vectors[i][0], bytes);
		free(data);
		free(text);
	}
}

static void base64_strict(void **state)
{
	static const char *const bad[] = {
		"", "Z", "Zg", "Zg=", "Zg===", "====", "=Zg=", "Zg==Zg==",
		" Zg==", "Zg== ", "Zg\n=", "Zm9v\n", "Zm9-", "Zm9_",
		"Zh==", "Zm9=", "Z===", "Zm9vYmFyZ",
	};
	uint8_t *data = NULL;
	size_t bytes, i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (kms_base64_decode(bad[i], 100, &data, &bytes) != -EBADMSG)
			fail_msg("taken: '%s'", bad[i]);
	assert_int_equal(kms_base64_decode("Zm9vYmFy", 5, &data, &bytes),
			 -EBADMSG);
	assert_null(data);
}

static void cut(const char *json, int expected, const char *plaintext,
		const char *left)
{
	char body[256];
	struct secret *s = NULL;

	strcpy(body, json);
	if (kms_cut_plaintext(body, strlen(json), &s) != expected)
		fail_msg("not %d: %s", expected, json);
	if (left)
		assert_string_equal(body, left);
	if (expected < 0) {
		assert_null(s);
		return;
	}
	assert_int_equal(secret_len(s), strlen(plaintext));
	assert_memory_equal(secret_cbytes(s), plaintext, secret_len(s));
	secret_free(s);
}

static void cuts(void **state)
{
	(void)state;
	cut("{\"Plaintext\":\"Zm9v\"}", 0, "foo", "{\"Plaintext\":\"xxxx\"}");
	cut("{ \"KeyId\" : \"a\\\"b\" ,\n\t\"Plaintext\" :\r \"Zm8=\" }", 0,
	    "fo", "{ \"KeyId\" : \"a\\\"b\" ,\n\t\"Plaintext\" :\r \"xxxx\" }");
	cut("{\"Plaintext\":\"\\/\\/\\/\\/\"}", 0, "\xff\xff\xff",
	    "{\"Plaintext\":\"xxxxxxxx\"}");
	/* A second one must not stay behind either. */
	cut("{\"Plaintext\":\"Zm9v\",\"Plaintext\":\"YmFy\"}", 0, "foo",
	    "{\"Plaintext\":\"xxxx\",\"Plaintext\":\"xxxx\"}");
	cut("{\"a\":{\"Plaintext\":\"Zm9v\"}}", 0, "foo",
	    "{\"a\":{\"Plaintext\":\"xxxx\"}}");
	/* What is no member name is left alone. */
	cut("{\"KeyId\":\"Plaintext\"}", -ENOENT, NULL,
	    "{\"KeyId\":\"Plaintext\"}");
	cut("{\"xPlaintext\":\"Zm9v\"}", -ENOENT, NULL,
	    "{\"xPlaintext\":\"Zm9v\"}");
}

static void cuts_hostile(void **state)
{
	static const struct {
		const char *json;
		int expected;
	} cases[] = {
		{ "", -ENOENT }, { "\"", -ENOENT }, { "{", -ENOENT },
		{ "{\"Plaintext", -ENOENT }, { "{\"Plaintext\"", -ENOENT },
		{ "{\"Plaintext\":", -ENOENT },
		{ "{\"Plaintext\": ", -ENOENT },
		{ "{\"Plaintext\":\"", -ENOENT },
		{ "{\"Plaintext\":\"Zm9v", -ENOENT },
		{ "{\"Plaintext\":\"Zm9v\\", -ENOENT },
		{ "{\"Plaintext\":\"Zm9v\\\"", -ENOENT },
		{ "{\"Plaintext\\", -ENOENT },
		{ "{\"Plaintext\":null}", -ENOENT },
		{ "{\"Plaintext\":[\"Zm9v\"]}", -ENOENT },
		{ "{\"Pl\\u0061intext\":\"Zm9v\"}", -ENOENT },
		{ "{\"Plaintext\":\"\"}", -EBADMSG },
		{ "{\"Plaintext\":\"Zm9\"}", -EBADMSG },
		{ "{\"Plaintext\":\"Z m9\"}", -EBADMSG },
		{ "{\"Plaintext\":\"Zm9\\u0076\"}", -EBADMSG },
		{ "{\"Plaintext\":\"\\\\\\\\\\\\\\\\\"}", -EBADMSG },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cut(cases[i].json, cases[i].expected, NULL, NULL);
}

/* No length and no byte makes the scanner leave the buffer (run with SAN=1). */
static void cuts_random(void **state)
{
	static const char alphabet[] = "{}[]:,\"\\/ PlaintextZm9v=\n\0";
	uint32_t seed = 1;
	int round;

	(void)state;
	for (round = 0; round < 20000; round++) {
		size_t bytes = round % 64, i;
		char *body = malloc(bytes + 1);
		struct secret *s = NULL;

		for (i = 0; i < bytes; i++) {
			seed = seed * 1664525 + 1013904223;
			if (seed >> 28 == 0 && i + 12 < bytes) {
				memcpy(body + i, "\"Plaintext\":", 12);
				i += 11;
			} else {
				body[i] = alphabet[(seed >> 8) %
						   sizeof(alphabet)];
			}
		}
		kms_cut_plaintext(body, bytes, &s);
		secret_free(s);
		free(body);
	}
}

static void cuts_long(void **state)
{
	char *body = malloc(70000);
	struct secret *s = NULL;
	size_t i, used;

	(void)state;
	/* 4096 bytes are taken, 4098 are more than a KMS unwraps. */
	for (i = 5464; i <= 5468; i += 4) {
		used = sprintf(body, "{\"Plaintext\":\"");
		memset(body + used, 'A', i);
		strcpy(body + used + i, "\"}");
		if (i == 5464)
			memcpy(body + used + i - 2, "==", 2);
		assert_int_equal(kms_cut_plaintext(body, strlen(body), &s),
				 i == 5464 ? 0 : -EBADMSG);
		if (i == 5464)
			assert_int_equal(secret_len(s), 4096);
		secret_free(s);
		s = NULL;
	}
	free(body);
}

static void cut_one(const char *json, int expected, const char *text)
{
	char body[256];
	struct secret *s = NULL;

	strcpy(body, json);
	if (kms_cut_text(body, strlen(json), "client_token", &s) != expected)
		fail_msg("not %d: %s", expected, json);
	if (expected == 0) {
		assert_int_equal(secret_len(s), strlen(text) + 1);
		assert_string_equal((const char *)secret_cbytes(s), text);
		assert_null(strstr(body, text));
	}
	secret_free(s);
}

static void cuts_text(void **state)
{
	char body[] = "{\"data\":{\"plaintext\":\"Zm9v\",\"Plaintext\":\"YmFy\"}}";
	struct secret *s = NULL;

	(void)state;
	cut_one("{\"auth\":{\"client_token\":\"hvs.A-b_1\"}}", 0, "hvs.A-b_1");
	cut_one("{\"client_token\":\"a\",\"client_token\":\"b\"}", 0, "a");
	cut_one("{\"client_token\":\"\"}", -EBADMSG, NULL);
	cut_one("{\"client_token\":\"a b\"}", -EBADMSG, NULL);
	cut_one("{\"client_token\":\"a\\u0041\"}", -EBADMSG, NULL);
	cut_one("{\"client_token\":\"a\x01\"}", -EBADMSG, NULL);
	cut_one("{\"client_token\":\"\xc3\xa9\"}", -EBADMSG, NULL);
	cut_one("{\"client_token\":1}", -ENOENT, NULL);
	cut_one("{\"client_tokens\":\"a\"}", -ENOENT, NULL);
	assert_int_equal(kms_cut_base64(body, strlen(body), "plaintext", &s),
			 0);
	assert_memory_equal(secret_cbytes(s), "foo", 3);
	assert_string_equal(body, "{\"data\":{\"plaintext\":\"xxxx\",\"Plaintext\":\"YmFy\"}}");
	secret_free(s);
}

static void opens(void **state)
{
	struct conf_overrides o = { .region = "us-east-1" };
	struct conf *conf = NULL;
	struct kms *kms = NULL;
	struct secret *dek = NULL;
	static const uint8_t wrapped[1] = { 0 };
	json_t *bad = json_pack("{s:i}", "a", 1);
	const char *arn = "arn:aws:kms:us-east-1:111122223333:key/a";

	(void)state;
	o.config = "/dev/null";
	assert_int_equal(conf_load(&o, &conf), 0);
	assert_int_equal(kms_open(conf, 0, &kms), -EINVAL);
	assert_int_equal(kms_open(conf, 1000, &kms), 0);
	assert_string_equal(kms_last_error(kms), "");
	capture_start();
	assert_int_equal(kms_decrypt(kms, arn, bad, wrapped, 1, &dek),
			 -EINVAL);
	assert_non_null(strstr(capture_end(), "has an encryption context that is not all strings; nothing was sent\n"));
	capture_start();
	assert_int_equal(kms_decrypt(kms, arn, NULL, wrapped, 0, &dek),
			 -EINVAL);
	assert_non_null(strstr(capture_end(), "has a wrapped key of a size that no KMS makes; nothing was sent\n"));
	capture_start();
	assert_int_equal(kms_decrypt(kms, arn, NULL, wrapped, 6145, &dek),
			 -EINVAL);
	capture_end();
	capture_start();
	assert_int_equal(kms_check_provider("acme"), -EINVAL);
	capture_end();
	assert_int_equal(kms_check_provider("aws-kms"), 0);
	assert_null(dek);
	json_decref(bad);
	kms_free(kms);
	kms_free(NULL);
	conf_free(conf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NAMED("kms: what denies is a closed list", denied_is_closed),
		NAMED("kms: what is tried again, and what is not",
		      unreachable_retries),
		NAMED("kms: one code, told apart by its message",
		      states_by_message),
		NAMED("kms: an unknown code counts by HTTP status",
		      unknown_by_status),
		NAMED("kms: full jitter within its bounds", jitter_bounds),
		NAMED("kms: full jitter is spread evenly", jitter_spread),
		NAMED("kms: the time budget has bounds", session_bounds),
		NAMED("kms: base64 by RFC 4648", base64_vectors),
		NAMED("kms: base64 is strict", base64_strict),
		NAMED("security-34-kms: the plaintext is cut out before parsing",
		      cuts),
		NAMED("kms: hostile JSON cuts nothing", cuts_hostile),
		NAMED("kms: random JSON stays within its buffer", cuts_random),
		NAMED("kms: a plaintext of up to 4096 bytes is taken",
		      cuts_long),
		NAMED("security-09-kms: a token is cut out before the parser",
		      cuts_text),
		NAMED("kms: arguments that no KMS takes are refused unsent",
		      opens),
	};

	log_init("unit");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
