/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of live_*.c share among themselves. */
#ifndef ENVELOPE_LIVE_PRIVATE_H
#define ENVELOPE_LIVE_PRIVATE_H

#include "dm.h"
#include "live.h"

#define LIVE_NAME_CHARS 64

enum live_role {
	LIVE_ORIGIN,		/* all of the device below */
	LIVE_SNAPSHOT,		/* the same, at the moment of its resume */
	LIVE_ROLES,
};

/* One volume. Descriptors are -1 while there is none. */
struct live_volume {
	struct dm_volume volume;	/* its table; by its name */
	unsigned int device_major;	/* the attached device itself */
	unsigned int device_minor;
	uint64_t below_sectors;
	int lock;			/* held while its snapshot lives */
	bool built;			/* there is something to undo */
	int cow;			/* the COW's block device */
	unsigned int cow_major;
	unsigned int cow_minor;
	uint64_t cow_bytes;
	uint64_t cow_used_bytes;
	int fd;				/* the snapshot */
	uint64_t pause_us;
};

struct live {
	size_t count;
	struct live_volume *at;
	size_t *order;		/* in which they are suspended */
};

/* live_dm.c: one of the two devices of the volume @id */

struct live_device {
	bool exists;
	bool live;			/* a table serves */
	unsigned int major;
	unsigned int minor;
};

void live_name_of(const char *id, enum live_role role,
		  char ret[LIVE_NAME_CHARS]);

/*
 * Make it with the table "0 @sectors TARGET @params", which waits for its
 * resume. -EBUSY: it is there already. -EOPNOTSUPP: no such target.
 */
int live_dm_create(const struct dm_volume *v, enum live_role role,
		   uint64_t sectors, const char *params);
int live_dm_resume(const char *id, enum live_role role);

/* The volume @name itself, with the table that it has, or that waits. */
int live_dm_resume_volume(const char *name);

int live_dm_look(const char *id, enum live_role role,
		 struct live_device *ret);

/* What it says of itself: its table, or its status. -ENXIO: not there. */
int live_dm_line(const char *id, enum live_role role, bool status,
		 char *ret, size_t bytes);

/* 0 also if it is not there. -EBUSY: in use. */
int live_dm_remove(const char *id, enum live_role role);

/* The ids of all volumes of which there is one; the caller frees *@ret. */
int live_dm_list(char (**ret)[HEADER_VOLUME_ID_CHARS], size_t *count_ret);

/* Does a table of the volume @name wait for its resume? */
bool live_dm_waits(const char *name);

/*
 * live_cow.c
 *
 * Open or make the COW device of @v, which none of @l's volumes may be below.
 */
int live_cow_open(const struct live_options *o, const struct live *l,
		  struct live_volume *v);

/* Remove files that a killed process has left. */
void live_cow_clean(void);

/* Sectors of a chunk of a COW of @cow_bytes. */
uint64_t live_cow_chunk_sectors(uint64_t cow_bytes);

/*
 * live_swap.c
 *
 * The moment itself: suspend the volumes, whose new tables wait, resume the
 * snapshots, resume the volumes. Whatever happens, these are resumed.
 * -ETIMEDOUT, -EIO.
 */
int live_swap(struct live *l);

/*
 * live_clean.c
 *
 * The lock of the volume @id, so that two do not make its snapshot at once, and
 * nobody cleans what is in use. -EBUSY: somebody has it; silent. -EIO.
 */
int live_lock(const char *id, int *ret);

/*
 * Move the volume @id back onto the device below, where its table is not there,
 * and remove both devices. The caller has its lock. As live_end().
 */
int live_undo(const char *id);

#endif
