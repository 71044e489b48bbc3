/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which device a caller may have attached: one that he opened, or a link. */
#ifndef ENVELOPE_ATTACH_DEVICE_H
#define ENVELOPE_ATTACH_DEVICE_H

#include "server.h"

/* As the call says it: -1 and NULL are absent. */
struct attach_device_request {
	int fd;			/* index of a descriptor */
	const char *link;
	int header_fd;		/* index of a descriptor */
};

struct attach_device {
	int fd;
	int header_fd;		/* -1: the header is on the device */
	char *link;		/* NULL: it was passed */
	char *shown;		/* its path, for messages */
};

#define ATTACH_DEVICE_CLOSED { .fd = -1, .header_fd = -1 }

/*
 * Take the descriptors of @c, or open the link, as far as the policy lets the
 * caller attach such a device under @name (NULL: some name).
 *
 * -EINVAL: neither or both, or a descriptor that is not there. -EACCES: the
 * policy, a descriptor that is not open for reading and writing, a header's
 * that is not open for reading, a link that is not root's, or a user's header
 * with a link. -EIO, -ENOMEM. Prints its own error.
 */
int attach_device_open(struct call *c, const struct attach_device_request *q,
		       const char *name, struct attach_device *ret);

/*
 * Take the descriptor number @index of @c, a header's that the caller can read,
 * to *@fd_ret, also on failure if there is one. -EINVAL, -EACCES; prints.
 */
int attach_header_open(struct call *c, int index, int *fd_ret);

/* A closed one is accepted. */
void attach_device_close(struct attach_device *d);

#endif
