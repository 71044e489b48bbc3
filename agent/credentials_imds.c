// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The instance metadata service, version 2: a PUT for a token first, which
 * neither a forged request of this host's services nor a relay gets answered.
 * Without a token nothing is asked: version 1 gives credentials to anybody.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "credentials_private.h"
#include "log.h"

#define IPV4 "http://169.254.169.254"
#define IPV6 "http://[fd00:ec2::254]"
#define TOKEN_PATH "/latest/api/token"
#define ROLE_PATH "/latest/meta-data/iam/security-credentials/"
/* A token serves the requests below and is forgotten. */
#define TOKEN_TTL_S "60"
#define TOKEN_MAX_BYTES 1024
#define ATTEMPT_S 1
#define ATTEMPTS 3
#define ROLE_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+=,.@-"
#define ROLE_MAX_BYTES 64
#define SOURCE "instance metadata"

struct imds {
	struct credentials_run *run;
	char endpoint[128];
	unsigned int attempt_s;
	unsigned int attempts;
	struct secret *token;
};

static int fault(const struct imds *imds, const char *what)
{
	log_error(SOURCE ": %s: %s", imds->endpoint, what);
	return -EHOSTUNREACH;
}

/* The environment's variable, else the profile's setting. */
static struct slice setting(const struct credentials_run *run,
			    const char *variable, enum profile_setting what)
{
	const char *value = credentials_env(run, variable);

	if (value)
		return (struct slice){ value, strlen(value) };
	return credentials_setting(run, run->name, what);
}

static bool says(struct slice s, const char *text)
{
	return s.len == strlen(text) && strncasecmp(s.at, text, s.len) == 0;
}

/* The service's own addresses, or this host: it speaks plain HTTP. */
static bool endpoint_allowed(const char *url)
{
	size_t scheme = strlen("http://");
	struct in_addr a;
	char host[64];
	const char *rest;
	size_t len;

	if (strncmp(url, "http://", scheme) != 0)
		return false;
	rest = url + scheme;
	len = rest[0] == '[' ? strcspn(rest, "]") + 1 : strcspn(rest, ":");
	if (len >= sizeof(host) || len > strlen(rest))
		return false;
	memcpy(host, rest, len);
	host[len] = '\0';
	rest += len;
	if (*rest == ':')
		rest += 1 + strspn(rest + 1, "0123456789");
	if (*rest != '\0')
		return false;
	return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
	       strcmp(host, IPV4 + scheme) == 0 ||
	       strcmp(host, IPV6 + scheme) == 0 ||
	       (inet_pton(AF_INET, host, &a) == 1 &&
		ntohl(a.s_addr) >> 24 == 127);
}

static int choose_endpoint(struct imds *imds)
{
	const struct credentials_run *run = imds->run;
	struct slice own = setting(run, "AWS_EC2_METADATA_SERVICE_ENDPOINT",
				   METADATA_ENDPOINT);
	struct slice mode = setting(run,
				    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
				    METADATA_MODE);

	if (mode.len > 0 && !says(mode, "IPv4") && !says(mode, "IPv6")) {
		log_error(SOURCE ": ec2_metadata_service_endpoint_mode is IPv4 or IPv6; correct it");
		return -EHOSTUNREACH;
	}
	snprintf(imds->endpoint, sizeof(imds->endpoint), "%s",
		 says(mode, "IPv6") ? IPV6 : IPV4);
	if (own.len == 0)
		return 0;
	while (own.len > 0 && own.at[own.len - 1] == '/')
		own.len--;
	snprintf(imds->endpoint, sizeof(imds->endpoint), "%.*s",
		 own.len < sizeof(imds->endpoint) ? (int)own.len : 0, own.at);
	if (endpoint_allowed(imds->endpoint))
		return 0;
	log_error(SOURCE ": ec2_metadata_service_endpoint is %s, %s or http:// to this host, without a path; correct it",
		  IPV4, IPV6);
	return -EHOSTUNREACH;
}

static int choose_limits(struct imds *imds)
{
	struct slice seconds = setting(imds->run,
				       "AWS_METADATA_SERVICE_TIMEOUT",
				       METADATA_TIMEOUT);
	struct slice attempts = setting(imds->run,
					"AWS_METADATA_SERVICE_NUM_ATTEMPTS",
					METADATA_ATTEMPTS);

	imds->attempt_s = ATTEMPT_S;
	imds->attempts = ATTEMPTS;
	if ((seconds.len == 0 ||
	     credentials_number(seconds, 1, 600, &imds->attempt_s) == 0) &&
	    (attempts.len == 0 ||
	     credentials_number(attempts, 1, 10, &imds->attempts) == 0))
		return 0;
	log_error(SOURCE ": metadata_service_timeout is a number from 1 to 600 and metadata_service_num_attempts one from 1 to 10; correct them");
	return -EHOSTUNREACH;
}

/* 0 with @ret for http_answer_wipe(), or as http_send(). */
static int ask(struct imds *imds, const char *method, const char *path,
	       struct http_answer *ret, enum http_failure *why)
{
	struct http_header headers[] = {
		{ imds->token ? "X-aws-ec2-metadata-token" :
				"X-aws-ec2-metadata-token-ttl-seconds",
		  imds->token ? (const char *)secret_cbytes(imds->token) :
				TOKEN_TTL_S },
		{ 0 },
	};
	struct http_request request = {
		.method = method,
		.plain = true,
		.headers = headers,
		.attempt_ms = imds->attempt_s * 1000,
		.attempts = imds->attempts,
	};
	char url[sizeof(imds->endpoint) + sizeof(ROLE_PATH) + ROLE_MAX_BYTES];

	snprintf(url, sizeof(url), "%s%s", imds->endpoint, path);
	request.endpoint = url;
	return http_send(imds->run->http, &request, ret, why);
}

/* Nobody there is no fault where it is only one of many places to ask. */
static int absent(struct imds *imds, bool must, enum http_failure why)
{
	struct credentials_run *run = imds->run;

	if (must || why != HTTP_NO_CONNECTION)
		return credentials_no_answer(run, why, SOURCE, imds->endpoint);
	snprintf(run->metadata, sizeof(run->metadata), "%s: %s",
		 imds->endpoint, http_detail(run->http));
	return -ENOENT;
}

static bool is_header_text(const char *text)
{
	const char *at;

	for (at = text; *at; at++)
		if (*at < ' ' || *at > '~')
			return false;
	return at > text && at - text <= TOKEN_MAX_BYTES;
}

static int no_token(struct imds *imds, const struct http_answer *answer)
{
	char what[160];

	if (answer->status == 200)
		return fault(imds, "what it gives is no token, so it is no metadata service; check the endpoint");
	snprintf(what, sizeof(what),
		 "it gives no token (HTTP status %ld), and version 1 is never used; allow version 2 in the instance's metadata options",
		 answer->status);
	return fault(imds, what);
}

/*
 * A connection may stand and still no token come: what carries it lives for as
 * many hops as the instance allows, one unless that was raised.
 */
static int get_token(struct imds *imds, bool must)
{
	struct http_answer answer = { 0 };
	enum http_failure why = HTTP_OK;
	int r;

	r = ask(imds, "PUT", TOKEN_PATH, &answer, &why);
	if (r == -EHOSTUNREACH && why == HTTP_NO_CONNECTION &&
	    http_connected(imds->run->http))
		r = fault(imds, "it takes the connection but no token arrives, and version 1 is never used; in a container raise the instance's HttpPutResponseHopLimit");
	else if (r == -EHOSTUNREACH)
		r = absent(imds, must, why);
	else if (r == 0 && (answer.status != 200 ||
			    !is_header_text((const char *)
					    secret_cbytes(answer.body))))
		r = no_token(imds, &answer);
	if (r == 0) {
		imds->token = answer.body;
		answer.body = NULL;
	}
	http_answer_wipe(&answer);
	return r;
}

/* An answer of version 2 to what the token allows. */
static int get(struct imds *imds, const char *path, const char *what,
	       struct http_answer *ret)
{
	enum http_failure why = HTTP_OK;
	char text[160];
	int r;

	r = ask(imds, "GET", path, ret, &why);
	if (r == -EHOSTUNREACH)
		return credentials_no_answer(imds->run, why, SOURCE,
					     imds->endpoint);
	if (r < 0 || ret->status == 200)
		return r;
	if (ret->status == 404)
		snprintf(text, sizeof(text),
			 "it knows no %s; give the instance an instance profile",
			 what);
	else
		snprintf(text, sizeof(text),
			 "it refuses to tell the %s (HTTP status %ld); check the instance's metadata options",
			 what, ret->status);
	http_answer_wipe(ret);
	return fault(imds, text);
}

/* The first line, fit for a path. */
static int get_role(struct imds *imds, char role[static ROLE_MAX_BYTES + 1])
{
	struct http_answer answer = { 0 };
	const char *text;
	size_t len;
	int r;

	r = get(imds, ROLE_PATH, "role", &answer);
	if (r < 0)
		return r;
	text = (const char *)secret_cbytes(answer.body);
	len = strspn(text, ROLE_CHARS);
	if (len == 0 || len > ROLE_MAX_BYTES ||
	    !strchr("\r\n", text[len])) {
		r = fault(imds, "what it gives is no role's name, so it is no metadata service; check the endpoint");
	} else {
		memcpy(role, text, len);
		role[len] = '\0';
	}
	http_answer_wipe(&answer);
	return r;
}

static int get_credentials(struct imds *imds, const char *role,
			   struct credentials **ret)
{
	char path[sizeof(ROLE_PATH) + ROLE_MAX_BYTES];
	struct http_answer answer = { 0 };
	char *source = NULL;
	int r;

	snprintf(path, sizeof(path), ROLE_PATH "%s", role);
	r = get(imds, path, "credentials of the role", &answer);
	if (r < 0)
		return r;
	if (asprintf(&source, "role %s of the instance metadata at %s", role,
		     imds->endpoint) < 0) {
		http_answer_wipe(&answer);
		return -ENOMEM;
	}
	r = credentials_from_json((const char *)secret_cbytes(answer.body),
				  answer.body_bytes, "Token", false, source,
				  ret);
	free(source);
	http_answer_wipe(&answer);
	return r;
}

int credentials_from_imds(struct credentials_run *run, bool must,
			  struct credentials **ret)
{
	struct imds imds = { .run = run };
	const char *off = credentials_env(run, "AWS_EC2_METADATA_DISABLED");
	char role[ROLE_MAX_BYTES + 1];
	int r;

	if (off && strcasecmp(off, "true") == 0) {
		if (!must)
			return -ENOENT;
		log_error(SOURCE ": AWS_EC2_METADATA_DISABLED forbids to ask for credentials there; unset it or choose another source");
		return -EHOSTUNREACH;
	}
	r = choose_endpoint(&imds);
	if (r == 0)
		r = choose_limits(&imds);
	if (r == 0)
		r = get_token(&imds, must);
	if (r == 0)
		r = get_role(&imds, role);
	if (r == 0)
		r = get_credentials(&imds, role, ret);
	secret_free(imds.token);
	return r;
}
