/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What may be answered over plain HTTP on a loopback address. */
#ifndef KMS_PLAIN_H
#define KMS_PLAIN_H

#include <stdbool.h>

/*
 * Whether the answer of @operation has no secret in it: no plaintext, no
 * random bytes (they become keys), no credentials. Loopback traffic can be
 * captured, redirected and answered by others on the machine. False for every
 * operation that nobody has thought about.
 */
bool plain_allows(const char *operation);

#endif
