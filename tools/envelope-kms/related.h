/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One key in all its regions: a primary and its replicas share material. */
#ifndef KMS_RELATED_H
#define KMS_RELATED_H

#include <stdbool.h>
#include <stddef.h>

#include "store.h"

struct related {
	struct key_row *key; /* in the order of their regions */
	size_t count;
};

/*
 * The rows of @key, of a single-Region key itself alone. 0 with
 * related_free() owed; -ENOMEM; -EIO.
 */
int related_get(struct store *s, const struct key_row *key,
		struct related *ret);
void related_free(struct related *r);

/* The row in @region; NULL: none. */
struct key_row *related_in(const struct related *r, const char *region);

bool is_multi_region(const struct key_row *key);
bool is_replica(const struct key_row *key);

/* A copy, for key_row_free(). 0; -ENOMEM. */
int key_row_copy(const struct key_row *key, struct key_row *ret);

#endif
