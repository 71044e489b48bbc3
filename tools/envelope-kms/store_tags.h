/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rows of tags; errors and threads as in store.h. */
#ifndef KMS_STORE_TAGS_H
#define KMS_STORE_TAGS_H

#include "store.h"

/* Sets the value of a tag, new or not. */
int store_tag_set(struct store *s, const struct key_row *key,
		  const char *name, const char *value);

/* Removes a tag; one that is not there is no error. */
int store_tag_delete(struct store *s, const struct key_row *key,
		     const char *name);

/*
 * The value of the tag @name, in this case before any other, as policies do
 * not tell them apart. -ENOENT; text to free(3) in *@ret.
 */
int store_tag_get(struct store *s, const struct key_row *key,
		  const char *name, char **ret);

int store_tag_count(struct store *s, const struct key_row *key,
		    int64_t *ret);

/* A negative return ends the walk. */
typedef int store_tag_fn(const char *name, const char *value, void *arg);

/* By name, from behind @after ("" for all), at most @limit. */
int store_tag_list(struct store *s, const struct key_row *key,
		   const char *after, int limit, store_tag_fn *fn, void *arg);

int store_key_set_description(struct store *s, const struct key_row *key,
			      const char *description);

#endif
