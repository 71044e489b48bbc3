/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The two things that a service manager and a server tell each other. */
#ifndef KMS_NOTIFY_H
#define KMS_NOTIFY_H

/*
 * Sends @state, as sd_notify(3) has it, to where NOTIFY_SOCKET says; nothing
 * when no service manager listens.
 */
void notify(const char *state);

/* "RELOADING=1" with the time that systemd wants beside it. */
void notify_reloading(void);

/*
 * The listening socket that the service manager has opened, as sd_listen_fds(3)
 * has it. -1: none; -EINVAL, with a message printed: several.
 */
int notify_socket(void);

#endif
