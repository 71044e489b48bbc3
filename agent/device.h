/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Block devices and files under a volume: size, use, signature, identity. */
#ifndef ENVELOPE_DEVICE_H
#define ENVELOPE_DEVICE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "header.h"

enum device_flags {
	DEVICE_WRITE = 1 << 0,	/* open for reading and writing */
	DEVICE_EXCLUSIVE = 1 << 1, /* nobody mounts or maps it meanwhile */
	DEVICE_CREATE = 1 << 2,	/* make a file of that name, 0600, that must
				 * not exist */
	DEVICE_WRITE_IF_POSSIBLE = 1 << 3, /* of a file; a block device is
					    * opened for reading */
};

struct device {
	int fd;			/* -1: closed; close-on-exec */
	char *path;		/* as the caller named it; owned */
	bool is_block;		/* else a regular file */
	bool read_only;		/* a block device itself, or a file as opened */
	unsigned int major;	/* of a block device */
	unsigned int minor;
	uint64_t size_bytes;
	uint32_t logical_bytes;	 /* 512 for a file */
	uint32_t physical_bytes; /* 4096 for a file */
};

#define DEVICE_CLOSED { .fd = -1 }

/*
 * Open @path, a block device or a regular file, and learn what there is to
 * learn. Each function prints its own error once, with @path in it.
 *
 * -EBUSY: DEVICE_EXCLUSIVE, and the device is mounted or mapped, or the file
 * is behind a loop device. -EROFS: DEVICE_WRITE on a read-only device.
 * -EEXIST: DEVICE_CREATE, and it is there. -ENOENT, -EPERM, -ENOTBLK (neither
 * block device nor file), -EIO, -ENOMEM.
 */
int device_open(const char *path, unsigned int flags, struct device *ret);

/*
 * The same of a descriptor that somebody else has opened, and that is the
 * device's from now on, also on failure. Its path is what the kernel says. A
 * file is read-only if it was opened so; a block device if it is.
 * -ENOTBLK, -EIO, -ENOMEM.
 */
int device_adopt(int fd, struct device *ret);

/*
 * Is @d free, as with DEVICE_EXCLUSIVE? It may have been renamed. -EBUSY, or
 * what device_open() says.
 */
int device_check_unused(const struct device *d);

/* Close and free; a closed one is accepted. */
void device_close(struct device *d);

/* Close the descriptor alone; what else is known of @d stays. */
void device_let_go(struct device *d);

/*
 * Put a free loop device over the file @d and let it take @d's place; the
 * kernel frees it with its last user. -EPERM, -EIO.
 */
int device_loop(struct device *d, bool read_only);

/*
 * device_io.c
 *
 * All of the @bytes at @offset of @fd, which messages call @name. -EIO, and of a
 * write -ENOSPC.
 */
int device_read_at(int fd, const char *name, void *p, size_t bytes,
		   uint64_t offset);
int device_write_at(int fd, const char *name, const void *p, size_t bytes,
		    uint64_t offset);

/*
 * device_probe.c
 */

#define DEVICE_SIGNATURE_CHARS 64

/*
 * What libblkid finds on @d, for people: "a file system (ext4)", "a
 * partition table (gpt)"; an empty text if nothing. It does not know our magic:
 * header_magic_at() does. -EIO.
 */
int device_signature(const struct device *d,
		     char ret[DEVICE_SIGNATURE_CHARS]);

/*
 * Make libblkid find nothing on @d any more: what a forced format leaves
 * behind would be taken for a file system or a RAID member later. -EIO.
 */
int device_wipe_signatures(const struct device *d);

/*
 * Size, WWN and partition UUID, as a detached header records them; texts stay
 * empty where the device has none (a file has neither). Never fails.
 */
void device_identity(const struct device *d, struct header_device *ret);

/*
 * Compare with what a detached header recorded. NULL: nothing speaks against
 * its being the same device; else a static text that says what differs. A
 * device that still has its WWN or partition UUID may have grown.
 */
const char *device_identity_differs(const struct header_device *recorded,
				    const struct header_device *found);

/*
 * Is the file, folder or block device @path stored on the block device
 * @major:@minor, also through layers like partitions, device mapper and loop?
 * It is on itself, too. False when that
 * cannot be found out.
 */
bool device_holds(unsigned int major, unsigned int minor, const char *path);

#endif
