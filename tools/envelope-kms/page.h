/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Limit and Marker of the List operations. */
#ifndef KMS_PAGE_H
#define KMS_PAGE_H

#include "call.h"

#define PAGE_NAME_BYTES 513 /* a tag key: 128 characters of UTF-8 */

struct page {
	const char *kind;            /* what is listed; part of the marker */
	json_t *items;               /* owned until page_answer() */
	int limit;                   /* items of a page */
	char after[PAGE_NAME_BYTES]; /* where the page begins, "" at first */
	char last[PAGE_NAME_BYTES];  /* the last name taken */
	bool more;                   /* there is one behind it */
};

/*
 * Reads Limit (1 to @max, else @usual) and Marker. params_check() must follow.
 * 0 with page_free() owed; call_fail()'s InvalidMarkerException; -ENOMEM.
 */
int page_begin(struct call *c, const char *kind, int usual, int max,
	       struct page *p);

/*
 * Takes one item called @name; the caller asks the store for limit + 1 of
 * them. Steals @item. 0; -ENOMEM.
 */
int page_take(struct page *p, const char *name, json_t *item);

/* The answer with the items as @member. 0; -ENOMEM. */
int page_answer(struct call *c, struct page *p, const char *member);

void page_free(struct page *p);

#endif
