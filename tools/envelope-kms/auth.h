/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a signed request to the identity that signed it. */
#ifndef KMS_AUTH_H
#define KMS_AUTH_H

#include <stdbool.h>

#include "call.h"
#include "sigv4.h"

/*
 * ERR_NONE with *@ret set; else the error to answer with and its sentence in
 * @why. ERR_INTERNAL: this server failed, not the client.
 */
enum error authenticate(const struct server *s, const struct sigv4_request *r,
			struct identity *ret, char why[static SIGV4_WHY_BYTES]);

/*
 * Whether the head of @r has all that can be asked for before its body, which
 * the signature covers, is there: the form, the time, and a key that exists.
 */
bool auth_known(const struct server *s, const struct sigv4_request *r);

#endif
