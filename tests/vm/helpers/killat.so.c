// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Preloaded into the agent: dies at the Nth call that lasts, N being what
 * /run/kill-at says; without that file nothing is counted. In a program that
 * finds the variable KILL_AT that is the file, and those calls count, too, that
 * the agent is not expected to make between two steps of its own.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <linux/loop.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* How the libraries declare them, whose headers a test need not have. */
int32_t add_key(const char *type, const char *description, const void *payload,
		size_t bytes, int32_t ring);
long keyctl_revoke(int32_t key);
long keyctl_unlink(int32_t key, int32_t ring);
long keyctl_setperm(int32_t key, uint32_t perm);
long keyctl_set_timeout(int32_t key, unsigned int seconds);

#define REAL(name) ((typeof(&name))dlsym(RTLD_NEXT, #name))

static void count(const char *what)
{
	static unsigned long seen;
	const char *own = getenv("KILL_AT");
	int fd = open(own ? own : "/run/kill-at", O_RDONLY | O_CLOEXEC);
	char text[32] = "";
	ssize_t n;

	if (fd < 0)
		return;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0 || __atomic_add_fetch(&seen, 1, __ATOMIC_RELAXED) <
			      strtoul(text, NULL, 10))
		return;
	dprintf(STDERR_FILENO, "killed at %s\n", what);
	kill(getpid(), SIGKILL);
}

static void count_own(const char *what)
{
	if (getenv("KILL_AT"))
		count(what);
}

static const char *lasting(unsigned long request)
{
	switch (request) {
	case DM_DEV_CREATE:
		return "dm create";
	case DM_DEV_REMOVE:
		return "dm remove";
	case DM_DEV_SUSPEND:
		return "dm resume";
	case DM_TABLE_LOAD:
		return "dm load";
	case LOOP_CONFIGURE:
		return "loop configure";
	default:
		return NULL;
	}
}

int ioctl(int fd, unsigned long request, ...)
{
	const char *what = lasting(request);
	va_list list;
	void *arg;

	va_start(list, request);
	arg = va_arg(list, void *);
	va_end(list);
	if (what)
		count(what);
	return REAL(ioctl)(fd, request, arg);
}

int32_t add_key(const char *type, const char *description, const void *payload,
		size_t bytes, int32_t ring)
{
	count("add_key");
	return REAL(add_key)(type, description, payload, bytes, ring);
}

long keyctl_revoke(int32_t key)
{
	count("keyctl_revoke");
	return REAL(keyctl_revoke)(key);
}

long keyctl_unlink(int32_t key, int32_t ring)
{
	count("keyctl_unlink");
	return REAL(keyctl_unlink)(key, ring);
}

long keyctl_setperm(int32_t key, uint32_t perm)
{
	count("keyctl_setperm");
	return REAL(keyctl_setperm)(key, perm);
}

long keyctl_set_timeout(int32_t key, unsigned int seconds)
{
	count("keyctl_set_timeout");
	return REAL(keyctl_set_timeout)(key, seconds);
}

int fsync(int fd)
{
	count("fsync");
	return REAL(fsync)(fd);
}

int rename(const char *from, const char *to)
{
	count("rename");
	return REAL(rename)(from, to);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	count("renameat");
	return REAL(renameat)(from_dir, from, to_dir, to);
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to,
	      unsigned int flags)
{
	count_own("renameat2");
	return REAL(renameat2)(from_dir, from, to_dir, to, flags);
}

int unlinkat(int dir, const char *name, int flags)
{
	count_own("unlinkat");
	return REAL(unlinkat)(dir, name, flags);
}

int mkdirat(int dir, const char *name, mode_t mode)
{
	count_own("mkdirat");
	return REAL(mkdirat)(dir, name, mode);
}

int ftruncate(int fd, off_t bytes)
{
	count_own("ftruncate");
	return REAL(ftruncate)(fd, bytes);
}

ssize_t pwrite(int fd, const void *p, size_t bytes, off_t offset)
{
	count_own("pwrite");
	return REAL(pwrite)(fd, p, bytes, offset);
}

/* To the KMS. */
ssize_t send(int fd, const void *p, size_t bytes, int flags)
{
	count_own("send");
	return REAL(send)(fd, p, bytes, flags);
}

/* To a worker, which has the KMS act, or to who asked. */
ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	count("sendmsg");
	return REAL(sendmsg)(fd, message, flags);
}

/* Heard, and not yet acted upon: what the worker did is known to nobody. */
ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	ssize_t n = REAL(recvmsg)(fd, message, flags);

	if (n > 0)
		count("recvmsg");
	return n;
}
