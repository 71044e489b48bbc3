/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Device-mapper ioctls without a process for each: for programs that do
 * hundreds of them. One file a program includes this.
 */
#ifndef DMCTL_H
#define DMCTL_H

#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#define DMCTL_ARGUMENT_BYTES	2048

/* One ioctl, with a target's line or a message's text behind the header. */
struct dm_request {
	struct dm_ioctl head;
	union {
		struct dm_target_spec spec;
		struct dm_target_msg message;
	};
	char argument[DMCTL_ARGUMENT_BYTES];
};

static int dm_control = -1;		/* /dev/mapper/control */

/* Opens the control device; -1 with errno. */
static inline int dm_open(void)
{
	dm_control = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
	return dm_control < 0 ? -1 : 0;
}

/* Carries out *r on the device; 0 or -errno. */
static inline int dm_call(const char *name, unsigned long command,
			  struct dm_request *r)
{
	r->head.version[0] = DM_VERSION_MAJOR;
	r->head.data_size = sizeof(*r);
	r->head.data_start = offsetof(struct dm_request, spec);
	snprintf(r->head.name, sizeof(r->head.name), "%s", name);
	return ioctl(dm_control, command, r) ? -errno : 0;
}

/* flags: DM_SUSPEND_FLAG, DM_NOFLUSH_FLAG, DM_DEFERRED_REMOVE */
static inline int dm_simple(const char *name, unsigned long command,
			    unsigned int flags)
{
	struct dm_request r = { .head.flags = flags };

	return dm_call(name, command, &r);
}

/* A table of one line into the inactive slot. */
static inline int dm_load(const char *name, const char *line)
{
	struct dm_request r = { .head.target_count = 1 };
	unsigned long long start, length;
	int used = 0;

	if (sscanf(line, "%llu %llu %15s %n", &start, &length,
		   r.spec.target_type, &used) != 3)
		return -EINVAL;
	r.spec.sector_start = start;
	r.spec.length = length;
	snprintf(r.argument, sizeof(r.argument), "%s", line + used);
	return dm_call(name, DM_TABLE_LOAD, &r);
}

/* A device with that table, active. */
static inline int dm_create(const char *name, const char *line)
{
	int r = dm_simple(name, DM_DEV_CREATE, 0);

	if (!r)
		r = dm_load(name, line);
	return r ? r : dm_simple(name, DM_DEV_SUSPEND, 0);
}

static inline int dm_message(const char *name, const char *words)
{
	struct dm_request r = { 0 };

	/* the text follows the sector at once, where the union is longer */
	snprintf((char *)&r + offsetof(struct dm_request, message.message),
		 DMCTL_ARGUMENT_BYTES, "%s", words);
	return dm_call(name, DM_TARGET_MSG, &r);
}

/* The first two words of the target's status, with one blank between. */
static inline int dm_state(const char *name, char *state_ret, size_t bytes)
{
	struct dm_request r = { 0 };
	char state[16] = "", reason[16] = "";
	int err;

	err = dm_call(name, DM_TABLE_STATUS, &r);
	if (err)
		return err;
	sscanf((char *)&r + r.head.data_start + sizeof(r.spec), "%15s %15s",
	       state, reason);
	snprintf(state_ret, bytes, "%s %s", state, reason);
	return 0;
}

#endif
