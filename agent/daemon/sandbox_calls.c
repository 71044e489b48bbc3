// SPDX-License-Identifier: GPL-2.0-or-later
/* The system calls of a worker, for libseccomp. */
#include <asm/ioctls.h>
#include <errno.h>
#include <linux/fs.h>
#include <linux/netlink.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "sandbox_private.h"

#define NAMESPACES (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | \
		    CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | \
		    CLONE_NEWNET)

/*
 * By name, as not every architecture has all. No exec, ptrace, mounts, keys of
 * the kernel, signals to others, handles of files; nothing that changes a file
 * or a user. All else is refused with EPERM.
 */
static const char *const allowed[] = {
	/* memory */
	"brk", "madvise", "membarrier", "memfd_secret", "mincore", "mlock",
	"mlock2", "mmap", "mmap2", "mprotect", "mremap", "munlock", "munmap",
	"ftruncate",	/* of its own: no file is open for writing */
	/* threads and their ends */
	"arch_prctl", "exit", "exit_group", "futex", "futex_waitv",
	"get_robust_list", "getcpu", "getpid", "getppid", "gettid",
	"restart_syscall", "rseq", "rt_sigaction", "rt_sigpending",
	"rt_sigprocmask", "rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait",
	"sched_getaffinity", "sched_yield", "set_robust_list",
	"set_tid_address", "sigaltstack", "sigreturn", "tgkill",
	/* time and chance */
	"clock_getres", "clock_gettime", "clock_nanosleep", "getrandom",
	"gettimeofday", "nanosleep", "time", "times",
	/* what it may know of itself and of the system */
	"getegid", "geteuid", "getgid", "getgroups", "getresgid", "getresuid",
	"getrlimit", "getrusage", "getuid", "sysinfo", "ugetrlimit", "uname",
	/* files, for reading */
	"access", "close", "close_range", "dup", "dup2", "dup3", "faccessat",
	"faccessat2", "fadvise64", "fcntl", "fcntl64", "fstat", "fstat64",
	"fstatat64", "fstatfs", "getcwd", "getdents", "getdents64", "_llseek",
	"lseek", "lstat", "newfstatat", "open", "openat", "pread64", "preadv",
	"read", "readlink", "readlinkat", "readv", "stat", "stat64", "statfs",
	"statx", "umask", "write", "writev",
	/* connections that it makes */
	"bind", "connect", "epoll_create1", "epoll_ctl", "epoll_pwait",
	"epoll_wait", "eventfd2", "getpeername", "getsockname", "getsockopt",
	"pipe2", "poll", "ppoll", "pselect6", "recvfrom", "recvmmsg", "recvmsg",
	"select", "sendmmsg", "sendmsg", "sendto", "setsockopt", "shutdown",
	"socketpair",
};

static int allow(scmp_filter_ctx ctx, const char *name, unsigned int count,
		 struct scmp_arg_cmp arg)
{
	int number = seccomp_syscall_resolve_name(name);

	if (number == __NR_SCMP_ERROR)
		return 0;
	return seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, number, count,
				      count ? &arg : NULL);
}

/* Some of what these do. */
static int allow_some(scmp_filter_ctx ctx)
{
	/* What libblkid asks a device beside these, it can do without. */
	static const unsigned long ioctls[] = {
		TCGETS, FIONREAD, FIONBIO, BLKGETSIZE64, BLKSSZGET, BLKPBSZGET,
		BLKROGET, BLKIOMIN, BLKIOOPT, BLKALIGNOFF,
	};
	/* The last one asks for a machine's addresses, as resolving does. */
	static const int families[] = { AF_UNIX, AF_INET, AF_INET6,
					AF_NETLINK };
	static const int options[] = { PR_SET_NAME, PR_GET_NAME,
				       PR_GET_DUMPABLE, PR_SET_VMA };
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < sizeof(families) / sizeof(*families); i++)
		r = allow(ctx, "socket", 1,
			  SCMP_A0_32(SCMP_CMP_EQ, families[i]));
	for (i = 0; r == 0 && i < sizeof(ioctls) / sizeof(*ioctls); i++)
		r = allow(ctx, "ioctl", 1, SCMP_A1_32(SCMP_CMP_EQ, ioctls[i]));
	for (i = 0; r == 0 && i < sizeof(options) / sizeof(*options); i++)
		r = allow(ctx, "prctl", 1, SCMP_A0_32(SCMP_CMP_EQ, options[i]));
	/* The resolver is a thread; no new world. */
	if (r == 0)
		r = allow(ctx, "clone", 1,
			  SCMP_A0(SCMP_CMP_MASKED_EQ, NAMESPACES, 0));
	if (r == 0)
		r = allow(ctx, "prlimit64", 1, SCMP_A2(SCMP_CMP_EQ, 0));
	/* Its flags are in memory; the C library then takes clone. */
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS),
				     seccomp_syscall_resolve_name("clone3"),
				     0);
	return r;
}

int sandbox_calls(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	size_t i;
	int r = ctx ? 0 : -ENOMEM;

	if (r == 0)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	for (i = 0; r == 0 && i < sizeof(allowed) / sizeof(*allowed); i++)
		r = allow(ctx, allowed[i], 0, SCMP_A0(SCMP_CMP_EQ, 0));
	if (r == 0)
		r = allow_some(ctx);
	if (r == 0)
		r = seccomp_load(ctx);
	seccomp_release(ctx);
	return r;
}
