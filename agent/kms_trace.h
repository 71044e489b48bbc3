/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The calls of a KMS that this process makes, for who keeps count of them. */
#ifndef ENVELOPE_KMS_TRACE_H
#define ENVELOPE_KMS_TRACE_H

#include <stdint.h>

#include "arn.h"

#define KMS_TRACE_ID_BYTES 65
#define KMS_TRACE_NAME_BYTES 65

/* One call, retries included. Nothing of it is secret. */
struct kms_trace {
	char operation[KMS_TRACE_NAME_BYTES];	/* "Decrypt" */
	char key[ARN_TEXT_BYTES];		/* as it was asked about */
	char request_id[KMS_TRACE_ID_BYTES];	/* ""; letters, digits, - */
	char error[KMS_TRACE_NAME_BYTES];	/* "": success */
	int result;				/* 0 or -errno as in kms.h */
	uint64_t duration_us;
};

/* Each call to @hook, as it ends. NULL: no more. */
void kms_trace_set_hook(void (*hook)(const struct kms_trace *t));

/* @t was made by another process, for this one. */
void kms_trace_note(const struct kms_trace *t);

struct kms_call;
struct kms_question;

/* For kms.c: microseconds of CLOCK_MONOTONIC. */
uint64_t kms_trace_now_us(void);

/* For kms.c: @call has ended with @r; it began at @began_us. */
void kms_trace_call(const struct kms_call *call,
		    const struct kms_question *question, int r,
		    uint64_t began_us);

/* The recovery key @key_id has opened a volume in place of a KMS: the last. */
void kms_trace_recovered(const char *key_id);

/*
 * The last call that was more than a look at a key (DescribeKey); all of it
 * empty before the first. Valid until the next.
 */
const struct kms_trace *kms_trace_last(void);

#endif
