/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ends connections that take too long to send a request. */
#ifndef KMS_PATIENCE_H
#define KMS_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

/* One connection; all but @fd is patience.c's. */
struct patience_wait {
	int fd;
	bool waiting;
	int64_t until_ms;
	struct patience_wait *next, *previous;
};

struct patience;

/* Each wait may last @ms. 0; -ENOMEM; -EAGAIN (no thread); -errno. */
int patience_start(int64_t ms, struct patience **ret);

/* After the last patience_end(). NULL is fine. */
void patience_stop(struct patience *p);

/*
 * A request is waited for on @w's connection: from now on for so long at most,
 * then the connection is shut down. Until patience_end(), before which its
 * descriptor is not closed.
 */
void patience_begin(struct patience *p, struct patience_wait *w);
void patience_end(struct patience *p, struct patience_wait *w);

#endif
