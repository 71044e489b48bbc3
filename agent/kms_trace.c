// SPDX-License-Identifier: GPL-2.0-or-later
/* Who hears of calls of a KMS, and which the last one was. */
#include "kms_trace.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "kms_provider.h"

static void (*trace_hook)(const struct kms_trace *t);
static struct kms_trace trace_last;

void kms_trace_set_hook(void (*hook)(const struct kms_trace *t))
{
	trace_hook = hook;
}

void kms_trace_note(const struct kms_trace *t)
{
	/* It only finds the words for what another call has decided. */
	if (strcmp(t->operation, "DescribeKey") != 0)
		trace_last = *t;
	if (trace_hook)
		trace_hook(t);
}

uint64_t kms_trace_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000ull + t.tv_nsec / 1000;
}

/* Only AWS KMS names its answers, but for those that never came. */
void kms_trace_call(const struct kms_call *call,
		    const struct kms_question *question, int r,
		    uint64_t began_us)
{
	struct kms_trace t = {
		.result = r,
		.duration_us = kms_trace_now_us() - began_us,
	};

	snprintf(t.operation, sizeof(t.operation), "%s",
		 kms_operation_name(question->operation));
	snprintf(t.key, sizeof(t.key), "%s", call->key ? call->key : "");
	snprintf(t.error, sizeof(t.error), "%s", r < 0 ? call->error : "");
	if (call->region)
		snprintf(t.request_id, sizeof(t.request_id), "%s",
			 http_request_id(call->http));
	kms_trace_note(&t);
}

/* No call, so nobody who counts calls hears of it. */
void kms_trace_recovered(const char *key_id)
{
	trace_last = (struct kms_trace){ .operation = "recovery" };
	snprintf(trace_last.key, sizeof(trace_last.key), "%s", key_id);
}

const struct kms_trace *kms_trace_last(void)
{
	return &trace_last;
}
