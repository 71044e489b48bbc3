/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The server's own certificate authority and its one certificate. */
#ifndef KMS_CERTS_H
#define KMS_CERTS_H

#include <stddef.h>

/* A DNS name or an IP address, as a certificate can hold it. 1 or 0. */
int certs_host_ok(const char *host);

/*
 * Writes ca.pem, ca.key, server.pem and server.key into @dir: EC P-256, valid
 * 10 years, the server's for localhost, 127.0.0.1, ::1 and the @count @hosts.
 * 0; -EIO or -errno with a message printed.
 */
int certs_make(const char *dir, const char *const *hosts, size_t count);

#endif
