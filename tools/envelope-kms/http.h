/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The HTTP side: libmicrohttpd in this server's terms. */
#ifndef KMS_HTTP_H
#define KMS_HTTP_H

#include "body.h"
#include "call.h"
#include "secret.h"
#include "server.h"

#define HTTP_CONNECTIONS_MAX 256    /* one thread each */
#define HTTP_IDLE_SECONDS 60
#define HTTP_REQUEST_MS 30000       /* to send one request's body */

/*
 * Locked memory that strangers can bring the server to use: large bodies,
 * and in each connection a page of body, one of answer, and three while the
 * signature is checked. Below the kernel's usual limit of 8 MiB.
 */
#define HTTP_LOCKED_BYTES (BODY_LARGE_TOTAL_BYTES + \
			   HTTP_CONNECTIONS_MAX * 5 * 4096)

struct http;

/* PEM texts with their NUL. */
struct http_tls {
	struct secret *certificate, *key; /* NULL: plain HTTP */
	struct secret *client_ca; /* NULL: clients need no certificate */
};

/*
 * Serves @s on the listening socket @fd, which it takes over; @s and what
 * @tls names outlive it. 0; -ENOMEM; -EIO with a message printed (the TLS
 * files are no good, or no memory).
 */
int http_start(struct server *s, int fd, enum transport transport,
	       const struct http_tls *tls, struct http **ret);

/* Takes no new connections, lets running requests end, then returns. */
void http_stop(struct http *h);

#endif
