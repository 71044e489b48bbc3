/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory for GnuTLS: wiped when it is freed. Each record that is read or sent
 * passes through blocks that take the largest one there may be; a few of these
 * go round between all connections, so that they, and the wiping, stay in the
 * processor's caches.
 */
#ifndef KMS_TLS_MEMORY_H
#define KMS_TLS_MEMORY_H

/* Before the first session. */
void tls_memory_use(void);

#endif
