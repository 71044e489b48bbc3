/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tags of a key, as requests bring them. */
#ifndef KMS_TAGS_H
#define KMS_TAGS_H

#include "authz.h"
#include "params.h"

/*
 * The parameter Tags, a list of TagKey and TagValue: NULL when absent or
 * wrong, which params_check() then tells. It is the call's.
 */
const json_t *param_tags(struct call *c, enum param_need need);

/*
 * What well-formed tags may still not be: 0; call_fail()'s TagException. NULL
 * is no tags.
 */
int tags_check(struct call *c, const json_t *tags);

/*
 * Sets @tags on @key, inside a transaction. 0; call_fail()'s TagException:
 * too many; -ENOMEM; -EIO.
 */
int tags_set(struct call *c, const struct key_row *key, const json_t *tags);

#endif
