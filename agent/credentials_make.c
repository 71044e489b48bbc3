// SPDX-License-Identifier: GPL-2.0-or-later
/* Credentials out of their parts: which are sound, and until when. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "credentials_private.h"
#include "json.h"
#include "log.h"

#define KEY_ID_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
#define ANSWER_MAX_DEPTH 8

void credentials_free(struct credentials *c)
{
	if (!c)
		return;
	free(c->access_key_id);
	secret_free(c->secret_key);
	secret_free(c->session_token);
	free(c->source);
	free(c);
}

int64_t credentials_now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec;
}

int credentials_number(struct slice text, unsigned int least,
		       unsigned int most, unsigned int *ret)
{
	unsigned int value = 0;
	size_t i;

	for (i = 0; i < text.len; i++) {
		if (text.at[i] < '0' || text.at[i] > '9' || value > most / 10)
			return -EINVAL;
		value = value * 10 + (text.at[i] - '0');
	}
	if (text.len == 0 || value < least || value > most)
		return -EINVAL;
	*ret = value;
	return 0;
}

/* "Z", "+HH:MM" or "+HHMM" in seconds. */
static int parse_offset(const char *text, int64_t *ret)
{
	unsigned int hours, minutes;
	int end = 0;

	if (strcmp(text, "Z") == 0) {
		*ret = 0;
		return 0;
	}
	if ((text[0] != '+' && text[0] != '-') ||
	    strspn(text + 1, "0123456789:") != strlen(text + 1))
		return -EINVAL;
	if (sscanf(text + 1, "%2u:%2u%n", &hours, &minutes, &end) != 2 &&
	    sscanf(text + 1, "%2u%2u%n", &hours, &minutes, &end) != 2)
		return -EINVAL;
	if (text[1 + end] != '\0' || hours > 23 || minutes > 59)
		return -EINVAL;
	*ret = (int64_t)(hours * 60 + minutes) * 60 *
	       (text[0] == '-' ? -1 : 1);
	return 0;
}

int credentials_time(struct slice s, int64_t *ret)
{
	struct tm tm = { 0 };
	char text[64];
	const char *rest;
	int64_t offset;

	if (s.len >= sizeof(text))
		return -EINVAL;
	memcpy(text, s.at, s.len);
	text[s.len] = '\0';
	rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	if (rest && *rest == '.')
		rest += 1 + strspn(rest + 1, "0123456789");
	if (!rest || parse_offset(rest, &offset) < 0)
		return -EINVAL;
	*ret = timegm(&tm) - offset;
	return 0;
}

/* They become header lines: no control characters, no blanks within. */
static bool printable(struct slice s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if (s.at[i] <= ' ' || s.at[i] > '~')
			return false;
	return true;
}

static bool key_id_valid(struct slice s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if (s.at[i] == '\0' || !strchr(KEY_ID_CHARS, s.at[i]))
			return false;
	return s.len <= 128;
}

static int check(const struct credentials_parts *p, const char *source,
		 int64_t *expires_ret)
{
	int64_t expires = 0;

	if (!key_id_valid(p->access_key_id) || !printable(p->secret_key) ||
	    !printable(p->session_token)) {
		log_error("%s: the credentials have characters that no AWS key has; copy them again",
			  source);
		return -EHOSTUNREACH;
	}
	if (p->expiration.len > 0 &&
	    credentials_time(p->expiration, &expires) < 0) {
		log_error("%s: the credentials' expiration is no time like 2026-01-31T23:59:59Z; correct what gives them",
			  source);
		return -EHOSTUNREACH;
	}
	if (p->expiration.len > 0 && expires <= credentials_now_s()) {
		log_error("%s: the credentials have expired; get fresh ones, and check this host's clock",
			  source);
		return -EHOSTUNREACH;
	}
	*expires_ret = expires;
	return 0;
}

static int copy_secret(struct slice s, struct secret **ret)
{
	struct secret *secret = secret_new(s.len + 1);

	if (!secret) {
		log_error("credentials: no locked memory for them: %s",
			  strerror(errno));
		return -ENOMEM;
	}
	memcpy(secret_bytes(secret), s.at, s.len);
	*ret = secret;
	return 0;
}

int credentials_make(const struct credentials_parts *p, const char *source,
		     struct credentials **ret)
{
	struct credentials *c = NULL;
	int64_t expires;
	int r;

	r = check(p, source, &expires);
	if (r < 0)
		goto out;
	r = -ENOMEM;
	c = calloc(1, sizeof(*c));
	if (!c)
		goto out;
	c->expires_s = expires;
	c->access_key_id = strndup(p->access_key_id.at, p->access_key_id.len);
	c->source = strdup(source);
	if (!c->access_key_id || !c->source)
		goto out;
	r = copy_secret(p->secret_key, &c->secret_key);
	if (r == 0 && p->session_token.len > 0)
		r = copy_secret(p->session_token, &c->session_token);
	if (r < 0)
		goto out;
	*ret = c;
	c = NULL;
out:
	credentials_free(c);
	return r;
}

static struct slice member(const json_t *o, const char *name)
{
	const char *text = "";

	(void)json_get_string(o, name, &text);
	return (struct slice){ text, strlen(text) };
}

static int lacks(const char *source, const char *what)
{
	log_error("%s: gave no sound credentials (%s); correct what gives them",
		  source, what);
	return -EHOSTUNREACH;
}

/* Else an end that is no text would be none at all. */
static bool all_text(const json_t *o, const char *token_name)
{
	const char *const names[] = {
		"AccessKeyId", "SecretAccessKey", token_name, "Expiration",
	};
	const json_t *v;
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		v = json_object_get(o, names[i]);
		if (v && !json_is_string(v) && !json_is_null(v))
			return false;
	}
	return true;
}

static int take_members(const json_t *o, const char *token_name, bool version,
			const char *source, struct credentials **ret)
{
	struct credentials_parts p = {
		.access_key_id = member(o, "AccessKeyId"),
		.secret_key = member(o, "SecretAccessKey"),
		.session_token = member(o, token_name),
		.expiration = member(o, "Expiration"),
	};
	uint64_t number;
	char what[64];

	if (version && json_get_u64(o, "Version", 1, 1, &number) < 0)
		return lacks(source, "\"Version\" is not 1");
	if (!all_text(o, token_name))
		return lacks(source, "a member that is to be text is none");
	if (p.access_key_id.len == 0)
		return lacks(source, "no AccessKeyId");
	if (p.secret_key.len == 0)
		return lacks(source, "no SecretAccessKey");
	if (!version && p.session_token.len == 0) {
		snprintf(what, sizeof(what), "no %s", token_name);
		return lacks(source, what);
	}
	if (!version && p.expiration.len == 0)
		return lacks(source, "no Expiration");
	return credentials_make(&p, source, ret);
}

/*
 * The parser's copies of the secrets are wiped when its object is freed here:
 * jansson has our allocator (process.h).
 */
int credentials_from_json(const char *text, size_t bytes,
			  const char *token_name, bool version,
			  const char *source, struct credentials **ret)
{
	char why[JSON_WHY_BYTES];
	json_t *o = NULL;
	int r;

	r = json_parse_strict(text, bytes, ANSWER_MAX_DEPTH, &o, why);
	if (r == -EBADMSG)
		r = lacks(source, why);
	else if (r == 0 && !json_is_object(o))
		r = lacks(source, "no JSON object");
	else if (r == 0)
		r = take_members(o, token_name, version, source, ret);
	json_decref(o);
	return r;
}

int credentials_no_answer(const struct credentials_run *run,
			  enum http_failure why, const char *source,
			  const char *url)
{
	const char *cause = http_detail(run->http);

	if (why == HTTP_REDIRECT)
		cause = "it answers with a redirect, which is never followed";
	else if (why == HTTP_OVERSIZED)
		cause = "it answers too much";
	else if (why == HTTP_TIMEOUT)
		cause = "the time is spent";
	log_error("%s: no answer from %s (%s); check that address and what runs there",
		  source, url, cause);
	return -EHOSTUNREACH;
}
