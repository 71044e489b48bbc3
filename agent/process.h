/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What every program does before anything else, so that no secret leaks. */
#ifndef ENVELOPE_PROCESS_H
#define ENVELOPE_PROCESS_H

#include <stddef.h>

/*
 * Call first in main(), before any library is initialised: drops the
 * environment variables through which OpenSSL and curl would load code or
 * write session keys (SSLKEYLOGFILE, OPENSSL_CONF, OPENSSL_MODULES, CURL_*),
 * forbids core dumps and ptrace by the same user, and gives OpenSSL and
 * jansson allocators that wipe what they free.
 *
 * 0; -EPERM when a limit could not be set; -EIO when a library had allocated
 * already.
 */
int process_harden(void);

/* malloc(3) family whose free and realloc wipe the old bytes. */
void *wiping_malloc(size_t bytes);
void *wiping_calloc(size_t count, size_t bytes);
void *wiping_realloc(void *p, size_t bytes);
char *wiping_strdup(const char *text);
void wiping_free(void *p);

#endif
