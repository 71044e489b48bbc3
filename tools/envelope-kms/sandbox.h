/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a server gives up once it has what it needs, so that whoever takes it
 * over gets little more than its keys: privileges, files, system calls.
 */
#ifndef KMS_SANDBOX_H
#define KMS_SANDBOX_H

#include <stddef.h>
#include <sys/types.h>

#define SANDBOX_LOCKED_BYTES (64 * 1024 * 1024)

/*
 * Gives up all capabilities, for good, but the one that low ports need, which
 * sandbox_bound() gives up; as root, becomes the owner of @dir. Whoever could
 * lock memory without limit keeps a limit of SANDBOX_LOCKED_BYTES. Both before
 * any thread. 0; -errno with a message printed.
 */
int sandbox_privileges(const char *dir);
int sandbox_bound(void);

/* Something that stays within reach; a path that is not there is none. */
struct sandbox_path {
	const char *path;
	enum { SANDBOX_READ, SANDBOX_REMOVE, SANDBOX_CHANGE } access;
};

/*
 * Closes all files but those in or below the @count @paths; what is open
 * stays so. A kernel without Landlock keeps to file modes. Before any thread,
 * after sandbox_privileges(). 0; -errno with a message printed.
 */
int sandbox_files(const struct sandbox_path *paths, size_t count);

/*
 * Lets all threads make only the system calls of a server that has its
 * socket; others fail with EPERM. A kernel that cannot filter them (and
 * valgrind) leaves all open. 0; -errno with a message printed.
 */
int sandbox_calls(void);

#endif
