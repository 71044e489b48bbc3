/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Metrics over HTTP, on a socket that systemd listens on. */
#ifndef ENVELOPE_METRICS_HTTP_H
#define ENVELOPE_METRICS_HTTP_H

/*
 * Answer each GET of /metrics on the socket that was passed with what @get
 * gives, text for free(3), until nobody has been connected for @idle_ms;
 * who connects then starts another process. @get may fail: status 500.
 *
 * -EINVAL: no listening socket was passed; -EIO: libmicrohttpd is not there, or
 * does not start. All printed.
 */
int metrics_http_serve(int (*get)(void *data, char **ret), void *data,
		       unsigned int idle_ms);

#endif
