/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The audit trail read in the order of its regions, from a point that was
 * noted earlier on.
 */
#ifndef KMS_TRAIL_H
#define KMS_TRAIL_H

#include <jansson.h>

/*
 * Where the trail in the folder @bucket ends now, for trail_since(): of each
 * region the newest log file ("after", "") and the newest record behind that
 * ("event", ""). It may grow meanwhile: what is written by then is in it. 0;
 * -ENOMEM; -EBADMSG (a record is none); -errno.
 */
int trail_end(const char *bucket, json_t **ret);

/* A negative return ends the walk and is returned. */
typedef int trail_fn(json_t *record, void *arg);

/*
 * Calls @fn for each record behind @end, region by region, each region's in
 * their order. Nobody may be writing. -ENODATA: it does not reach as far as
 * @end, or has a gap there; -EBADMSG: a record is none; -ENOMEM; -errno.
 */
int trail_since(const char *bucket, const json_t *end, trail_fn *fn,
		void *arg);

#endif
