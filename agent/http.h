/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libcurl in our terms: requests over verified TLS, signed or not, one retry
 * layer, one time budget over all of it.
 *
 * Never, whatever the environment says: an unverified certificate, a redirect
 * followed, netrc, a proxy that was not configured, plain HTTP where the
 * caller does not ask for it.
 */
#ifndef ENVELOPE_HTTP_H
#define ENVELOPE_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "credentials.h"
#include "secret.h"

#define HTTP_ANSWER_MAX_BYTES 65536
#define HTTP_MAX_ATTEMPTS 6
#define HTTP_BACKOFF_BASE_MS 100
#define HTTP_BACKOFF_CAP_MS 5000

struct http;

/*
 * Headers by which somebody else signed the request (sigv4.h); what he signed
 * is sent as it is.
 */
struct http_signature {
	const char *date;		/* X-Amz-Date */
	const char *authorization;
	const char *session_token;	/* X-Amz-Security-Token, or NULL */
};

struct http_header {
	const char *name;
	const char *value;		/* may be a secret */
};

/* Where to, as whom, and what. Everything stays the caller's. */
struct http_request {
	const char *method;		/* NULL: POST */
	const char *endpoint;		/* https://HOST[:PORT][/PATH] */
	/*
	 * http:// as well. Only for services whose addresses do not leave this
	 * host or link, which the caller has made sure of.
	 */
	bool plain;
	const char *ca_file;		/* these CAs only; NULL: the system's */
	const char *cert_file;		/* the client's own, PEM; NULL: none */
	const char *cert_key_file;	/* its key, PEM; with cert_file */
	const char *proxy;		/* NULL: none */
	const char *region;		/* SigV4 scope */
	const char *service;		/* SigV4 scope, "kms" */
	/* As whom; without both the request is not signed. */
	const struct credentials *credentials;
	const struct http_signature *signature; /* in place of credentials */
	const char *target;		/* X-Amz-Target; NULL: none */
	const char *content_type;	/* NULL: none */
	const struct http_header *headers; /* to one without name; or NULL */
	const void *body;		/* NULL: none */
	size_t body_bytes;
	bool look;			/* at the server: see http_peer() */
	/*
	 * Where the answer's body goes in place of http_answer.body, at most
	 * @into_bytes of it: for one that is no secret. NULL: there.
	 */
	uint8_t *into;
	size_t into_bytes;
	unsigned int attempt_ms;	/* for one attempt; 0: all that is left */
	unsigned int attempts;		/* at most; 0: HTTP_MAX_ATTEMPTS */
	/*
	 * Is this answer, which is not 5xx, worth another attempt? It must
	 * not keep the body, which is NULL if it went elsewhere. NULL: never.
	 */
	bool (*retryable)(long status, const char *body, size_t bytes);
};

struct http_answer {
	long status;			/* HTTP status */
	struct secret *body;		/* HTTP_ANSWER_MAX_BYTES + 1, locked;
					 * NULL: it went into the request's */
	size_t body_bytes;		/* NUL behind them */
};

/* Why no answer came, for the sentence that the caller prints. */
enum http_failure {
	HTTP_OK = 0,
	HTTP_NO_CONNECTION,	/* refused, reset, no route, no such host */
	HTTP_TIMEOUT,		/* the time budget is spent */
	HTTP_TLS,		/* handshake, certificate, host name */
	HTTP_CA_FILE,		/* ca-file missing or no PEM */
	HTTP_CERT_FILE,		/* client certificate or its key unusable */
	HTTP_OVERSIZED,		/* more than there is room for */
	HTTP_REDIRECT,		/* 3xx, not followed */
	HTTP_NO_HTTP,		/* what answers does not speak HTTP */
	HTTP_INTERNAL,		/* libcurl refused to work */
};

/*
 * A session; the time budget of @timeout_ms (1 to a day) over all its
 * requests, waits included, starts now. Not for several threads at once.
 * 0; -EINVAL; -ENOMEM; -EIO: as curl_load(), which has said why.
 */
int http_open(unsigned int timeout_ms, struct http **ret);

/*
 * The Host header of requests to @endpoint (https://HOST[:PORT]): what is
 * behind the slashes.
 */
const char *http_host(const char *endpoint);

/* Closes connections and wipes. NULL is accepted. */
void http_close(struct http *http);

/* A new time budget from now on; connections stay. 0; -EINVAL as above. */
int http_restart(struct http *http, unsigned int timeout_ms);

/* The next request opens a connection of its own. */
void http_fresh_connection(struct http *http);

/* Milliseconds left of the time budget, 0 when spent. */
unsigned int http_left_ms(const struct http *http);

/* Attempts made by the last http_send(), also where it failed. */
unsigned int http_attempts(const struct http *http);

/* The time budget as it was given. */
unsigned int http_timeout_ms(const struct http *http);

/*
 * Send, and send again while it may help: no connection, 5xx, or retryable()
 * says so; waits by http_backoff_ms() or the server's Retry-After, whichever
 * is longer. It gives up after @attempts, and at once where the wait
 * would outlast the time budget: the last answer, or failure, is the result.
 *
 * 0 with the last HTTP answer in *@ret (any status; http_answer_wipe() ends
 * it); -EHOSTUNREACH with *@why_ret set and nothing printed; -ENOMEM.
 */
int http_send(struct http *http, const struct http_request *request,
	      struct http_answer *ret, enum http_failure *why_ret);

/* What libcurl or OpenSSL said about the last failure; "" when nothing. */
const char *http_detail(const struct http *http);

/* The x-amzn-RequestId of the last answer; "" if it had none that is one. */
const char *http_request_id(const struct http *http);

/* A header of the last answer, until the next request; NULL: it has none. */
const char *http_header(const struct http *http, const char *name);

/* Did the last attempt get as far as a connection? */
bool http_connected(const struct http *http);

/* What the server of the last answer showed, where the request said look. */
struct http_peer {
	int64_t date_s;		/* its clock, CLOCK_REALTIME; -1: it does not say */
	int64_t expires_s;	/* the first end of a certificate; -1: unknown */
};

void http_peer(const struct http *http, struct http_peer *ret);

/* Wipes and releases the body. An empty answer is accepted. */
void http_answer_wipe(struct http_answer *answer);

/*
 * Full jitter: 0 to min(cap, base << attempt) ms, both ends included, for the
 * wait behind attempt @attempt (from 0), by @random, evenly spread.
 */
unsigned int http_backoff_ms(unsigned int attempt, uint32_t random);

#endif
