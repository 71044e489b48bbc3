/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An attached volume, while a call that needs its header is under way. */
#ifndef ENVELOPE_LIVE_H
#define ENVELOPE_LIVE_H

#include "attachments.h"
#include "server.h"

struct live {
	struct dm_volume volume;	/* as it was at the beginning */
	int fd;				/* the device below */
	int header_fd;			/* -1: the header is there */
};

#define LIVE_CLOSED { .fd = -1, .header_fd = -1 }

/*
 * Open what is below @v, and take the descriptor number @header_index of @c
 * (< 0: none), for reading; or @to_write the header, whose lock is taken then.
 *
 * -EBUSY: another program has the lock. -EACCES: the descriptor is not open for
 * that. -ENXIO, -EIO; as attach_header_open(). Prints its own error.
 */
int live_open(struct call *c, const struct dm_volume *v, int header_index,
	      bool to_write, struct live *ret);

/* A closed one is accepted. */
void live_close(struct live *l);

/* Where the header is. */
int live_header_fd(const struct live *l);

/* Is @h the header of @l? -EBADMSG with a sentence. */
int live_check_header(const struct live *l, const struct header *h);

/*
 * The device and what is remembered of it: both may go while a KMS is asked.
 * -ENXIO with a sentence.
 */
int live_find_again(struct agent *agent, const struct live *l,
		    struct dm_volume_status *s_ret, struct attachment **ret);

#endif
