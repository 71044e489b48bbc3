// SPDX-License-Identifier: GPL-2.0-or-later
/* When credentials are renewed, what of them is believed: with a false clock. */
#include "client_capture.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <time.h>

#include "credentials.h"
#include "credentials_private.h"
#include "http.h"
#include "kms.h"
#include "log.h"

#define NOW_S 1800000000ll

static int64_t now_s;

/* The library's clock: the wall's is what the tests say. */
int clock_gettime(clockid_t id, struct timespec *t)
{
	int r = syscall(SYS_clock_gettime, id, t);

	if (id == CLOCK_REALTIME)
		t->tv_sec = now_s;
	return r;
}

/* Keys in the environment that last until @left_s from NOW_S. */
static void give(const char *key_id, int64_t left_s)
{
	time_t until = NOW_S + left_s;
	char text[32];
	struct tm tm;

	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ",
		 gmtime_r(&until, &tm));
	setenv("AWS_ACCESS_KEY_ID", key_id, 1);
	setenv("AWS_SECRET_ACCESS_KEY", "s", 1);
	setenv("AWS_CREDENTIAL_EXPIRATION", text, 1);
}

static int setup(void **state)
{
	(void)state;
	now_s = NOW_S;
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
	setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials", 1);
	setenv("AWS_CONFIG_FILE", "/nonexistent/config", 1);
	return 0;
}

static int cleanup(void **state)
{
	(void)state;
	unsetenv("AWS_ACCESS_KEY_ID");
	unsetenv("AWS_SECRET_ACCESS_KEY");
	unsetenv("AWS_CREDENTIAL_EXPIRATION");
	return 0;
}

static const struct credentials_query query = { .environment = true };

static struct credentials_source *open_source(void)
{
	struct credentials_source *s = NULL;

	assert_int_equal(credentials_open(&query, &s), 0);
	return s;
}

static void expect(struct credentials_source *s, const char *key_id)
{
	const struct credentials *c = NULL;

	assert_int_equal(credentials_get(s, 10000, &c), 0);
	assert_string_equal(c->access_key_id, key_id);
}

/* What credentials_get() prints, in capture_text. */
static int say(struct credentials_source *s, const struct credentials **c)
{
	int r;

	capture_start();
	r = credentials_get(s, 10000, c);
	capture_end();
	return r;
}

static void kept(void **state)
{
	struct credentials_source *s = open_source();

	(void)state;
	give("A", 3600);
	expect(s, "A");
	give("B", 7200);
	now_s = NOW_S + 3600 - CREDENTIALS_REFRESH_S - 1;
	expect(s, "A");
	credentials_close(s);
	credentials_close(NULL);
}

static void renewed(void **state)
{
	struct credentials_source *s = open_source();

	(void)state;
	give("A", 3600);
	expect(s, "A");
	give("B", 7200);
	now_s = NOW_S + 3600 - CREDENTIALS_REFRESH_S;
	expect(s, "B");
	credentials_close(s);
}

static void forever(void **state)
{
	struct credentials_source *s = open_source();

	(void)state;
	give("A", 3600);
	unsetenv("AWS_CREDENTIAL_EXPIRATION");
	expect(s, "A");
	give("B", 3600);
	now_s = NOW_S + 1000000000;
	expect(s, "A");
	credentials_close(s);
}

static void failing(void **state)
{
	struct credentials_source *s = open_source();
	const struct credentials *c = NULL;

	(void)state;
	give("A", 3600);
	expect(s, "A");
	unsetenv("AWS_SECRET_ACCESS_KEY");
	now_s = NOW_S + 3400;
	assert_int_equal(say(s, &c), 0);
	assert_string_equal(c->access_key_id, "A");
	assert_string_equal(capture_text,
			    "unit: AWS_ACCESS_KEY_ID is set but AWS_SECRET_ACCESS_KEY is not; set both or none\n"
			    "unit: warning: the credentials from the environment are used for the 200 seconds that they still last; asking for others again in 60 s\n");
	/* Not at every call, but once a minute. */
	now_s += CREDENTIALS_RETRY_S - 1;
	assert_int_equal(say(s, &c), 0);
	assert_string_equal(capture_text, "");
	now_s += 1;
	assert_int_equal(say(s, &c), 0);
	assert_non_null(strstr(capture_text, "are used for the 140 seconds"));
	give("B", 7200);
	now_s += CREDENTIALS_RETRY_S;
	expect(s, "B");
	credentials_close(s);
}

static void over(void **state)
{
	struct credentials_source *s = open_source();
	const struct credentials *c = NULL;

	(void)state;
	give("A", 3600);
	expect(s, "A");
	now_s = NOW_S + 3600;
	assert_int_equal(say(s, &c), -EHOSTUNREACH);
	assert_null(c);
	assert_string_equal(capture_text, "unit: the environment: the credentials have expired; get fresh ones, and check this host's clock\n");
	/* And not used later, though the clock be set back. */
	now_s = NOW_S;
	give("B", 3600);
	expect(s, "B");
	credentials_close(s);
}

static void short_lived(void **state)
{
	struct credentials_source *s = open_source();

	(void)state;
	give("A", 100);
	expect(s, "A");
	give("B", 200);
	now_s = NOW_S + CREDENTIALS_RETRY_S - 1;
	expect(s, "A");
	now_s += 1;
	expect(s, "B");
	credentials_close(s);
}

static void dropped(void **state)
{
	struct credentials_source *s = open_source();

	(void)state;
	give("A", 3600);
	expect(s, "A");
	give("B", 3600);
	expect(s, "A");
	credentials_drop(s);
	expect(s, "B");
	credentials_close(s);
}

static void times(void **state)
{
	static const struct {
		const char *text;
		int64_t s;
	} good[] = {
		{ "2027-01-15T08:00:00Z", NOW_S },
		{ "2027-01-15T08:00:00.999Z", NOW_S },
		{ "2027-01-15T08:00:00+00:00", NOW_S },
		{ "2027-01-15T09:30:00+01:30", NOW_S },
		{ "2027-01-15T07:00:00.5-0100", NOW_S },
	};
	static const char *const bad[] = {
		"", "2027-01-15", "2027-01-15T08:00:00", "2027-01-15T08:00:00z",
		"2027-13-15T08:00:00Z", "2027-01-15T08:00:00Z ", "1800000000",
		"2027-01-15T08:00:00+1", "2027-01-15T08:00:00+24:00",
		"2027-01-15T08:00:00+00:60", "2027-01-15T08:00:00+ 1: 2",
		"2027-01-15T08:00:00+01:30Z",
		"2027-01-15T08:00:00.00000000000000000000000000000000000000000000Z",
	};
	int64_t s;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		s = 0;
		if (credentials_time((struct slice){ good[i].text,
				     strlen(good[i].text) }, &s) < 0 ||
		    s != good[i].s)
			fail_msg("%s: %lld", good[i].text, (long long)s);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (credentials_time((struct slice){ bad[i], strlen(bad[i]) },
				     &s) != -EINVAL)
			fail_msg("taken: '%s'", bad[i]);
}

static void numbers(void **state)
{
	static const char *const bad[] = {
		"", "899", "43201", " 900", "900 ", "9e2", "-900", "0x900",
		"4294968196", "99999999999999999999",
	};
	unsigned int n = 0;
	size_t i;

	(void)state;
	assert_int_equal(credentials_number((struct slice){ "900", 3 }, 900,
					    43200, &n), 0);
	assert_int_equal(n, 900);
	assert_int_equal(credentials_number((struct slice){ "43200", 5 }, 900,
					    43200, &n), 0);
	assert_int_equal(n, 43200);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (credentials_number((struct slice){ bad[i],
				       strlen(bad[i]) }, 900, 43200,
				       &n) != -EINVAL)
			fail_msg("taken: '%s'", bad[i]);
}

static void from_json(const char *text, bool version, const char *says)
{
	struct credentials *c = NULL;
	int r;

	capture_start();
	r = credentials_from_json(text, strlen(text),
				  version ? "SessionToken" : "Token", version,
				  "it", &c);
	capture_end();
	if (says) {
		assert_string_equal(capture_text, says);
		assert_int_equal(r, -EHOSTUNREACH);
		assert_null(c);
		return;
	}
	assert_string_equal(capture_text, "");
	assert_int_equal(r, 0);
	assert_string_equal(c->access_key_id, "A");
	assert_string_equal((const char *)secret_cbytes(c->secret_key), "s/");
	credentials_free(c);
}

#define PAIR "\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"s\\/\""
#define UNTIL "\"Expiration\":\"2027-01-15T09:00:00Z\""

static void answers(void **state)
{
	static const struct {
		const char *text;
		bool version;
		const char *says;
	} cases[] = {
		{ "{\"Version\":1," PAIR "}", true, NULL },
		{ "{\"Version\":1,\"X\":{}," UNTIL ",\"SessionToken\":\"t\"," PAIR "}",
		  true, NULL },
		{ "{\"Code\":\"Success\"," UNTIL ",\"Token\":\"t\"," PAIR "}",
		  false, NULL },
		{ "{" PAIR "}", true,
		  "unit: it: gave no sound credentials (\"Version\" is not 1); correct what gives them\n" },
		{ "{\"Version\":2," PAIR "}", true,
		  "unit: it: gave no sound credentials (\"Version\" is not 1); correct what gives them\n" },
		{ "{\"Version\":\"1\"," PAIR "}", true,
		  "unit: it: gave no sound credentials (\"Version\" is not 1); correct what gives them\n" },
		{ "{" PAIR "," UNTIL "}", false,
		  "unit: it: gave no sound credentials (no Token); correct what gives them\n" },
		{ "{" PAIR ",\"Token\":\"t\"}", false,
		  "unit: it: gave no sound credentials (no Expiration); correct what gives them\n" },
		{ "{\"Code\":\"Failed\"," UNTIL ",\"Token\":\"t\"}", false,
		  "unit: it: gave no sound credentials (no AccessKeyId); correct what gives them\n" },
		{ "{\"AccessKeyId\":\"A\"," UNTIL ",\"Token\":\"t\"}", false,
		  "unit: it: gave no sound credentials (no SecretAccessKey); correct what gives them\n" },
		{ "{\"Version\":1," PAIR ",\"Expiration\":1800003600}", true,
		  "unit: it: gave no sound credentials (a member that is to be text is none); correct what gives them\n" },
		{ "{\"Version\":1," PAIR ",\"SessionToken\":[]}", true,
		  "unit: it: gave no sound credentials (a member that is to be text is none); correct what gives them\n" },
		{ "{\"Version\":1," PAIR ",\"SessionToken\":null,\"Expiration\":null}",
		  true, NULL },
		{ "[]", false,
		  "unit: it: gave no sound credentials (no JSON object); correct what gives them\n" },
		{ "<html>", false,
		  "unit: it: gave no sound credentials (malformed JSON at byte 1); correct what gives them\n" },
		{ "{\"AccessKeyId\":\"A\",\"AccessKeyId\":\"B\"}", false,
		  "unit: it: gave no sound credentials (malformed JSON at byte 32); correct what gives them\n" },
		{ "{\"Version\":1," PAIR ",\"Expiration\":\"soon\"}", true,
		  "unit: it: the credentials' expiration is no time like 2026-01-31T23:59:59Z; correct what gives them\n" },
		{ "{\"Version\":1," PAIR ",\"Expiration\":\"2027-01-15T08:00:00Z\"}",
		  true,
		  "unit: it: the credentials have expired; get fresh ones, and check this host's clock\n" },
		{ "{\"Version\":1,\"AccessKeyId\":\"A\\n\",\"SecretAccessKey\":\"s\"}",
		  true,
		  "unit: it: the credentials have characters that no AWS key has; copy them again\n" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		from_json(cases[i].text, cases[i].version, cases[i].says);
}

static void budget(void **state)
{
	struct http *http = NULL;

	(void)state;
	assert_int_equal(http_open(1000, &http), 0);
	assert_int_equal(http_restart(http, 0), -EINVAL);
	assert_int_equal(http_restart(http, 86400001), -EINVAL);
	assert_in_range(http_left_ms(http), 0, 1000);
	assert_int_equal(http_restart(http, 86400000), 0);
	assert_in_range(http_left_ms(http), 86300000, 86400000);
	assert_int_equal(http_timeout_ms(http), 86400000);
	http_close(http);
}

static void kms_budget(void **state)
{
	struct kms *kms = NULL;

	(void)state;
	assert_int_equal(kms_open(NULL, 1000, &kms), 0);
	assert_int_equal(kms_restart(kms, 0), -EINVAL);
	assert_int_equal(kms_restart(kms, 86400001), -EINVAL);
	assert_int_equal(kms_restart(kms, 1000), 0);
	kms_free(kms);
}

static void session_names(void **state)
{
	char host[65] = "";
	char *name = credentials_session_name((struct slice){ "one+two", 3 });

	(void)state;
	assert_string_equal(name, "one");
	free(name);
	gethostname(host, sizeof(host) - 1);
	name = credentials_session_name((struct slice){ 0 });
	assert_int_equal(strncmp(name, "envelope-", 9), 0);
	/* STS takes 64 of them. */
	assert_in_range(strlen(name), 10, 64);
	if (strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789.-") ==
	    strlen(host))
		assert_int_equal(strncmp(name + 9, host, strlen(name + 9)), 0);
	free(name);
}

#define CASE(title, function) { title, function, setup, cleanup, NULL }

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE("credentials: good ones are kept until five minutes are left",
		     kept),
		CASE("credentials: they are renewed before they expire",
		     renewed),
		CASE("credentials: what does not expire is not renewed",
		     forever),
		CASE("credentials: what still lasts is used, and others asked for",
		     failing),
		CASE("security-18-credentials: expired ones are never used",
		     over),
		CASE("credentials: short ones are renewed once a minute",
		     short_lived),
		CASE("credentials: refused ones are read anew", dropped),
		CASE("credentials: times as programs write them", times),
		CASE("credentials: numbers within their bounds", numbers),
		CASE("credentials: answers that are none are named", answers),
		CASE("http: a session gets a new time budget", budget),
		CASE("kms: a session gets a new time budget", kms_budget),
		CASE("credentials: a role's session has the same name each time",
		     session_names),
	};

	log_init("unit");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
