// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A store whose server says what it likes. The input is its answers, each
 *
 *   three digits, the status
 *   the body
 *
 * with a form feed between them. The list of snapshots has ids and nothing
 * else; of blocks only what is called like one is told; what is asked of the
 * server stays below the store's prefix; a failure has its sentence.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz_log.h"
#include "http.h"
#include "snapshot_store.h"

#define BASE "http://127.0.0.1:1/bucket"
#define PREFIX "/a/b/"
#define MARK "envelope snapshot store 1\n"
#define URL_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/:?=&%"
#define HEX "0123456789abcdef"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static const uint8_t *script, *script_end;

/* In place of agent/http.c. */
struct http {
	char unused;
};

int http_open(unsigned int timeout_ms, struct http **ret)
{
	(void)timeout_ms;
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

void http_close(struct http *http)
{
	free(http);
}

int http_restart(struct http *http, unsigned int timeout_ms)
{
	(void)http;
	(void)timeout_ms;
	return 0;
}

const char *http_host(const char *endpoint)
{
	return strstr(endpoint, "://") + 3;
}

void http_fresh_connection(struct http *http)
{
	(void)http;
}

unsigned int http_left_ms(const struct http *http)
{
	(void)http;
	return 1000;
}

unsigned int http_attempts(const struct http *http)
{
	(void)http;
	return 1;
}

unsigned int http_timeout_ms(const struct http *http)
{
	(void)http;
	return 1000;
}

const char *http_detail(const struct http *http)
{
	(void)http;
	return "";
}

const char *http_request_id(const struct http *http)
{
	(void)http;
	return "";
}

const char *http_header(const struct http *http, const char *name)
{
	(void)http;
	(void)name;
	return NULL;
}

bool http_connected(const struct http *http)
{
	(void)http;
	return true;
}

void http_peer(const struct http *http, struct http_peer *ret)
{
	(void)http;
	*ret = (struct http_peer){ -1, -1 };
}

void http_answer_wipe(struct http_answer *answer)
{
	(void)answer;
}

unsigned int http_backoff_ms(unsigned int attempt, uint32_t random)
{
	(void)attempt;
	(void)random;
	return 0;
}

/* Nothing that a server has said makes another request of it. */
static void check_url(const char *url, const char *method)
{
	const char *at = url + strlen(BASE);

	if (strncmp(url, BASE, strlen(BASE)) != 0 ||
	    strspn(url, URL_CHARS) != strlen(url))
		abort();
	if (*at == '?' && strcmp(method, "GET") == 0)
		return;
	if (strncmp(at, PREFIX, strlen(PREFIX)) != 0 || strstr(at, "..") ||
	    strpbrk(at, "?&%"))
		abort();
}

/* The next answer of the input; when there is none any more, 404. */
static size_t next_answer(long *status, const uint8_t **body)
{
	const uint8_t *end, *at = script;
	size_t i, n;

	*status = 404;
	if (script == script_end)
		return 0;
	end = memchr(at, '\f', script_end - at);
	script = end ? end + 1 : script_end;
	n = (end ? end : script_end) - at;
	for (*status = 0, i = 0; i < 3 && i < n; i++)
		*status = *status * 10 + (at[i] >= '0' && at[i] <= '9' ?
					  at[i] - '0' : 0);
	*body = at + (n < 4 ? n : 4);
	return n < 4 ? 0 : n - 4;
}

int http_send(struct http *http, const struct http_request *q,
	      struct http_answer *ret, enum http_failure *why_ret)
{
	const uint8_t *body = (const uint8_t *)MARK;
	size_t n = strlen(MARK);

	(void)http;
	check_url(q->endpoint, q->method);
	ret->status = 200;
	if (!strstr(q->endpoint, "/envelope-store"))
		n = next_answer(&ret->status, &body);
	if (n > q->into_bytes) {
		*why_ret = HTTP_OVERSIZED;
		return -EHOSTUNREACH;
	}
	if (n > 0)
		memcpy(q->into, body, n);
	ret->body_bytes = n;
	return 0;
}

static int drop(void *user, const struct snapshot_object *o)
{
	if (o->part || strncmp(o->name, "blocks/", 7) != 0 ||
	    strspn(o->name + 7, HEX "/") != strlen(o->name + 7) ||
	    strspn(o->lineage, HEX) != 64 || o->lineage[64])
		abort();
	return snapshot_store_drop(user, o);
}

static void check_list(struct snapshot_store *st)
{
	json_t *ids = NULL;
	size_t i;
	int r;

	fuzz_errors = 0;
	r = snapshot_store_list(st, &ids);
	if (r < 0 && r != -ENOMEM && fuzz_errors != 1)
		abort();
	for (i = 0; r == 0 && i < json_array_size(ids); i++)
		if (!snapshot_id_valid(json_string_value(
						json_array_get(ids, i))))
			abort();
	if (r == 0)
		json_decref(ids);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	setenv("AWS_ACCESS_KEY_ID", "AKIDFUZZ", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	const struct object_access access = {
		.endpoint = "http://127.0.0.1:1",
		.region = "us-east-1",
	};
	struct snapshot_store *st = NULL;
	/* An exact copy, so that reading beyond the end is seen. */
	uint8_t *copy = malloc(bytes ? bytes : 1);
	int r;

	if (!copy)
		abort();
	if (bytes > 0)
		memcpy(copy, data, bytes);
	script = script_end = copy;
	if (snapshot_store_open("s3://bucket/a/b", &access, false, &st) != 0)
		abort();
	script_end = copy + bytes;
	check_list(st);
	fuzz_errors = 0;
	script = copy;
	r = snapshot_store_each(st, "blocks", drop, st);
	if (r < 0 && r != -ENOMEM && fuzz_errors != 1)
		abort();
	snapshot_store_close(st);
	free(copy);
	return 0;
}
