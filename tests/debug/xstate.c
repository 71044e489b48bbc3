// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Preloaded into User-mode Linux: lets ptrace() calls for the extended
 * register state through whatever the host's CPU has.
 *
 * UML before 6.13 passes a buffer of fixed size. A host with more state (AMX:
 * 11008 bytes) answers EFAULT to PTRACE_SETREGSET unless the length is its
 * own, and UML dies at the first exec. So the call is made with a buffer of
 * the host's size. What UML does not pass is not in use: the header in the
 * part that it does pass says so.
 */

#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define STATE_MAX_BYTES 65536

static unsigned char state[STATE_MAX_BYTES];
static size_t host_bytes;

static long kernel_ptrace(long request, long pid, void *addr, void *data)
{
	return syscall(SYS_ptrace, request, pid, addr, data);
}

/* The C library's own twist: PEEK requests return the word they read. */
static long peek(long request, long pid, void *addr)
{
	long word;

	if (kernel_ptrace(request, pid, addr, &word) < 0)
		return -1;
	errno = 0;
	return word;
}

/* The host's state into `state`, and its size. */
static long read_state(long pid)
{
	struct iovec all = { state, sizeof(state) };
	long r = kernel_ptrace(PTRACE_GETREGSET, pid, (void *)NT_X86_XSTATE,
			       &all);

	if (r >= 0)
		host_bytes = all.iov_len;
	return r;
}

static long get_state(long pid, struct iovec *ret)
{
	long r = read_state(pid);

	if (r < 0)
		return r;
	if (ret->iov_len > host_bytes)
		ret->iov_len = host_bytes;
	memcpy(ret->iov_base, state, ret->iov_len);
	return 0;
}

static long set_state(long pid, const struct iovec *from)
{
	struct iovec all = { state, 0 };
	size_t bytes = from->iov_len;

	if (!host_bytes && read_state(pid) < 0)
		return -1;
	if (bytes > host_bytes)
		bytes = host_bytes;
	memset(state, 0, host_bytes);
	memcpy(state, from->iov_base, bytes);
	all.iov_len = host_bytes;
	return kernel_ptrace(PTRACE_SETREGSET, pid, (void *)NT_X86_XSTATE,
			     &all);
}

long ptrace(enum __ptrace_request request, ...)
{
	va_list ap;
	long pid;
	void *addr, *data;

	va_start(ap, request);
	pid = va_arg(ap, int);
	addr = va_arg(ap, void *);
	data = va_arg(ap, void *);
	va_end(ap);

	if (request >= PTRACE_PEEKTEXT && request <= PTRACE_PEEKUSER)
		return peek(request, pid, addr);
	if ((long)addr == NT_X86_XSTATE && request == PTRACE_GETREGSET)
		return get_state(pid, data);
	if ((long)addr == NT_X86_XSTATE && request == PTRACE_SETREGSET)
		return set_state(pid, data);
	return kernel_ptrace(request, pid, addr, data);
}
