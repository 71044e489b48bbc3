/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The leases of attached volumes: each is checked in time, by a worker, and
 * its key lives longer, or not at all, as the KMS says.
 *
 * Over a restart, attachment.more keeps them:
 *
 *	"lease": {"seconds": N, "grace": N}
 *	"header": what the header said at the attach or unlock, header_json.h,
 *		since who can write the device must not choose who is asked
 *
 * Who changes the slots of an attached volume puts the new ones there.
 */
#ifndef ENVELOPE_LEASES_H
#define ENVELOPE_LEASES_H

#include <jansson.h>

#include "agent.h"
#include "attachments.h"
#include "lease.h"
#include "server.h"

#define LEASES_MORE "lease"
#define LEASES_MORE_HEADER "header"

/*
 * @a has its key since a moment, for @terms from @asked_ms on, by @h; no lease
 * ends what was before. attachments_save() is the caller's. -ENOMEM.
 */
int leases_begin(struct agent *agent, struct attachment *a,
		 const struct header *h, const struct lease_terms *terms,
		 uint64_t asked_ms);

/*
 * The lease of @a, if it has one, is asked for by a grant of @token, new since a
 * moment: for some minutes not all of a KMS may know it without. Kept in memory
 * alone, so a restart within these minutes is without it. NULL: of none.
 */
void leases_use_token(const struct attachment *a, const char *token);

/* After a start: go on with those of all attachments, which are checked now. */
void leases_resume(struct agent *agent);

/* What applies to @a; all zero: no lease. */
struct lease_terms leases_terms(const struct attachment *a);

/* The slots of @a are those of @h now: the next check is by them. -ENOMEM. */
int leases_change(struct attachment *a, const struct header *h);

/* @a is detached. */
void leases_end(struct agent *agent, const struct attachment *a);

/* Somebody has locked it: @cause is told. */
void leases_locked(struct agent *agent, const struct attachment *a,
		   const char *cause);

/*
 * Answer @c when the KMS has, which is asked now about the attached volume @s
 * of @a. Ends the call at once where there is no lease, or it is locked.
 */
void leases_renew(struct call *c, const struct attachment *a,
		  const struct dm_volume_status *s);

/* The lease of @a, until the next call here. NULL: none. */
const struct lease *leases_find(const struct attachment *a);

/* The interface's type Lease; new reference. NULL: no lease, or no memory. */
json_t *leases_describe(const struct attachment *a);

/* Forget all of them; keys and attachments stay. */
void leases_stop(void);

#endif
