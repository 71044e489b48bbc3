/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The listening socket: the service manager's, or one that is made here. */
#ifndef ENVELOPE_LISTEN_H
#define ENVELOPE_LISTEN_H

/*
 * The socket that systemd passes; else one at @path, mode 0660, of the group
 * "envelope" if there is one. A socket that a killed agent left there is
 * replaced. A descriptor, or -EADDRINUSE (another agent answers), -EINVAL,
 * -EIO; prints its own error.
 */
int listen_open(const char *path);

#endif
