// SPDX-License-Identifier: GPL-2.0-or-later
/* The system calls of a server that has its socket, for libseccomp. */
#include <asm/ioctls.h>
#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "log.h"
#include "sandbox.h"

#define NAMESPACES (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | \
		    CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | \
		    CLONE_NEWNET)

/*
 * By name, as not every architecture has all. No exec, no ptrace, no mounts,
 * no keys of the kernel, no sockets but by the rules below, no signals to
 * others, no change of users, times or limits.
 */
static const char *const allowed[] = {
	/* memory */
	"brk", "madvise", "membarrier", "memfd_secret", "mincore", "mlock",
	"mlock2", "mlockall", "mmap", "mmap2", "mprotect", "mremap", "msync",
	"munlock", "munlockall", "munmap",
	/* threads and their ends */
	"arch_prctl", "exit", "exit_group", "futex", "futex_waitv",
	"get_robust_list", "getcpu", "getpid", "getppid", "gettid",
	"restart_syscall", "rseq", "rt_sigaction", "rt_sigpending",
	"rt_sigprocmask", "rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend",
	"rt_sigtimedwait", "sched_getaffinity", "sched_getparam",
	"sched_getscheduler", "sched_yield", "set_robust_list",
	"set_tid_address", "sigaltstack", "sigreturn", "tgkill",
	/* time and chance */
	"clock_getres", "clock_gettime", "clock_nanosleep", "getrandom",
	"gettimeofday", "nanosleep", "time", "times",
	/* what it may know of itself and of the system */
	"getegid", "geteuid", "getgid", "getgroups", "getresgid", "getresuid",
	"getrlimit", "getrusage", "getuid", "sysinfo", "ugetrlimit", "uname",
	/* files */
	"access", "chmod", "close", "close_range", "copy_file_range", "creat",
	"dup", "dup2", "dup3", "faccessat", "faccessat2", "fadvise64",
	"fallocate", "fchmod", "fchmodat", "fchown", "fcntl", "fcntl64",
	"fdatasync", "flock", "fstat", "fstat64", "fstatat64", "fstatfs",
	"fsync", "ftruncate", "getcwd", "getdents", "getdents64", "_llseek",
	"lseek", "lstat", "mkdir", "mkdirat", "newfstatat", "open", "openat",
	"pread64", "preadv", "preadv2", "pwrite64", "pwritev", "pwritev2",
	"read", "readahead", "readlink", "readlinkat", "readv", "rename",
	"renameat", "renameat2", "rmdir", "stat", "stat64", "statfs", "statx",
	"sync_file_range", "truncate", "umask", "unlink", "unlinkat",
	"utimensat", "write", "writev",
	/* connections that clients make */
	"accept", "accept4", "epoll_create", "epoll_create1", "epoll_ctl",
	"epoll_pwait", "epoll_wait", "eventfd", "eventfd2", "getpeername",
	"getsockname", "getsockopt", "pipe", "pipe2", "poll", "ppoll",
	"pselect6", "recvfrom", "recvmsg", "select", "_newselect", "sendmsg",
	"sendto", "setsockopt", "shutdown",
#ifdef __SANITIZE_ADDRESS__
	/* its search for leaks at the end */
	"ptrace", "wait4", "process_vm_readv", "kill",
#endif
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
	static const unsigned long ioctls[] = { TCGETS, FIONREAD, FIONBIO };
	static const int options[] = { PR_SET_NAME, PR_GET_NAME,
				       PR_GET_DUMPABLE, PR_SET_VMA };
	size_t i;
	int rc;

	/* To the service manager and the journal; an address goes with each. */
	rc = allow(ctx, "socket", 1, SCMP_A0_32(SCMP_CMP_EQ, AF_UNIX));
	/* Threads, but no new world. */
	if (rc == 0)
		rc = allow(ctx, "clone", 1,
			   SCMP_A0(SCMP_CMP_MASKED_EQ, NAMESPACES, 0));
	/* Limits are asked for, not set. */
	if (rc == 0)
		rc = allow(ctx, "prlimit64", 1, SCMP_A2(SCMP_CMP_EQ, 0));
	for (i = 0; rc == 0 && i < sizeof(ioctls) / sizeof(*ioctls); i++)
		rc = allow(ctx, "ioctl", 1,
			   SCMP_A1_32(SCMP_CMP_EQ, ioctls[i]));
	for (i = 0; rc == 0 && i < sizeof(options) / sizeof(*options); i++)
		rc = allow(ctx, "prctl", 1,
			   SCMP_A0_32(SCMP_CMP_EQ, options[i]));
	/* Its flags are in memory; the C library then takes clone. */
	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS),
				      seccomp_syscall_resolve_name("clone3"),
				      0);
	return rc;
}

int sandbox_calls(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	size_t i;
	int rc = ctx ? 0 : -ENOMEM;

	if (rc == 0)
		rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	/* A tree in place of a list: a few steps a call, not a hundred. */
	if (rc == 0)
		rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	for (i = 0; rc == 0 && i < sizeof(allowed) / sizeof(*allowed); i++)
		rc = allow(ctx, allowed[i], 0, SCMP_A0(SCMP_CMP_EQ, 0));
	if (rc == 0)
		rc = allow_some(ctx);
	if (rc == 0)
		rc = seccomp_load(ctx);
	seccomp_release(ctx);
	if (rc == -EOPNOTSUPP || rc == -ENOSYS) {
		log_info("this kernel does not filter system calls: all are left open");
		return 0;
	}
	if (rc < 0)
		log_error("cannot confine system calls: %s", strerror(-rc));
	return rc;
}
