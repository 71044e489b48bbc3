// SPDX-License-Identifier: GPL-2.0-or-later
/* Verifies the certificates of clients during the handshake. */
#include "client_cert.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "peer.h"
#include "server.h"
#include "throttle.h"

/* One connection. */
struct client_cert {
	struct throttle *throttle;
	struct peer peer;
	bool shown;
};

static void refuse(gnutls_session_t session, struct client_cert *c,
		   gnutls_alert_description_t alert, const char *why)
{
	size_t n = strlen(why);

	while (n && why[n - 1] == ' ')
		n--;
	gnutls_alert_send(session, GNUTLS_AL_FATAL, alert);
	/* Strangers must not fill the log. */
	if (throttle_failure(c->throttle, c->peer.source, server_wall_ms()))
		log_warn("%s: refused: %.*s", c->peer.address, (int)n, why);
}

/* 0: go on; anything else ends the handshake. */
static int verify(gnutls_session_t session)
{
	struct client_cert *c = gnutls_session_get_ptr(session);
	gnutls_typed_vdata_st purpose = {
		.type = GNUTLS_DT_KEY_PURPOSE_OID,
		.data = (unsigned char *)GNUTLS_KP_TLS_WWW_CLIENT,
	};
	gnutls_datum_t text = { NULL, 0 };
	unsigned int status = 0;
	int rc;

	if (!c)
		return GNUTLS_E_CERTIFICATE_ERROR;
	rc = gnutls_certificate_verify_peers(session, &purpose, 1, &status);
	if (rc == GNUTLS_E_SUCCESS && status == 0) {
		c->shown = true;
		return 0;
	}
	if (rc == GNUTLS_E_NO_CERTIFICATE_FOUND) {
		refuse(session, c, GNUTLS_A_CERTIFICATE_REQUIRED,
		       "the client has no certificate");
	} else if (rc != GNUTLS_E_SUCCESS) {
		refuse(session, c, GNUTLS_A_BAD_CERTIFICATE,
		       gnutls_strerror(rc));
	} else {
		gnutls_certificate_verification_status_print(
			status, GNUTLS_CRT_X509, &text, 0);
		refuse(session, c, GNUTLS_A_BAD_CERTIFICATE, text.data ?
		       (const char *)text.data : "its certificate is no good");
		gnutls_free(text.data);
	}
	return GNUTLS_E_CERTIFICATE_ERROR;
}

struct client_cert *client_cert_new(struct throttle *throttle,
				    struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
	struct client_cert *c = info ? calloc(1, sizeof(*c)) : NULL;

	if (!info)
		return NULL;
	/* Without memory the callback has nothing, and refuses. */
	if (c) {
		c->throttle = throttle;
		peer_of(connection, &c->peer);
	}
	gnutls_session_set_ptr(info->tls_session, c);
	gnutls_session_set_verify_function(info->tls_session, verify);
	return c;
}

void client_cert_free(struct client_cert *c)
{
	free(c);
}

bool client_cert_shown(const struct client_cert *c)
{
	return c && c->shown;
}

int client_cert_count(const char *pem)
{
	gnutls_datum_t data = { (unsigned char *)pem,
				(unsigned int)strlen(pem) };
	gnutls_x509_crt_t *list = NULL;
	unsigned int count = 0, i;
	int rc = gnutls_x509_crt_list_import2(&list, &count, &data,
					      GNUTLS_X509_FMT_PEM, 0);

	if (rc < 0)
		return rc;
	for (i = 0; i < count; i++)
		gnutls_x509_crt_deinit(list[i]);
	gnutls_free(list);
	return (int)count;
}
