// SPDX-License-Identifier: GPL-2.0-or-later
/* What a confined server can still do, and what it cannot, from inside. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "sandbox.h"

/* Runs @probe in a child: nothing undoes a sandbox. 0, or its line of doubt. */
static int in_child(int (*probe)(void *arg), void *arg)
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(probe(arg));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* The number of the line that does not hold. */
#define MUST(what) do { if (!(what)) return (__LINE__ - 1) % 255 + 1; } while (0)
#define REFUSED(call) ((call) == -1 && errno == EPERM)

static int calls_of_a_takeover(void *arg)
{
	char *const argv[] = { "none", NULL };
	struct rlimit limit = { 1024, 1024 };

	(void)arg;
	MUST(sandbox_calls() == 0);
	MUST(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) >= 0);
	MUST(REFUSED(execve("/nonexistent", argv, NULL)));
	MUST(REFUSED(syscall(SYS_execveat, -1, "/nonexistent", argv, NULL, 0)));
	MUST(REFUSED(socket(AF_INET, SOCK_STREAM, 0)));
	MUST(REFUSED(socket(AF_INET6, SOCK_DGRAM, 0)));
	MUST(REFUSED(socket(AF_NETLINK, SOCK_RAW, 0)));
	MUST(REFUSED(socket(AF_PACKET, SOCK_RAW, 0)));
	MUST(REFUSED(syscall(SYS_connect, 0, NULL, 0)));
	MUST(REFUSED(syscall(SYS_bind, 0, NULL, 0)));
	MUST(REFUSED(syscall(SYS_listen, 0, 0)));
	MUST(REFUSED(syscall(SYS_fork)));
	MUST(REFUSED(unshare(CLONE_NEWUSER)));
	MUST(REFUSED(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0)));
	MUST(REFUSED(syscall(SYS_mount, 0, 0, 0, 0, 0)));
	MUST(REFUSED(syscall(SYS_bpf, 0, 0, 0)));
	MUST(REFUSED(syscall(SYS_io_uring_setup, 1, 0)));
	MUST(REFUSED(syscall(SYS_keyctl, 0, 0, 0, 0, 0)));
	MUST(REFUSED(syscall(SYS_setuid, 0)));
	MUST(REFUSED(syscall(SYS_init_module, 0, 0, 0)));
	MUST(REFUSED(syscall(SYS_perf_event_open, 0, 0, 0, 0, 0)));
	MUST(REFUSED(syscall(SYS_process_vm_writev, getppid(), 0, 0, 0, 0,
			     0)));
	MUST(REFUSED(setrlimit(RLIMIT_CORE, &limit)));
	MUST(REFUSED(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)));
	MUST(REFUSED(ioctl(0, TIOCSTI, "x")));
#ifndef __SANITIZE_ADDRESS__
	MUST(REFUSED(ptrace(PTRACE_TRACEME, 0, NULL, NULL)));
	MUST(REFUSED(kill(getppid(), 0)));
#endif
	return 0;
}

static void *nothing(void *arg)
{
	return arg;
}

static int calls_of_a_server(void *arg)
{
	struct rlimit limit;
	pthread_t thread;
	void *done = NULL;

	(void)arg;
	MUST(sandbox_calls() == 0);
	MUST(pthread_create(&thread, NULL, nothing, &limit) == 0);
	MUST(pthread_join(thread, &done) == 0 && done == &limit);
	MUST(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	MUST(socket(AF_UNIX, SOCK_DGRAM, 0) >= 0);
	MUST(open("/dev/null", O_RDWR) >= 0);
	return 0;
}

/* A thread that was there before is confined as well. */
static void *exec_later(void *gate)
{
	char *const argv[] = { "none", NULL };

	pthread_mutex_lock(gate);
	pthread_mutex_unlock(gate);
	return REFUSED(execve("/nonexistent", argv, NULL)) ? gate : NULL;
}

static int calls_of_other_threads(void *arg)
{
	pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
	void *refused = NULL;
	pthread_t thread;

	(void)arg;
	pthread_mutex_lock(&gate);
	MUST(pthread_create(&thread, NULL, exec_later, &gate) == 0);
	MUST(sandbox_calls() == 0);
	pthread_mutex_unlock(&gate);
	MUST(pthread_join(thread, &refused) == 0 && refused == &gate);
	return 0;
}

static int make(const char *folder, const char *name)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	if (fd >= 0)
		close(fd);
	return fd < 0 ? -errno : 0;
}

static int look(const char *folder, const char *name)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_RDONLY);
	if (fd >= 0)
		close(fd);
	return fd < 0 ? -errno : 0;
}

static int move(const char *from, const char *from_name, const char *to)
{
	char old[256], new[256];

	snprintf(old, sizeof(old), "%s/%s", from, from_name);
	snprintf(new, sizeof(new), "%s/moved", to);
	return rename(old, new) < 0 ? -errno : 0;
}

static int files(void *arg)
{
	char (*dir)[64] = arg; /* own, to read, to remove from, others' */
	struct sandbox_path paths[] = {
		{ dir[0], SANDBOX_CHANGE }, { dir[1], SANDBOX_READ },
		{ dir[2], SANDBOX_REMOVE }, { "/nonexistent", SANDBOX_CHANGE },
	};
	char path[128];

	MUST(sandbox_privileges(dir[0]) == 0 && sandbox_bound() == 0);
	MUST(sandbox_files(paths, 4) == 0);
	MUST(make(dir[0], "new") == 0 && look(dir[0], "new") == 0);
	snprintf(path, sizeof(path), "%s/folder", dir[0]);
	MUST(mkdir(path, 0700) == 0);
	MUST(move(dir[0], "new", path) == 0);
	MUST(look(dir[1], "file") == 0);
	MUST(make(dir[1], "new") == -EACCES);
	MUST(make(dir[2], "new") == -EACCES);
	MUST(look(dir[2], "file") == -EACCES);
	snprintf(path, sizeof(path), "%s/file", dir[2]);
	MUST(unlink(path) == 0);
	MUST(look(dir[3], "file") == -EACCES);
	MUST(make(dir[3], "new") == -EACCES);
	MUST(look("/etc", "passwd") == -EACCES);
	/* Nor by a link out of what is one's own. */
	snprintf(path, sizeof(path), "%s/link", dir[0]);
	MUST(look(dir[0], "link") == -EACCES);
	return 0;
}

static void kms_sandbox_takeover(void **state)
{
	(void)state;
	assert_int_equal(in_child(calls_of_a_takeover, NULL), 0);
}

static void kms_sandbox_server(void **state)
{
	(void)state;
	assert_int_equal(in_child(calls_of_a_server, NULL), 0);
}

static void kms_sandbox_threads(void **state)
{
	(void)state;
	assert_int_equal(in_child(calls_of_other_threads, NULL), 0);
}

static void kms_sandbox_files(void **state)
{
	char dir[4][64], path[128], command[512];
	int i;

	(void)state;
	for (i = 0; i < 4; i++) {
		strcpy(dir[i], "/tmp/kms-sandbox-XXXXXX");
		assert_non_null(mkdtemp(dir[i]));
		assert_int_equal(make(dir[i], "file"), 0);
	}
	snprintf(path, sizeof(path), "%s/link", dir[0]);
	snprintf(command, sizeof(command), "%s/file", dir[3]);
	assert_int_equal(symlink(command, path), 0);
	i = in_child(files, dir);
	snprintf(command, sizeof(command), "rm -r %s %s %s %s", dir[0],
		 dir[1], dir[2], dir[3]);
	assert_int_equal(system(command), 0);
	assert_int_equal(i, 0);
}

#define NAMED(text, test) { text, test, NULL, NULL, NULL }

int main(void)
{
	const struct CMUnitTest tests[] = {
		NAMED("kms-sandbox-a-takeover-can-start-and-reach-nothing",
		      kms_sandbox_takeover),
		NAMED("kms-sandbox-a-server-can-go-on", kms_sandbox_server),
		NAMED("kms-sandbox-every-thread-is-confined",
		      kms_sandbox_threads),
		NAMED("kms-sandbox-files-outside-are-closed",
		      kms_sandbox_files),
	};

	return cmocka_run_group_tests_name("kms_sandbox", tests, NULL, NULL);
}
