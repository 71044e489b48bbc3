/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The listening socket: the service manager's, a TCP one, or a UNIX one. */
#ifndef KMS_LISTEN_H
#define KMS_LISTEN_H

#include <stdbool.h>
#include <sys/types.h>

#define LISTEN_UNIX "unix:" /* and an absolute path, in place of an address */
#define LISTEN_MODE 0600    /* of a UNIX socket */

struct listen_options {
	const char *address;
	int port;               /* 0: any; of no account for a UNIX socket */
	bool plain;             /* without TLS: only where no network is */
	mode_t mode;            /* of a UNIX socket that is made */
};

struct listener {
	int fd;                 /* -1: none */
	int port;               /* 0: a UNIX socket */
	char *path;             /* of a UNIX socket; NULL: TCP */
	bool made;              /* the path is ours to remove: */
	dev_t dev;
	ino_t ino;
};

/* Whether @address begins with LISTEN_UNIX. */
bool listen_is_unix(const char *address);

/*
 * Opens it; @ret->fd is -1 and @ret->path NULL before. A UNIX socket that
 * nobody listens on any more is replaced. 0; -EINVAL (the address is no good,
 * or not for plain HTTP); -EADDRINUSE; -ENOMEM; -errno; with a message.
 */
int listen_open(const struct listen_options *o, struct listener *ret);

/* Closes it and removes the UNIX socket that was made. */
void listen_close(struct listener *l);

#endif
