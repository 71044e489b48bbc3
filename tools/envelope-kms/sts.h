/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The part of AWS STS that is on the same endpoint: AssumeRole and
 * GetCallerIdentity, as a form in and XML out (API 2011-06-15). Clients sign
 * for the service "sts".
 */
#ifndef KMS_STS_H
#define KMS_STS_H

#include "reply.h"
#include "sigv4.h"

/* True when @r is a form, which only STS takes. */
bool sts_is_request(const struct sigv4_request *r);

/* Reads the form into the call: its operation, target and parameters. */
void sts_read(struct call *c, const char *body, size_t bytes);

/* As those of reply.h, in XML. */
void sts_reply_of_call(const struct call *c, struct reply *ret);
void sts_reply_error(enum error e, const char *message,
		     const char *request_id, struct reply *ret);

#endif
