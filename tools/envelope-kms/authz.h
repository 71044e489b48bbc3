/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who may do what: the only place that says yes. */
#ifndef KMS_AUTHZ_H
#define KMS_AUTHZ_H

#include "call.h"

/*
 * May the caller do @action ("kms:Decrypt") to the resource @arn, or to "*"
 * where the action has none? 0, or call_fail()'s AccessDeniedException.
 */
int authorise(struct call *c, const char *action, const char *arn);

#endif
