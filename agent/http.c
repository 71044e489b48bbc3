// SPDX-License-Identifier: GPL-2.0-or-later
/* Requests over libcurl: how it is tied down, when it tries again. */
#include "http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "curl.h"
#include "process.h"

#define DAY_MS 86400000u
/* A dropped SYN must not eat the whole budget: another try may get through. */
#define CONNECT_MAX_MS 10000u
/* libcurl counts by a clock of its own and may stop this much early. */
#define CLOCK_SLACK_MS 20u

struct http {
	CURL *easy;
	unsigned int timeout_ms;
	uint64_t deadline_ms;	/* CLOCK_MONOTONIC */
	unsigned int attempts;	/* of the last request */
	bool fresh;		/* the next connection is a new one */
	char detail[CURL_ERROR_SIZE];
	char request_id[65];	/* of the last answer, or "" */
};

/* What the write callback fills. */
struct sink {
	uint8_t *bytes;
	size_t room;
	size_t used;
	bool oversized;
};

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ull + t.tv_nsec / 1000000;
}

int http_open(unsigned int timeout_ms, struct http **ret)
{
	struct http *http;
	int r;

	if (timeout_ms == 0 || timeout_ms > DAY_MS)
		return -EINVAL;
	r = curl_load();
	if (r < 0)
		return r;
	http = calloc(1, sizeof(*http));
	if (!http)
		return -ENOMEM;
	http->easy = curl.easy_init();
	if (!http->easy) {
		free(http);
		return -ENOMEM;
	}
	http->timeout_ms = timeout_ms;
	http->deadline_ms = now_ms() + timeout_ms;
	*ret = http;
	return 0;
}

void http_close(struct http *http)
{
	if (!http)
		return;
	curl.easy_cleanup(http->easy);
	free(http);
}

int http_restart(struct http *http, unsigned int timeout_ms)
{
	if (timeout_ms == 0 || timeout_ms > DAY_MS)
		return -EINVAL;
	http->timeout_ms = timeout_ms;
	http->deadline_ms = now_ms() + timeout_ms;
	return 0;
}

void http_fresh_connection(struct http *http)
{
	http->fresh = true;
}

const char *http_host(const char *endpoint)
{
	const char *slashes = strstr(endpoint, "//");

	return slashes ? slashes + 2 : endpoint;
}

unsigned int http_left_ms(const struct http *http)
{
	uint64_t now = now_ms();

	return now < http->deadline_ms ? http->deadline_ms - now : 0;
}

unsigned int http_timeout_ms(const struct http *http)
{
	return http->timeout_ms;
}

unsigned int http_attempts(const struct http *http)
{
	return http->attempts;
}

const char *http_detail(const struct http *http)
{
	return http->detail;
}

const char *http_request_id(const struct http *http)
{
	return http->request_id;
}

const char *http_header(const struct http *http, const char *name)
{
	struct curl_header *h;

	return curl.easy_header(http->easy, name, 0, CURLH_HEADER, -1, &h) ==
	       CURLHE_OK ? h->value : NULL;
}

bool http_connected(const struct http *http)
{
	curl_off_t connected_us = 0;

	curl.easy_getinfo(http->easy, CURLINFO_CONNECT_TIME_T, &connected_us);
	return connected_us > 0;
}

/* The chain as it was sent, root or not. */
static int64_t first_end(CURL *easy)
{
	static const char label[] = "Expire date:";
	struct curl_certinfo *chain = NULL;
	struct curl_slist *line;
	int64_t first = -1;
	time_t end;
	int i;

	curl.easy_getinfo(easy, CURLINFO_CERTINFO, &chain);
	for (i = 0; chain && i < chain->num_of_certs; i++)
		for (line = chain->certinfo[i]; line; line = line->next) {
			if (strncmp(line->data, label, strlen(label)) != 0)
				continue;
			end = curl.getdate(line->data + strlen(label), NULL);
			if (end > 0 && (first < 0 || end < first))
				first = end;
		}
	return first;
}

void http_peer(const struct http *http, struct http_peer *ret)
{
	struct curl_header *date = NULL;

	ret->date_s = -1;
	if (curl.easy_header(http->easy, "Date", 0, CURLH_HEADER, -1,
			     &date) == CURLHE_OK)
		ret->date_s = curl.getdate(date->value, NULL);
	ret->expires_s = first_end(http->easy);
}

void http_answer_wipe(struct http_answer *answer)
{
	secret_free(answer->body);
	*answer = (struct http_answer){ 0 };
}

unsigned int http_backoff_ms(unsigned int attempt, uint32_t random)
{
	uint64_t most = HTTP_BACKOFF_CAP_MS;

	if (attempt < 16 &&
	    ((uint64_t)HTTP_BACKOFF_BASE_MS << attempt) < most)
		most = (uint64_t)HTTP_BACKOFF_BASE_MS << attempt;
	return (random * (most + 1)) >> 32;
}

static size_t take_body(char *data, size_t size, size_t count, void *user)
{
	struct sink *sink = user;
	size_t bytes = size * count;

	if (bytes > sink->room - sink->used) {
		sink->oversized = true;
		return 0;
	}
	memcpy(sink->bytes + sink->used, data, bytes);
	sink->used += bytes;
	return bytes;
}

static int add_line(struct curl_slist **list, const char *line)
{
	struct curl_slist *longer = curl.slist_append(*list, line);

	if (!longer)
		return -ENOMEM;
	*list = longer;
	return 0;
}

static int add_header(struct curl_slist **list, const char *name,
		      const char *value)
{
	size_t bytes = strlen(name) + strlen(": ") + strlen(value) + 1;
	char *line;
	int r;

	/* The session token passes through here: asprintf(3) would leave pieces
	 * of it where its buffer grew. */
	line = wiping_malloc(bytes);
	if (!line)
		return -ENOMEM;
	snprintf(line, bytes, "%s: %s", name, value);
	r = add_line(list, line);
	wiping_free(line);
	return r;
}

/* Host too, lest curl write it otherwise than it was signed. */
static int add_signature(struct curl_slist **list,
			 const struct http_request *q)
{
	int r = add_header(list, "Host", http_host(q->endpoint));

	if (r == 0)
		r = add_header(list, "X-Amz-Date", q->signature->date);
	if (r == 0)
		r = add_header(list, "Authorization",
			       q->signature->authorization);
	return r;
}

static const char *session_token(const struct http_request *q)
{
	if (q->signature)
		return q->signature->session_token;
	return q->credentials && q->credentials->session_token ?
	       (const char *)secret_cbytes(q->credentials->session_token) :
	       NULL;
}

static int make_headers(const struct http_request *q, struct curl_slist **ret)
{
	const struct http_header *h;
	struct curl_slist *list = NULL;
	int r;

	/* Without a type curl would make up one. */
	if (q->content_type)
		r = add_header(&list, "Content-Type", q->content_type);
	else
		r = add_line(&list, "Content-Type:");
	if (r == 0 && q->target)
		r = add_header(&list, "X-Amz-Target", q->target);
	if (r == 0 && session_token(q))
		r = add_header(&list, "X-Amz-Security-Token",
			       session_token(q));
	if (r == 0 && q->signature)
		r = add_signature(&list, q);
	for (h = q->headers; r == 0 && h && h->name; h++)
		r = add_header(&list, h->name, h->value);
	if (r < 0) {
		curl.slist_free_all(list);
		return r;
	}
	*ret = list;
	return 0;
}

static CURLcode set_client_cert(CURL *easy, const struct http_request *q)
{
	CURLcode c = CURLE_OK;

	if (q->cert_file)
		c = curl.easy_setopt(easy, CURLOPT_SSLCERT, q->cert_file);
	if (!c && q->cert_file)
		c = curl.easy_setopt(easy, CURLOPT_SSLKEY, q->cert_key_file);
	return c;
}

static CURLcode set_tls(CURL *easy, const struct http_request *q)
{
	CURLcode c;

	c = curl.easy_setopt(easy, CURLOPT_PROTOCOLS_STR,
			     q->plain ? "http,https" : "https");
	if (!c)
		c = curl.easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	if (!c)
		c = curl.easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	if (!c)
		c = curl.easy_setopt(easy, CURLOPT_SSLVERSION,
				     (long)CURL_SSLVERSION_TLSv1_2);
	if (!c)
		c = set_client_cert(easy, q);
	if (c || !q->ca_file)
		return c;
	c = curl.easy_setopt(easy, CURLOPT_CAINFO, q->ca_file);
	/* Distributions compile a directory of public CAs in: not here. */
	if (!c)
		c = curl.easy_setopt(easy, CURLOPT_CAPATH, NULL);
	return c;
}

/* What curl would otherwise take from the environment, files or the server. */
static CURLcode set_closed(CURL *easy, const struct http_request *q)
{
	CURLcode c;

	c = curl.easy_setopt(easy, CURLOPT_PROXY, q->proxy ? q->proxy : "");
	if (!c)
		c = curl.easy_setopt(easy, CURLOPT_NOPROXY, "");
	if (!c)
		c = curl.easy_setopt(easy, CURLOPT_NETRC,
				     (long)CURL_NETRC_IGNORED);
	if (!c)
		c = curl.easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	if (!c)
		c = curl.easy_setopt(easy, CURLOPT_DISALLOW_USERNAME_IN_URL,
				     1L);
	return c;
}

static CURLcode set_signature(CURL *easy, const struct http_request *q)
{
	char scope[128];
	CURLcode c;

	if (q->signature || !q->credentials)
		return CURLE_OK;
	if (snprintf(scope, sizeof(scope), "aws:amz:%s:%s", q->region,
		     q->service) >= (int)sizeof(scope))
		return CURLE_BAD_FUNCTION_ARGUMENT;
	c = curl.easy_setopt(easy, CURLOPT_AWS_SIGV4, scope);
	if (!c)
		c = curl.easy_setopt(easy, CURLOPT_USERNAME,
				     q->credentials->access_key_id);
	/* curl keeps a copy of its own until the session ends, then wipes. */
	if (!c)
		c = curl.easy_setopt(easy, CURLOPT_PASSWORD,
				     (const char *)secret_cbytes(
					     q->credentials->secret_key));
	return c;
}

/* What is asked; without a body still POST and PUT say that it is empty. */
static CURLcode set_method(CURL *easy, const struct http_request *q)
{
	const char *method = q->method ? q->method : "POST";
	CURLcode c;

	if (strcmp(method, "GET") == 0)
		return curl.easy_setopt(easy, CURLOPT_HTTPGET, 1L);
	if (strcmp(method, "HEAD") == 0)
		return curl.easy_setopt(easy, CURLOPT_NOBODY, 1L);
	c = curl.easy_setopt(easy, CURLOPT_POSTFIELDS, q->body ? q->body : "");
	if (!c)
		c = curl.easy_setopt(easy, CURLOPT_POSTFIELDSIZE,
				     (long)q->body_bytes);
	if (!c && strcmp(method, "POST") != 0)
		c = curl.easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
	return c;
}

static CURLcode set_times(struct http *http, const struct http_request *q)
{
	unsigned int most = http_left_ms(http);
	CURLcode c;

	if (q->attempt_ms > 0 && q->attempt_ms < most)
		most = q->attempt_ms;
	c = curl.easy_setopt(http->easy, CURLOPT_TIMEOUT_MS, (long)most);
	if (!c)
		c = curl.easy_setopt(http->easy, CURLOPT_CONNECTTIMEOUT_MS,
				     (long)(most < CONNECT_MAX_MS ?
					    most : CONNECT_MAX_MS));
	return c;
}

static CURLcode set_request(struct http *http, const struct http_request *q,
			    struct curl_slist *headers, struct sink *sink)
{
	CURL *easy = http->easy;
	CURLcode c;

	c = curl.easy_setopt(easy, CURLOPT_URL, q->endpoint);
	if (!c)
		c = curl.easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	if (!c)
		c = curl.easy_setopt(easy, CURLOPT_USERAGENT, "dm-envelope");
	if (!c)
		c = curl.easy_setopt(easy, CURLOPT_HTTP_VERSION,
				     (long)CURL_HTTP_VERSION_1_1);
	if (!c)
		c = set_method(easy, q);
	if (!c)
		c = curl.easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
	if (!c)
		c = curl.easy_setopt(easy, CURLOPT_WRITEDATA, sink);
	if (!c)
		c = curl.easy_setopt(easy, CURLOPT_ERRORBUFFER, http->detail);
	if (!c)
		c = set_times(http, q);
	if (!c)
		c = curl.easy_setopt(easy, CURLOPT_CERTINFO,
				     q->look ? 1L : 0L);
	if (!c)
		c = curl.easy_setopt(easy, CURLOPT_FRESH_CONNECT,
				     http->fresh ? 1L : 0L);
	return c;
}

/* A connection cut within the handshake says nothing about certificates. */
static bool cut_off(const struct http *http)
{
	long os_errno = 0;

	curl.easy_getinfo(http->easy, CURLINFO_OS_ERRNO, &os_errno);
	return os_errno != 0;
}

static enum http_failure failure_of(const struct http *http, CURLcode c,
				    const struct sink *sink)
{
	if (sink->oversized)
		return HTTP_OVERSIZED;
	switch (c) {
	case CURLE_OK:
		return HTTP_OK;
	case CURLE_OPERATION_TIMEDOUT:
		return http_left_ms(http) > CLOCK_SLACK_MS ?
			       HTTP_NO_CONNECTION : HTTP_TIMEOUT;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_CONNECT:
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
		return HTTP_NO_CONNECTION;
	case CURLE_SSL_CACERT_BADFILE:
		return HTTP_CA_FILE;
	case CURLE_SSL_CONNECT_ERROR:
		return cut_off(http) ? HTTP_NO_CONNECTION : HTTP_TLS;
	case CURLE_SSL_CERTPROBLEM:
		return HTTP_CERT_FILE;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_ISSUER_ERROR:
		return HTTP_TLS;
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_HTTP2:
		return HTTP_NO_HTTP;
	default:
		return HTTP_INTERNAL;
	}
}

/* It goes into logs: nothing but what the ids of AWS are made of. */
static void take_request_id(struct http *http)
{
	struct curl_header *h;
	size_t bytes;

	if (curl.easy_header(http->easy, "x-amzn-RequestId", 0, CURLH_HEADER,
			     -1, &h) != CURLHE_OK)
		return;
	bytes = strspn(h->value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");
	if (h->value[bytes] == '\0' && bytes < sizeof(http->request_id))
		strcpy(http->request_id, h->value);
}

/* One request, one answer or failure; nothing of it is kept on failure. */
static enum http_failure attempt(struct http *http,
				 const struct http_request *q,
				 struct curl_slist *headers,
				 struct http_answer *answer)
{
	struct sink sink = {
		.bytes = q->into ? q->into : secret_bytes(answer->body),
		.room = q->into ? q->into_bytes : HTTP_ANSWER_MAX_BYTES,
	};
	enum http_failure why;
	CURLcode c;

	curl.easy_reset(http->easy);
	http->detail[0] = '\0';
	http->request_id[0] = '\0';
	answer->body_bytes = 0;
	c = set_request(http, q, headers, &sink);
	if (!c)
		c = set_tls(http->easy, q);
	if (!c)
		c = set_closed(http->easy, q);
	if (!c)
		c = set_signature(http->easy, q);
	if (!c)
		c = curl.easy_perform(http->easy);
	if (!q->into)
		sink.bytes[sink.used] = '\0';
	http->attempts++;
	http->fresh = false;
	why = failure_of(http, c, &sink);
	if (why == HTTP_OK) {
		curl.easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE,
				  &answer->status);
		take_request_id(http);
		answer->body_bytes = sink.used;
		if (answer->status >= 300 && answer->status < 400)
			why = HTTP_REDIRECT;
	} else if (http->detail[0] == '\0') {
		snprintf(http->detail, sizeof(http->detail), "%s",
			 curl.easy_strerror(c));
	}
	return why;
}

static bool worth_another(const struct http_request *q, enum http_failure why,
			  const struct http_answer *answer)
{
	if (why != HTTP_OK)
		return why == HTTP_NO_CONNECTION;
	if (answer->status >= 500 || answer->status == 429)
		return true;
	return q->retryable &&
	       q->retryable(answer->status, q->into ? NULL :
			    (const char *)secret_cbytes(answer->body),
			    answer->body_bytes);
}

/* Milliseconds to wait before the next attempt. */
static uint64_t wait_ms(struct http *http, enum http_failure why)
{
	curl_off_t asked_s = 0;
	uint32_t random = 0;
	uint64_t wait;

	/* Without entropy all of it: late is better than in step. */
	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		random = UINT32_MAX;
	wait = http_backoff_ms(http->attempts - 1, random);
	if (why == HTTP_OK)
		curl.easy_getinfo(http->easy, CURLINFO_RETRY_AFTER, &asked_s);
	if (asked_s > 0 && asked_s < DAY_MS / 1000 &&
	    wait < (uint64_t)asked_s * 1000)
		wait = (uint64_t)asked_s * 1000;
	return asked_s >= DAY_MS / 1000 ? DAY_MS : wait;
}

static void sleep_ms(uint64_t ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &t) == EINTR)
		;
}

int http_send(struct http *http, const struct http_request *q,
	      struct http_answer *ret, enum http_failure *why_ret)
{
	struct http_answer answer = { 0 };
	struct curl_slist *headers = NULL;
	enum http_failure why = HTTP_TIMEOUT;
	unsigned int most = q->attempts ? q->attempts : HTTP_MAX_ATTEMPTS;
	int r = -ENOMEM;

	http->attempts = 0;
	http->detail[0] = '\0';
	http->request_id[0] = '\0';
	if (!q->into)
		answer.body = secret_new(HTTP_ANSWER_MAX_BYTES + 1);
	if ((!q->into && !answer.body) || make_headers(q, &headers) < 0)
		goto out;
	while (http_left_ms(http) > 0) {
		uint64_t wait;

		why = attempt(http, q, headers, &answer);
		if (http->attempts == most ||
		    !worth_another(q, why, &answer))
			break;
		wait = wait_ms(http, why);
		if (wait >= http_left_ms(http))
			break;
		sleep_ms(wait);
	}
	r = why == HTTP_OK ? 0 : -EHOSTUNREACH;
	*why_ret = why;
	if (r < 0)
		goto out;
	*ret = answer;
	answer.body = NULL;
out:
	curl.slist_free_all(headers);
	http_answer_wipe(&answer);
	return r;
}
