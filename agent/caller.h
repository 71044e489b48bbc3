/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whom the STS takes the signer of a request for. */
#ifndef ENVELOPE_CALLER_H
#define ENVELOPE_CALLER_H

#include "conf.h"
#include "credentials.h"
#include "http.h"

#define CALLER_BYTES 512

/*
 * GetCallerIdentity at the STS of @region, which everybody may ask. The ARN goes
 * to @ret. -EACCES: refused. -EHOSTUNREACH: no answer, or one without a sound
 * ARN. -ENOMEM. A sentence is printed.
 */
int caller_identity(struct http *http, const struct conf_region *region,
		    const struct credentials *credentials,
		    char ret[static CALLER_BYTES]);

/* Who policies name: the role of a session, else @arn itself. */
void caller_principal(const char *arn, char ret[static CALLER_BYTES]);

#endif
