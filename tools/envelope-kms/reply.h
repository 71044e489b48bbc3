/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The bytes of an answer. */
#ifndef KMS_REPLY_H
#define KMS_REPLY_H

#include "call.h"

struct reply {
	unsigned int status;
	struct secret *body; /* NULL: empty */
	bool xml;            /* of STS, not JSON */
};

/*
 * The answer of a finished call: its error, or its JSON with the plaintext in
 * it. Always a secret, so that no copy of a plaintext is left behind. On
 * failure of memory the reply is an empty 500.
 */
void reply_of_call(const struct call *c, struct reply *ret);

/* An error without a call behind it. */
void reply_error(enum error e, const char *message, struct reply *ret);

#endif
