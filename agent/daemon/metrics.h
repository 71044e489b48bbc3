/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the agent counts since its start, in the text format of Prometheus
 * (version 0.0.4). Label values that come from elsewhere are few, and escaped:
 * a KMS or a worker cannot make more series than there is room for.
 */
#ifndef ENVELOPE_METRICS_H
#define ENVELOPE_METRICS_H

#include <stddef.h>

#include "agent.h"
#include "dm.h"
#include "kms_trace.h"

#define METRICS_KMS_ROWS 64	/* of a KMS and an operation; then "other" */
#define METRICS_OPERATIONS 64	/* an operation and a result */

/* A call of a KMS has ended, by the word of a worker. */
void metrics_kms(const struct kms_trace *t);

/* @operation of the audit has ended; both are literals. */
void metrics_operation(const char *operation, const char *result);

/*
 * All of it, with the attached volumes of @list: for free(3). NULL: no memory.
 */
char *metrics_text(struct agent *agent, const struct dm_volume_status *list,
		   size_t count);

#endif
