// SPDX-License-Identifier: GPL-2.0-or-later
/* The endpoint that a container engine tells its containers of. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "credentials_private.h"
#include "log.h"

#define ECS "http://169.254.170.2"
#define ATTEMPT_MS 2000
#define ATTEMPTS 3
#define URL_MAX_BYTES 2048

static int fault(const char *variable, const char *what)
{
	log_error("%s: %s", variable, what);
	return -EHOSTUNREACH;
}

/*
 * Over plain HTTP only this host, and the link-local addresses of ECS (.2)
 * and EKS (.23, fd00:ec2::23).
 */
static bool host_allowed(const char *host, size_t len)
{
	static const char *const known[] = {
		"localhost", "169.254.170.2", "169.254.170.23",
		"[fd00:ec2::23]", "[::1]",
	};
	struct in_addr a;
	char text[64];
	size_t i;

	if (len >= sizeof(text))
		return false;
	memcpy(text, host, len);
	text[len] = '\0';
	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(text, known[i]) == 0)
			return true;
	return inet_pton(AF_INET, text, &a) == 1 &&
	       ntohl(a.s_addr) >> 24 == 127;
}

/* It becomes a request line: no blanks, no controls. */
static bool url_clean(const char *url)
{
	const char *at;

	for (at = url; *at; at++)
		if (*at <= ' ' || *at > '~' || *at == '\\')
			return false;
	return at - url < URL_MAX_BYTES;
}

static int check_full(const char *url)
{
	const char *host;
	size_t len;

	if (strncmp(url, "https://", 8) == 0)
		return 0;
	if (strncmp(url, "http://", 7) != 0)
		return fault("AWS_CONTAINER_CREDENTIALS_FULL_URI", "no http:// or https:// address; correct it");
	host = url + 7;
	len = host[0] == '[' ? strcspn(host, "]/?#") : strcspn(host, ":/?#");
	if (host[len] == ']')
		len++;
	/* Whoever hides a host behind NAME@ finds that curl refuses it. */
	if (host_allowed(host, len) && strchr(":/?#", host[len]))
		return 0;
	return fault("AWS_CONTAINER_CREDENTIALS_FULL_URI", "plain HTTP goes to this host, 169.254.170.2, 169.254.170.23 and [fd00:ec2::23] only; give one of them or https://");
}

/* *@ret stays NULL where the environment names none. */
static int choose_url(const struct credentials_run *run, char **ret)
{
	const char *relative = credentials_env(
		run, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *full = credentials_env(
		run, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
	int n;

	if (!relative && !full)
		return 0;
	if (!url_clean(relative ? relative : full))
		return fault(relative ? "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" : "AWS_CONTAINER_CREDENTIALS_FULL_URI",
			     "not a clean address; correct it");
	if (relative && relative[0] != '/')
		return fault("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "it has to begin with a slash; correct it");
	if (!relative && check_full(full) < 0)
		return -EHOSTUNREACH;
	n = relative ? asprintf(ret, ECS "%s", relative) :
		       asprintf(ret, "%s", full);
	if (n < 0)
		*ret = NULL;
	return n < 0 ? -ENOMEM : 0;
}

/* What the Authorization header says; NULL with 0: nothing. */
static int read_token(const struct credentials_run *run, struct secret **ret)
{
	const char *path = credentials_env(
		run, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	const char *value = credentials_env(
		run, "AWS_CONTAINER_AUTHORIZATION_TOKEN");
	const char *variable = path ? "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE" :
				      "AWS_CONTAINER_AUTHORIZATION_TOKEN";
	struct secret *text = NULL;
	char *at;
	bool own;
	int r;

	if (path) {
		r = credentials_file_read(path, &text, &own);
		if (r < 0)
			return r;
	} else if (value) {
		text = secret_new(strlen(value) + 1);
		if (!text)
			return -ENOMEM;
		memcpy(secret_bytes(text), value, strlen(value));
	}
	if (!text && !path)
		return 0;
	at = text ? (char *)secret_bytes(text) : NULL;
	if (at && path && at[0] && at[strlen(at) - 1] == '\n')
		at[strlen(at) - 1] = '\0';
	if (!at || !at[0]) {
		secret_free(text);
		return fault(variable, "the file is missing or empty; check who writes it");
	}
	/* A line's end would start another header. */
	if (at[strcspn(at, "\r\n")] != '\0') {
		secret_free(text);
		return fault(variable, "the token has more than one line; correct it");
	}
	*ret = text;
	return 0;
}

static int ask(struct credentials_run *run, const char *url,
	       const struct secret *token, struct credentials **ret)
{
	struct http_header headers[] = {
		{ "Accept", "application/json" },
		{ token ? "Authorization" : NULL,
		  token ? (const char *)secret_cbytes(token) : NULL },
		{ 0 },
	};
	struct http_request request = {
		.method = "GET",
		.endpoint = url,
		.plain = strncmp(url, "http://", 7) == 0,
		.ca_file = credentials_env(run, "AWS_CA_BUNDLE"),
		.headers = headers,
		.attempt_ms = ATTEMPT_MS,
		.attempts = ATTEMPTS,
	};
	enum http_failure why = HTTP_OK;
	struct http_answer answer = { 0 };
	char *source = NULL;
	int r;

	r = http_send(run->http, &request, &answer, &why);
	if (r == -EHOSTUNREACH)
		r = credentials_no_answer(run, why, "container credentials",
					  url);
	if (r < 0)
		goto out;
	if (answer.status != 200) {
		log_error("container credentials: %s refuses them (HTTP status %ld); check AWS_CONTAINER_AUTHORIZATION_TOKEN and the role of the task",
			  url, answer.status);
		r = -EHOSTUNREACH;
		goto out;
	}
	if (asprintf(&source, "the container endpoint %s", url) < 0) {
		source = NULL;
		r = -ENOMEM;
		goto out;
	}
	r = credentials_from_json((const char *)secret_cbytes(answer.body),
				  answer.body_bytes, "Token", false, source,
				  ret);
out:
	free(source);
	http_answer_wipe(&answer);
	return r;
}

int credentials_from_container(struct credentials_run *run,
			       struct credentials **ret)
{
	struct secret *token = NULL;
	char *url = NULL;
	int r;

	r = choose_url(run, &url);
	if (r == 0 && !url)
		return -ENOENT;
	if (r == 0)
		r = read_token(run, &token);
	if (r == 0)
		r = ask(run, url, token, ret);
	secret_free(token);
	free(url);
	return r;
}
