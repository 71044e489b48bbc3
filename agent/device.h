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
	DEVICE_CREATE = 1 << 2,	/* a file of that name is made, 0600 */
	DEVICE_WRITE_IF_POSSIBLE = 1 << 3, /* else read-only; see read_only */
};

struct device {
	int fd;			/* -1: closed */
	char *path;		/* as the caller named it; owned */
	bool is_block;		/* else a regular file */
	bool read_only;		/* the device itself, or this descriptor */
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
 * -EBUSY: DEVICE_EXCLUSIVE, and the device is mounted or mapped. -EROFS:
 * DEVICE_WRITE on a read-only device. -ENOENT, -EPERM, -ENOTBLK (neither block
 * device nor file), -EIO, -ENOMEM.
 */
int device_open(const char *path, unsigned int flags, struct device *ret);

/* Close and free; a closed one is accepted. */
void device_close(struct device *d);

/*
 * What libblkid finds at the start of @d, for people ("ext4 file system",
 * "gpt partition table"), or an empty text. It does not know our magic:
 * header_magic_at() does.
 *
 * 0, also if there is nothing; -EIO.
 */
#define DEVICE_SIGNATURE_CHARS 64
int device_signature(const struct device *d,
		     char ret[DEVICE_SIGNATURE_CHARS]);

/*
 * The same, where the data of a volume begin: a plaintext signature there says
 * that the device holds no ciphertext.
 */
int device_signature_at(const struct device *d, uint64_t offset_bytes,
			char ret[DEVICE_SIGNATURE_CHARS]);

/*
 * Size, WWN and partition UUID, as a detached header records them; texts stay
 * empty where the device has none (a file has neither). Never fails.
 */
void device_identity(const struct device *d, struct header_device *ret);

/*
 * Compare with what a detached header recorded. NULL: the same device, or one
 * that cannot be told from it; else a static sentence part that says what
 * differs.
 */
const char *device_identity_differs(const struct header_device *recorded,
				    const struct header_device *found);

/*
 * Is @path (a file or folder) stored on @d, directly or through device-mapper,
 * loop or partition layers above it? Also false when that cannot be found out.
 */
bool device_holds(const struct device *d, const char *path);

/* Attach the file @d to a free loop device, which replaces it in *@d. */
int device_loop(struct device *d, bool read_only);

#endif
