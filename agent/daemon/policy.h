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
 * workers	processes that ask the KMS at once, 1 to 64; absent: 8
 */
#ifndef ENVELOPE_POLICY_H
#define ENVELOPE_POLICY_H

#include <stdbool.h>

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

/* Processes at once. */
unsigned int policy_workers(const struct policy *p);

#endif
