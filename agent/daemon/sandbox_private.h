/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the two files of the sandbox share. */
#ifndef ENVELOPE_SANDBOX_PRIVATE_H
#define ENVELOPE_SANDBOX_PRIVATE_H

/* Only the system calls of a TLS client from now on. -errno; prints nothing. */
int sandbox_calls(void);

#endif
