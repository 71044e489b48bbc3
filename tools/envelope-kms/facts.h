/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The values of condition keys for one request. */
#ifndef KMS_FACTS_H
#define KMS_FACTS_H

#include "authz.h"
#include "policy.h"

struct fact_source {
	struct call *call;
	const struct facts *facts;
	const struct key_row *key; /* NULL: the resource is no key */
};

/* A policy_value_fn; @arg is a struct fact_source. */
int fact_value(void *arg, const char *name, json_t **ret);

#endif
