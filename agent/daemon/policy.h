/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * /etc/envelope/agent.policy: who may attach what under which names.
 *
 *	[user alice]
 *	devices = passed /dev/disk/by-id/virtio-alice-*
 *	names = alice-* scratch
 *
 *	[group storage]
 *	devices = passed
 *	names = *
 *
 *	[agent]
 *	workers = 8
 *	timeout = 30
 *	lease-cap = 75m
 *	require-pin = yes
 *	allow-recovery = no
 *
 * Sections [user NAME], [uid NUMBER], [group NAME], [everyone] and [agent],
 * each once. Lines that start with # are comments. A caller may do what one of
 * the sections that fit him allows, device and name by the same one; root may
 * do everything, whatever is written. No file: root alone.
 *
 * devices	`passed`: a descriptor that the caller has opened for reading
 *		and writing; and patterns (glob(7), * stops at a slash) of
 *		absolute paths that root has made, for callers who cannot open
 *		the device themselves
 * names	patterns of device names
 * keys		patterns of the key ids under which the agent may wrap the data key
 *		of the caller's volumes anew: who has such a key has the volume.
 *		absent: none, but for root
 * workers	attaches that are under way at once, and leases that are
 *		checked at once at one KMS, 1 to 64; absent: 8
 * timeout	seconds that an attach has for all that it asks the KMS, 1 to
 *		120; absent: 30
 * lease-cap	lease and grace of a volume at most, by lease_terms_cap(); absent:
 *		no limit
 * require-pin	`yes`: a volume that this host has no pin of (known.h) is
 *		refused before any KMS is asked, to root as well; absent: `no`
 * allow-recovery	`yes`: recovery keys open volumes although lease-cap sets a
 *		lease, which nobody keeps for them; absent: `no`
 */
#ifndef ENVELOPE_POLICY_H
#define ENVELOPE_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "agent.h"

#define POLICY_MAX_BYTES 65536
#define POLICY_WORKERS 8

struct policy;

/*
 * Read @path. A missing file is an empty one. A sentence with file and line,
 * and: -EINVAL (unreadable, malformed, unknown name, no such user or group);
 * -EACCES (others than root can write it); -ENOMEM.
 */
int policy_load(const char *path, struct policy **ret);

/* The same of @len bytes at @text; @path is for messages. */
int policy_parse(const char *path, const char *text, size_t len,
		 struct policy **ret);

/* NULL is accepted. */
void policy_free(struct policy *p);

/*
 * May @who attach the device at the path @link under @name? @link NULL: one
 * that he passes opened for reading and writing. @name NULL: is there any
 * name under which he may?
 */
bool policy_allows(const struct policy *p, const struct caller *who,
		   const char *link, const char *name);

/* May @who have the agent wrap the data key of his volume under @key_id? */
bool policy_allows_key(const struct policy *p, const struct caller *who,
		       const char *key_id);

/* Processes at once, in each of worker.h's lanes. */
unsigned int policy_workers(const struct policy *p);

/* The time budget of one use of the KMS. */
unsigned int policy_timeout_ms(const struct policy *p);

/* Is a volume without a pin on this host refused? */
bool policy_requires_pin(const struct policy *p);

/* Does it set a lease, which a recovery key must not get round? */
bool policy_refuses_recovery(const struct policy *p);

/* How many sections are about callers, and not about the agent. */
size_t policy_rules(const struct policy *p);

/*
 * The title of the first such section that allows nothing, since it has no
 * keys, and no devices or no names; NULL: none.
 */
const char *policy_idle_rule(const struct policy *p);

/* Of lease and grace; 0: none. */
uint64_t policy_lease_cap_ms(const struct policy *p);

#endif
