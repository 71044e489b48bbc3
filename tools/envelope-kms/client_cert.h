/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Certificates that clients must have: the TLS handshake ends without. */
#ifndef KMS_CLIENT_CERT_H
#define KMS_CLIENT_CERT_H

#include <microhttpd.h>
#include <stdbool.h>

/*
 * What MHD_OPTION_NOTIFY_CONNECTION's callback does, with the throttle that
 * counts refusals, for a daemon that has MHD_OPTION_HTTPS_MEM_TRUST.
 */
void client_cert_notify(void *throttle, struct MHD_Connection *connection,
			void **context,
			enum MHD_ConnectionNotificationCode what);

/*
 * Whether the client of this connection has shown a good one. The handshake
 * has made sure of that; requests ask once more, so that nothing is answered
 * if libraries change.
 */
bool client_cert_shown(struct MHD_Connection *connection);

/* How many certificates the PEM text @pem has; negative: it is no good. */
int client_cert_count(const char *pem);

#endif
