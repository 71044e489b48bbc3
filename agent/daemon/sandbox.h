/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a worker gives up before it reads a header or meets a KMS. */
#ifndef ENVELOPE_SANDBOX_H
#define ENVELOPE_SANDBOX_H

#include "conf.h"

/* User and group of a worker: nobody. */
#define SANDBOX_UID 65534u
#define SANDBOX_GID 65534u

/*
 * Become nobody, with no way back: no capability but to read files, and of
 * files only those in @aws_dir, the CA files of @conf, the pins in @known_dir, and what resolving
 * names and verifying certificates needs; no exec, no keys of the kernel, no
 * change of a device. Each of them is refused by Landlock and seccomp; without
 * Landlock the capability goes as well. Limits on memory, files and processes.
 *
 * -EPERM: something cannot be given up; prints its own error.
 */
int sandbox_enter(const struct conf *conf, const char *aws_dir,
		  const char *known_dir);

#endif
