/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory for the JSON of a request: values are laid one behind the other into
 * a block, and all of it is wiped at once when the request has been answered.
 * Few blocks go round between all threads, so that they stay in the
 * processor's caches, as the heap of one among many threads does not.
 */
#ifndef KMS_JSON_MEMORY_H
#define KMS_JSON_MEMORY_H

#include <jansson.h>
#include <stddef.h>

/* Tells jansson; once, before the first request. */
void json_memory_use(void);

/*
 * What this thread makes of JSON between the two ends with the latter,
 * whoever still has a reference. Without memory, or outside of them, values
 * are on the heap, and are wiped as they are freed.
 */
void json_memory_begin(void);
void json_memory_end(void);

/*
 * json_dumps(3), whose text is on the heap also in a request, and may outlive
 * it: free(3) and wiping_free() end it.
 */
char *json_memory_text(const json_t *value, size_t flags);

#endif
