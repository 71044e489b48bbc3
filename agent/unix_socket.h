/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a killed server has left where a UNIX socket shall be. */
#ifndef ENVELOPE_UNIX_SOCKET_H
#define ENVELOPE_UNIX_SOCKET_H

#include <sys/un.h>

/*
 * Removes the socket at @sa's path if nobody listens there. It prints nothing.
 * 0: nothing is there (any more); -EADDRINUSE: somebody listens; -EEXIST: it is
 * no socket; else -errno.
 */
int unix_socket_remove_stale(const struct sockaddr_un *sa);

#endif
