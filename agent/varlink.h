/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Varlink's framing, for both ends: JSON objects, each ended by one NUL, over a
 * UNIX stream socket, with file descriptors beside them.
 *
 * Nothing here waits. A descriptor belongs to the first message whose end comes
 * with it or after it.
 */
#ifndef ENVELOPE_VARLINK_H
#define ENVELOPE_VARLINK_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "json.h"

#define VARLINK_MAX_FDS 4	/* beside one message */
#define VARLINK_MAX_DEPTH 10	/* of nested arrays and objects */

struct varlink;

/*
 * One end of a connection over the socket @fd, which it owns from now on, also
 * on failure. No message that comes may have more than @max_bytes, nor may more
 * than @max_waiting_bytes wait to be sent. -ENOMEM.
 */
int varlink_new(int fd, size_t max_bytes, size_t max_waiting_bytes,
		struct varlink **ret);

/* Close and free, and close descriptors that nobody took. NULL is accepted. */
void varlink_free(struct varlink *v);

int varlink_fd(const struct varlink *v);

/*
 * Take what has arrived, once. -EAGAIN: nothing. -EPIPE: the other end has
 * closed. -EMSGSIZE: a message too long, or too many descriptors. -ENOMEM.
 */
int varlink_read(struct varlink *v);

/*
 * The next whole message, an object, new reference in *@ret. Descriptors of
 * the one before are closed. -EAGAIN: none yet. -EBADMSG: no strict JSON
 * object, with the reason in @why. -ENOMEM.
 */
int varlink_next(struct varlink *v, json_t **ret,
		 char why[static JSON_WHY_BYTES]);

/*
 * Descriptor @index of the message that varlink_next() gave last, now the
 * caller's; close-on-exec. -EBADF: there is none.
 */
int varlink_take_fd(struct varlink *v, size_t index);

/*
 * Put @o, whose reference it takes, behind what waits to be sent; NULL is
 * -ENOMEM. The @count descriptors at @fds stay the caller's, and open until
 * varlink_write() is done; they need an empty queue (-EBUSY). -ENOBUFS: too
 * much is waiting, as the other end does not read.
 */
int varlink_queue(struct varlink *v, json_t *o, const int *fds, size_t count);

/* Is something waiting to be sent? */
bool varlink_pending(const struct varlink *v);

/* Send what can be sent. -EAGAIN: some is left. -EPIPE: nobody is there. */
int varlink_write(struct varlink *v);

#endif
