/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is stored of attached volumes at one moment, while they go on being
 * written to. For that the volume's table is moved onto a snapshot-origin over
 * the device below, between a suspend (which freezes the file system and
 * flushes) and a resume; what is written to later is first copied to a COW
 * device. All of that is ciphertext: no key leaves the kernel, and no KMS is
 * asked.
 *
 * Meanwhile the volume knows no REQ_NOWAIT and no discards, which an origin
 * does not pass on: preadv2(RWF_NOWAIT) and fstrim(8) fail (EAGAIN, or before
 * 6.11 EOPNOTSUPP; EOPNOTSUPP). If this process dies, the volume goes on as it
 * is until live_clean().
 *
 * For root. Each function prints its own error, once. Errors that all share:
 * those of dm.h.
 */
#ifndef ENVELOPE_LIVE_H
#define ENVELOPE_LIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "header.h"

#define LIVE_COW_DIR "/var/lib/envelope/cow"

struct live_options {
	const char *cow;	/* a block device for the old data of one
				 * volume; NULL: a sparse file for each */
	uint64_t cow_bytes;	/* of that file; 0: 10 % of the volume */
};

struct live;

/*
 * The stored bytes of @count attached volumes, each by its name, path or volume
 * id, at one moment: all are suspended, then frozen, then resumed. What a
 * killed process left of one of them is cleaned first. *@ret is ended with
 * live_end().
 *
 * -ENXIO: not attached. -EKEYREVOKED: locked. -EOPNOTSUPP: its target is
 * another, or the kernel has no dm-snapshot. -EBUSY: being snapshotted already,
 * suspended, or the COW device is in use. -EINVAL: a volume twice; one COW
 * device for several; old data that would be stored on the volume itself.
 * -ETIMEDOUT: it took so long that it was given up. A failure leaves the
 * volumes as they were.
 */
int live_begin(const char *name_or_id[], size_t count,
	       const struct live_options *options, struct live **ret);

/*
 * The device that has the bytes of volume @i, open for reading, of the size of
 * the device below it, with the header in front where it is not detached.
 * Borrowed. fcntl(2) may set O_DIRECT.
 */
int live_fd(const struct live *l, size_t i);

/* The volume's name and id. Borrowed. */
const char *live_name(const struct live *l, size_t i);
const char *live_volume_id(const struct live *l, size_t i);

/* How long I/O of volume @i was held, in microseconds. */
uint64_t live_pause_us(const struct live *l, size_t i);

/*
 * Did all that was read of volume @i so far come from that one moment? Asked
 * after the last read. -ENOSPC: more has changed than the COW holds; what was
 * read is worth nothing, and the volume has not noticed.
 */
int live_check(struct live *l, size_t i);

/* Bytes of the COW that volume @i uses, as live_check() found it, and has. */
uint64_t live_cow_used(const struct live *l, size_t i);
uint64_t live_cow_bytes(const struct live *l, size_t i);

/*
 * Move the volumes back onto the devices below, remove all that live_begin()
 * made, and free @l, which may be NULL. -EKEYREVOKED: a volume was locked
 * meanwhile; it stays over the origin for live_clean(), once it is unlocked.
 */
int live_end(struct live *l);

/* What a killed process has left of one volume. */
struct live_leftover {
	char volume_id[HEADER_VOLUME_ID_CHARS];
	char name[128];		/* of the volume; empty: not attached */
	bool in_use;		/* the volume's I/O goes through it */
	bool copying;		/* old data are being copied still */
};

/*
 * Call @found for each; those of a process that lives are none. Ends with the
 * first result that is not 0, and returns it.
 */
int live_leftovers(int (*found)(const struct live_leftover *left, void *data),
		   void *data);

/*
 * Remove what is left of the volume @volume_id, or with NULL of all; the
 * volumes go on meanwhile. *@count_ret: how many. -EKEYREVOKED: one is locked;
 * unlock it first. -EBUSY: its snapshot is being made.
 */
int live_clean(const char *volume_id, unsigned int *count_ret);

#endif
