/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Device mapper in our terms: the only part that knows libdevmapper.
 *
 * Names are those of users, without device mapper's mangling. An attached
 * volume has the dm uuid "ENVELOPE-<volume uuid>-<name>".
 */
#ifndef ENVELOPE_DM_H
#define ENVELOPE_DM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "header.h"

#define DM_VOLUME_UUID_PREFIX "ENVELOPE-"
#define DM_VOLUME_NAME_CHARS 83	/* with the final NUL: the uuid must fit */
#define DM_VOLUME_UUID_CHARS 129	/* device mapper's own limit */
#define DM_VOLUME_PARAMS_CHARS 512

enum dm_target {
	DM_TARGET_ENVELOPE,
	DM_TARGET_CRYPT,	/* stock dm-crypt */
};

enum dm_on_lock {
	DM_ON_LOCK_QUEUE,	/* I/O of a locked volume waits */
	DM_ON_LOCK_ERROR,	/* it fails */
};

/* What a table says of a volume. */
struct dm_volume {
	char name[DM_VOLUME_NAME_CHARS];
	char uuid[HEADER_UUID_CHARS];		/* of the volume */
	char volume_id[HEADER_VOLUME_ID_CHARS];	/* the key's name */
	enum dm_target target;
	uint64_t size_sectors;
	uint64_t iv_offset_sectors;
	unsigned int major;			/* the device below */
	unsigned int minor;
	uint64_t start_sectors;			/* where the data begin on it */
	uint32_t sector_size;			/* bytes */
	bool iv_large_sectors;
	bool allow_discards;
	bool holes;
	bool read_only;
	enum dm_on_lock on_lock;
};

enum dm_state {
	DM_STATE_ACTIVE,
	DM_STATE_LOCKED,
};

/* What the target reports while it runs. */
struct dm_volume_status {
	struct dm_volume volume;
	enum dm_state state;
	char reason[16];	/* "-" or revoked, invalidated, expired, wiped */
	bool revocable;		/* the key's end locks the volume */
	bool counted;		/* the target counts: the four below hold */
	uint64_t reads;
	uint64_t writes;
	uint64_t holes;		/* blocks read as holes */
	uint64_t errors;
	unsigned int device_major;	/* the attached device itself */
	unsigned int device_minor;
	int open_count;
	bool suspended;
};

/*
 * Pure text, in both directions (dm_table.c). The printed parameters stand
 * behind "<start> <length> <target>". -EINVAL: does not fit, or is not of this
 * grammar; prints nothing.
 */
int dm_volume_params(const struct dm_volume *v,
		     char ret[DM_VOLUME_PARAMS_CHARS]);
int dm_volume_parse_params(const char *target, const char *params,
			   struct dm_volume *v);
int dm_volume_parse_status(const char *target, const char *status,
			   struct dm_volume_status *s);

/* "ENVELOPE-<uuid>-<name>". -EINVAL: too long. */
int dm_volume_uuid(const struct dm_volume *v, char ret[DM_VOLUME_UUID_CHARS]);

/*
 * 1 to 82 of [A-Za-z0-9#+.:=@_-], and neither "." nor ".." nor "control": what
 * needs no mangling and leaves room for the dm uuid.
 */
bool dm_volume_name_valid(const char *name);

/*
 * The functions below talk to the kernel. Each prints its own error once. All:
 * -EPERM (not root), -EOPNOTSUPP (no device mapper), -ENOMEM, -EIO (the kernel
 * refused; its log says why).
 */

/*
 * The library keeps its descriptor of the kernel's device mapper open: who
 * closes or reuses descriptors by their numbers lets go of it first.
 */
void dm_let_go(void);

/*
 * Is @target known to the kernel, and of a version we can use?
 * -ENOPKG: no; prints nothing.
 */
int dm_volume_target_known(enum dm_target target);

/* Is there a device @name, whoever made it? 1 or 0; prints nothing else. */
int dm_name_taken(const char *name);

/*
 * Make the device, load its table, resume it. Whatever fails leaves no device.
 * -EEXIST: the name or the uuid is in use. -EBUSY: the device below is.
 * -EKEYREVOKED: the target did not find a live key.
 */
int dm_volume_create(const struct dm_volume *v);

/* Remove @name. -ENXIO: no such volume. -EBUSY: in use. */
int dm_volume_remove(const char *name);

/*
 * Remove what a dm_volume_create() that died has left: a device of @v's name
 * and uuid without a table. 0 also if there is none. -EIO.
 */
int dm_volume_remove_empty(const struct dm_volume *v);

/* -ENXIO: no device @name, or not one of ours. */
int dm_volume_status_get(const char *name, struct dm_volume_status *ret);

/*
 * All attached volumes, an array of *@count_ret that the caller frees. One
 * that vanishes meanwhile is left out. None where the kernel has no device
 * mapper: no error.
 */
int dm_volume_list(struct dm_volume_status **ret, size_t *count_ret);

/*
 * Replace the table of @v->name by what @v says, and resume.
 * -EKEYREVOKED (the key is gone: locked), -EBUSY.
 */
int dm_volume_reload(const struct dm_volume *v);

/*
 * The first half of that: the table waits for the next resume, and has found
 * its key. Errors as dm_volume_reload().
 */
int dm_volume_load(const struct dm_volume *v);

/* Forget a table that waits; prints nothing. */
void dm_volume_unload(const char *name);

/* Send @message to the target of @name. -ENXIO, -EINVAL (refused), -ENOKEY. */
int dm_volume_message(const char *name, const char *message);

#endif
