/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Replicas of multi-Region keys, and what their end means to the primary. */
#ifndef KMS_REPLICATE_H
#define KMS_REPLICATE_H

#include "call.h"

#define KEYS_MAX 100000 /* of an account in a region */

/* 0; call_fail()'s LimitExceededException when @region is full; -EIO. */
int check_key_count(struct call *c, const char *region);

/* Does @key have replicas? 1; 0; -ENOMEM; -EIO. */
int has_replicas(struct store *s, const struct key_row *key);

/*
 * @key has been purged: if it was the last replica that its primary waited
 * for, the primary's own window begins. Inside the transaction of the purge.
 */
int replicate_after_purge(struct store *s, const struct key_row *key);

#endif
