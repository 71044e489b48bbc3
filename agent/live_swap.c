// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The moment of a live snapshot. While a volume is suspended, what needs memory
 * or a page of a program may wait for that very volume. So it is done by a
 * process of its own, locked in memory, with everything allocated before; and a
 * second one resumes the volumes if the first one dies or hangs.
 */
#include "live_private.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "dm_private.h"
#include "log.h"

/* What a file system may need to be written out and frozen. */
#define PATIENCE_MS 30000
#define RESERVE_BYTES (4u << 20)

enum moment {
	MOMENT_OPEN,
	MOMENT_TAKEN,		/* all snapshots were taken in time */
	MOMENT_MISSED,		/* the watchdog has resumed a volume */
};

/* What the processes share. */
struct shared {
	_Atomic int moment;
	_Atomic size_t begun;	/* so many volumes may be suspended */
	int result;		/* -errno; of suspend, resume */
	size_t at;		/* the volume that it was about */
	uint64_t pause_us[];
};

/* Prepared for what must not allocate; in the order of the suspends. */
struct tasks {
	struct dm_task *suspend;
	struct dm_task *resume;
	struct dm_task *take;	/* resumes the snapshot */
};

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int prepare(const struct live_volume *v, struct tasks *ret)
{
	char snapshot[LIVE_NAME_CHARS];
	uint32_t none = 0;
	int r;

	live_name_of(v->volume.volume_id, LIVE_SNAPSHOT, snapshot);
	r = dm_new_task(DM_DEVICE_SUSPEND, v->volume.name, &ret->suspend);
	if (r == 0)
		r = dm_new_task(DM_DEVICE_RESUME, v->volume.name,
				&ret->resume);
	if (r == 0)
		r = dm_new_task(DM_DEVICE_RESUME, snapshot, &ret->take);
	/* Without udev to wait for, this is but a word to it. */
	if (r == 0 && !dm_task_set_cookie(ret->take, &none,
					  DM_UDEV_DISABLE_SUBSYSTEM_RULES_FLAG |
					  DM_UDEV_DISABLE_DISK_RULES_FLAG |
					  DM_UDEV_DISABLE_OTHER_RULES_FLAG |
					  DM_UDEV_DISABLE_LIBRARY_FALLBACK))
		r = -EIO;
	return r;
}

static int prepare_all(const struct live *l, struct tasks *tasks)
{
	size_t i;
	int r = 0;

	dm_udev_set_sync_support(0);
	for (i = 0; i < l->count && r == 0; i++)
		r = prepare(&l->at[l->order[i]], &tasks[i]);
	return r;
}

/* The library allocates when a task runs: from what is in memory by now. */
static int stay_in_memory(void)
{
	void *reserve;

	mallopt(M_TRIM_THRESHOLD, INT_MAX);
	mallopt(M_MMAP_THRESHOLD, INT_MAX);
	reserve = malloc(RESERVE_BYTES);
	if (reserve)
		explicit_bzero(reserve, RESERVE_BYTES);
	free(reserve);
	return mlockall(MCL_CURRENT | MCL_FUTURE) < 0 ? -errno : 0;
}

static void resume_all(struct tasks *tasks, const struct shared *shared)
{
	size_t i;

	for (i = shared->begun; i-- > 0; )
		dm_run_task(tasks[i].resume);
}

/* Until the end of @pipe, or a word that all is done. */
static void watch(struct tasks *tasks, struct shared *shared, int pipe)
{
	struct pollfd p = { .fd = pipe, .events = POLLIN };
	int timeout = -1;
	int open = MOMENT_OPEN;
	char word;
	ssize_t n;

	for (;;) {
		if (poll(&p, 1, timeout) == 0) {
			atomic_compare_exchange_strong(&shared->moment, &open,
						       MOMENT_MISSED);
			resume_all(tasks, shared);
			timeout = -1;
			continue;
		}
		n = read(pipe, &word, 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n == 1 && word == 'b') {
			timeout = PATIENCE_MS;
			continue;
		}
		if (n != 1)
			resume_all(tasks, shared);
		return;
	}
}

/* *@pipe_ret: to tell it. It is ready when this returns. */
static int start_watchdog(const struct live *l, struct shared *shared,
			  int *pipe_ret)
{
	struct tasks *tasks = calloc(l->count, sizeof(*tasks));
	int to[2], from[2];
	char word = 0;
	pid_t pid;

	if (!tasks)
		return -ENOMEM;
	if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		close(to[1]);
		close(from[0]);
		if (prepare_all(l, tasks) == 0 && stay_in_memory() == 0 &&
		    write(from[1], "r", 1) == 1)
			watch(tasks, shared, to[0]);
		_exit(0);
	}
	close(to[0]);
	close(from[1]);
	if (read(from[0], &word, 1) != 1)
		return -EIO;
	close(from[0]);
	*pipe_ret = to[1];
	return 0;
}

static int suspend_all(const struct live *l, struct tasks *tasks,
		       struct shared *shared)
{
	size_t i;
	int r;

	for (i = 0; i < l->count; i++) {
		shared->at = i;
		shared->begun = i + 1;
		shared->pause_us[i] = now_us();
		r = dm_run_task(tasks[i].suspend);
		if (r < 0)
			return r;
	}
	return 0;
}

static int take_all(const struct live *l, struct tasks *tasks,
		    struct shared *shared)
{
	int open = MOMENT_OPEN;
	size_t i;
	int r;

	for (i = 0; i < l->count; i++) {
		shared->at = i;
		r = dm_run_task(tasks[i].take);
		if (r < 0)
			return r;
	}
	return atomic_compare_exchange_strong(&shared->moment, &open,
					      MOMENT_TAKEN) ? 0 : -ETIMEDOUT;
}

static int release_all(struct tasks *tasks, struct shared *shared)
{
	size_t i;
	int r, worst = 0;

	for (i = shared->begun; i-- > 0; ) {
		r = dm_run_task(tasks[i].resume);
		shared->pause_us[i] = now_us() - shared->pause_us[i];
		if (r < 0 && worst == 0) {
			shared->at = i;
			worst = r;
		}
	}
	return worst;
}

/* Nothing may end it half-way that can be kept from it. */
static void stand_alone(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	setsid();
}

static int act(const struct live *l, struct shared *shared)
{
	struct tasks *tasks = calloc(l->count, sizeof(*tasks));
	int watchdog = -1;
	int r, released;

	stand_alone();
	r = tasks ? prepare_all(l, tasks) : -ENOMEM;
	if (r == 0)
		r = start_watchdog(l, shared, &watchdog);
	if (r == 0)
		r = stay_in_memory();
	if (r < 0)
		return r;
	if (write(watchdog, "b", 1) != 1)
		return -EIO;
	r = suspend_all(l, tasks, shared);
	if (r == 0)
		r = take_all(l, tasks, shared);
	released = release_all(tasks, shared);
	if (released == 0 && write(watchdog, "d", 1) != 1)
		r = r < 0 ? r : -EIO;
	/* If not, the watchdog tries again at the end of the pipe. */
	return r < 0 ? r : released;
}

static int explain(const struct live *l, const struct shared *shared, int r)
{
	const char *name = l->at[l->order[shared->at]].volume.name;

	if (r == -ETIMEDOUT) {
		log_error("'%s' was not written out and frozen within %d seconds: the snapshot was given up; try again when less is being written",
			  name, PATIENCE_MS / 1000);
		return r;
	}
	log_error("'%s': it could not be suspended and resumed: %s", name,
		  strerror(-r));
	return r == -ENOMEM || r == -EPERM ? r : -EIO;
}

/* The end of @alive says that the watchdog has gone, too. */
static int await(const struct live *l, struct shared *shared, pid_t pid,
		 int alive)
{
	int status = 0;
	char word;
	size_t i;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	while (read(alive, &word, 1) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		log_error("the process that takes the snapshot was killed");
		return -EIO;
	}
	if (shared->result < 0)
		return explain(l, shared, shared->result);
	for (i = 0; i < l->count; i++)
		l->at[l->order[i]].pause_us = shared->pause_us[i];
	return 0;
}

static int run(const struct live *l, struct shared *shared)
{
	int alive[2];
	pid_t pid;
	int r;

	if (pipe2(alive, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		close(alive[0]);
		shared->result = act(l, shared);
		_exit(0);
	}
	r = pid < 0 ? -errno : 0;
	close(alive[1]);
	if (r < 0)
		log_error("no process to take the snapshot: %s", strerror(-r));
	else
		r = await(l, shared, pid, alive[0]);
	close(alive[0]);
	return r;
}

int live_swap(struct live *l)
{
	size_t bytes = sizeof(struct shared) + l->count * sizeof(uint64_t);
	struct shared *shared;
	int r;

	shared = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (shared == MAP_FAILED)
		return -ENOMEM;
	shared->result = -EIO;
	r = run(l, shared);
	munmap(shared, bytes);
	return r;
}
