/* SPDX-License-Identifier: GPL-2.0-or-later */
/* New material for a key: what encrypts changes, what decrypts stays. */
#ifndef KMS_ROTATION_H
#define KMS_ROTATION_H

#include "server.h"

#define ROTATION_LIMIT 25 /* on demand, of a key */

/* How a key came to its material, as ListKeyRotations says it. */
#define ROTATION_AUTOMATIC "AUTOMATIC"
#define ROTATION_ON_DEMAND "ON_DEMAND"

/* Milliseconds of @days. */
int64_t rotation_days_ms(int64_t days);

/*
 * The reaper's duty: rotates one key whose date has come. 0; -ENOENT: none;
 * other errors are logged where they happen.
 */
int rotation_do_due(struct server *s);

#endif
