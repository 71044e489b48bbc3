/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Certificates that clients must have: the TLS handshake ends without. */
#ifndef KMS_CLIENT_CERT_H
#define KMS_CLIENT_CERT_H

#include <microhttpd.h>
#include <stdbool.h>

struct client_cert; /* of one connection */
struct throttle;

/*
 * For MHD_CONNECTION_NOTIFY_STARTED of a daemon that has
 * MHD_OPTION_HTTPS_MEM_TRUST; @throttle counts refusals. NULL, without memory:
 * the handshake will fail. client_cert_free() at its end.
 */
struct client_cert *client_cert_new(struct throttle *throttle,
				    struct MHD_Connection *connection);
void client_cert_free(struct client_cert *c);

/*
 * Whether the client of this connection has shown a good one. The handshake
 * has made sure of that; requests ask once more, so that nothing is answered
 * if libraries change.
 */
bool client_cert_shown(const struct client_cert *c);

/* How many certificates the PEM text @pem has; negative: it is no good. */
int client_cert_count(const char *pem);

#endif
