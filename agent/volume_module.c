// SPDX-License-Identifier: GPL-2.0-or-later
/* The kernel module: loading it, and what to say when that fails. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"
#include "volume_private.h"

#define MODULE "dm-envelope"

/* Run modprobe(8) and keep what it says. -errno if it cannot be run at all. */
static void run_modprobe(const char *module, char *said, size_t bytes)
{
	char *argv[] = { "modprobe", (char *)module, NULL };
	char *env[] = { "LC_ALL=C",
			"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
	size_t used = 0;
	ssize_t n;
	int ends[2];
	pid_t pid;

	said[0] = '\0';
	if (pipe2(ends, O_CLOEXEC) < 0)
		return;
	pid = fork();
	if (pid == 0) {
		dup2(ends[1], STDERR_FILENO);
		dup2(ends[1], STDOUT_FILENO);
		execve("/sbin/modprobe", argv, env);
		execve("/usr/sbin/modprobe", argv, env);
		_exit(127);
	}
	close(ends[1]);
	while (pid > 0 && used + 1 < bytes &&
	       (n = read(ends[0], said + used, bytes - used - 1)) > 0)
		used += n;
	said[used] = '\0';
	close(ends[0]);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* kmod prints strerror(): the kernel's verdict on a signature. */
static bool says_refused(const char *said)
{
	return strstr(said, strerror(EKEYREJECTED)) ||
	       strstr(said, strerror(ENOKEY)) ||
	       strstr(said, strerror(EPERM));
}

static int explain_missing(const char *said)
{
	struct utsname u = { 0 };

	uname(&u);
	if (says_refused(said))
		log_error("the kernel %s refuses the module %s, as Secure Boot and module signing do: sign it with a key that the machine trusts (mokutil --import, then the kernel's scripts/sign-file) and load it with 'modprobe %s'; 'envelope attach --direct --target crypt' does without it",
			  u.release, MODULE, MODULE);
	else
		log_error("the kernel %s has no module %s: build it with 'make module' in dm-envelope's sources, install it with 'make install', sign it where Secure Boot is on, and load it with 'modprobe %s'; 'envelope attach --direct --target crypt' does without it",
			  u.release, MODULE, MODULE);
	return -ENOPKG;
}

int module_require(enum dm_target target)
{
	const char *module = target == DM_TARGET_CRYPT ? "dm-crypt" : MODULE;
	char said[1024];
	int r;

	r = dm_volume_target_known(target);
	if (r != -ENOPKG)
		return r;
	run_modprobe(module, said, sizeof(said));
	r = dm_volume_target_known(target);
	if (r != -ENOPKG)
		return r;
	if (target == DM_TARGET_ENVELOPE)
		return explain_missing(said);
	log_error("the kernel has no module dm-crypt: modprobe dm-crypt does not load it");
	return -ENOPKG;
}
