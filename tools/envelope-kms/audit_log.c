// SPDX-License-Identifier: GPL-2.0-or-later
/* Lines that are durable when the call returns, many to a flush. */
#include "audit_log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "files.h"
#include "log.h"
#include "process.h"

#define FIRST_BYTES (16 * 1024)

/* Of a batch; a futex, for those who have a line in it. */
enum stage {
	WAITS,   /* others have the file */
	CALLS,   /* one of its callers is to write it */
	IS_DONE, /* rc says how */
};

/* Lines that go to the disk together; lives until its last caller has left. */
struct batch {
	char *data;
	size_t used, size;    /* bytes */
	atomic_uint callers;  /* in audit_log_append() */
	_Atomic uint32_t stage;
	int rc;
};

struct audit_log {
	char *folder;
	char *path;             /* in the folder */
	pthread_mutex_t lock;   /* next, writing, movers, lines of the batch */
	pthread_cond_t idle;    /* for who waits to move the file */
	struct batch *next;     /* gathers lines; NULL: none yet */
	bool writing;           /* somebody has the file, or is called to it */
	unsigned int movers;    /* wait to move it, and go first */
	int fd;                 /* append only; negative: not open; of who writes */
};

/* Bytes of a file of @size up to and with its last newline. -errno. */
static off_t whole_lines(int fd, off_t size)
{
	char part[4096];

	while (size > 0) {
		size_t want = size < (off_t)sizeof(part) ? (size_t)size :
			      sizeof(part);
		ssize_t n = pread(fd, part, want, size - (off_t)want);
		char *newline;

		if (n != (ssize_t)want)
			return n < 0 ? -errno : -EIO;
		newline = memrchr(part, '\n', want);
		if (newline)
			return size - (off_t)want + (newline - part) + 1;
		size -= (off_t)want;
	}
	return 0;
}

/*
 * Half a record that a power cut has left describes a call that was never
 * answered; the next record must not become a part of it.
 */
static int remove_torn(const struct audit_log *log, int fd)
{
	struct stat st;
	off_t whole;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return 0;
	whole = whole_lines(fd, st.st_size);
	if (whole < 0)
		return (int)whole;
	if (whole == st.st_size)
		return 0;
	log_warn("%s: removing a torn record of %lld bytes at its end",
		 log->path, (long long)(st.st_size - whole));
	return ftruncate(fd, whole) < 0 || fdatasync(fd) < 0 ? -errno : 0;
}

/*
 * The server and `envelope-kms identity` take turns: who has the lock may
 * write, take back what it wrote, and move the file away.
 */
static int lock_file(int fd, short type)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET };
	int rc;

	do {
		rc = fcntl(fd, F_OFD_SETLKW, &lock);
	} while (rc < 0 && errno == EINTR);
	return rc < 0 ? -errno : 0;
}

/* Root must not leave the server a file that it cannot open. */
static int give_to_owner(const struct audit_log *log, int fd)
{
	struct stat folder, st;

	if (geteuid() != 0)
		return 0;
	if (stat(log->folder, &folder) < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_uid == folder.st_uid)
		return 0;
	return fchown(fd, folder.st_uid, folder.st_gid) < 0 ? -errno : 0;
}

/* A new trail's name lasts from here on, as each record in it will. */
static int open_file(const struct audit_log *log)
{
	int fd = open(log->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC,
		      0600);
	int rc = fd < 0 ? -errno : give_to_owner(log, fd);

	if (rc == 0)
		rc = lock_file(fd, F_WRLCK);
	if (rc == 0)
		rc = remove_torn(log, fd);
	if (rc == 0)
		rc = dir_sync(log->folder);
	if (rc == 0)
		rc = lock_file(fd, F_UNLCK);
	if (rc == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return rc;
}

int audit_log_open(const char *folder, const char *name,
		   struct audit_log **ret)
{
	struct audit_log *log = calloc(1, sizeof(*log));

	if (!log)
		return -ENOMEM;
	log->fd = -1;
	log->folder = strdup(folder);
	log->path = file_path(folder, name);
	if (!log->folder || !log->path) {
		audit_log_close(log);
		return -ENOMEM;
	}
	pthread_mutex_init(&log->lock, NULL);
	pthread_cond_init(&log->idle, NULL);
	log->fd = open_file(log);
	if (log->fd < 0)
		log_warn("%s: cannot open the audit trail, refusing all calls until that is mended: %s",
			 log->path, strerror(-log->fd));
	*ret = log;
	return 0;
}

void audit_log_close(struct audit_log *log)
{
	if (!log)
		return;
	if (log->fd >= 0)
		close(log->fd);
	free(log->folder);
	free(log->path);
	free(log);
}

/* True when @st is what the path means. */
static bool is_in_place(const struct audit_log *log, const struct stat *st)
{
	struct stat now;

	return stat(log->path, &now) == 0 && now.st_dev == st->st_dev &&
	       now.st_ino == st->st_ino;
}

/*
 * A trail that was removed while it is open would take records that nobody
 * can ever read, and one that was moved away may be signed already: they go
 * to the one in its place. On success the caller has the lock.
 */
static int find_file(struct audit_log *log, struct stat *ret)
{
	int rc = 0;

	while (rc == 0) {
		if (log->fd < 0)
			log->fd = open_file(log);
		if (log->fd < 0)
			return log->fd;
		rc = lock_file(log->fd, F_WRLCK);
		if (rc == 0 && fstat(log->fd, ret) < 0)
			rc = -errno;
		if (rc == 0 && is_in_place(log, ret))
			return 0;
		if (rc == 0 && ret->st_nlink == 0)
			log_warn("%s: the audit trail was removed, beginning another",
				 log->path);
		close(log->fd);
		log->fd = -1;
	}
	return rc;
}

/*
 * Records that did not become durable are taken back, so that a full disk
 * leaves no torn line in front of the next record.
 */
static int write_durably(struct audit_log *log, const char *data, size_t bytes)
{
	struct stat st;
	int rc = find_file(log, &st);

	if (rc < 0)
		return rc;
	rc = file_write_all(log->fd, data, bytes);
	if (rc == 0 && fdatasync(log->fd) < 0)
		rc = -errno;
	if (rc < 0 && S_ISREG(st.st_mode) &&
	    ftruncate(log->fd, st.st_size) < 0) {
		log_error("%s: cannot take back a torn record: %s", log->path,
			  strerror(errno));
		/* Opening it again mends it, or refuses all calls. */
		close(log->fd);
		log->fd = -1;
	}
	if (log->fd >= 0)
		lock_file(log->fd, F_UNLCK);
	return rc;
}

/* The lock is held; on success @line is in the batch. */
static int join(struct audit_log *log, const char *line, size_t bytes)
{
	struct batch *b = log->next;
	char *bigger;
	size_t size;

	if (!b) {
		b = log->next = calloc(1, sizeof(*b));
		if (!b)
			return -ENOMEM;
	}
	size = b->size ? b->size : FIRST_BYTES;
	while (size < b->used + bytes)
		size *= 2;
	if (size > b->size) {
		bigger = wiping_realloc(b->data, size);
		if (!bigger)
			return -ENOMEM;
		b->data = bigger;
		b->size = size;
	}
	memcpy(b->data + b->used, line, bytes);
	b->used += bytes;
	atomic_fetch_add(&b->callers, 1);
	return 0;
}

/*
 * A condition variable would have all who wait take the lock in turn when a
 * batch is done: at 64 connections that was most of what a call waited for.
 */
static void stage_set(struct batch *b, enum stage stage, int wake)
{
	atomic_store(&b->stage, stage);
	syscall(SYS_futex, &b->stage, FUTEX_WAKE_PRIVATE, wake, NULL, NULL, 0);
}

/* True: the caller is to write the batch. False: it is done. */
static bool is_called(struct batch *b)
{
	uint32_t stage;

	while ((stage = atomic_load(&b->stage)) != IS_DONE) {
		if (stage == CALLS &&
		    atomic_compare_exchange_strong(&b->stage, &stage, WAITS))
			return true;
		if (stage == WAITS)
			syscall(SYS_futex, &b->stage, FUTEX_WAIT_PRIVATE, WAITS,
				NULL, NULL, 0);
	}
	return false;
}

/*
 * Hands the file on: to who waits to move it, or to one of those whose lines
 * have come meanwhile, who writes for all. The lock is held, so that the batch
 * cannot be done and freed before its callers are woken.
 */
static void leave_file(struct audit_log *log)
{
	/* A batch whose first line found no memory has no callers. */
	bool wanted = log->next && atomic_load(&log->next->callers) > 0;

	log->writing = !log->movers && wanted;
	if (log->movers)
		pthread_cond_signal(&log->idle);
	else if (wanted)
		stage_set(log->next, CALLS, 1);
}

/* Of who has the file, for all in the next batch. */
static void write_batch(struct audit_log *log)
{
	struct batch *b;

	pthread_mutex_lock(&log->lock);
	b = log->next;
	log->next = NULL;
	pthread_mutex_unlock(&log->lock);
	b->rc = write_durably(log, b->data, b->used);
	if (b->rc < 0)
		log_error("%s: cannot write the audit trail, refusing the call: %s",
			  log->path, strerror(-b->rc));
	pthread_mutex_lock(&log->lock);
	leave_file(log);
	pthread_mutex_unlock(&log->lock);
	stage_set(b, IS_DONE, INT_MAX);
}

/* Whoever finds the disk idle writes for all who have come so far. */
static bool take_file(struct audit_log *log)
{
	if (log->writing || log->movers)
		return false;
	log->writing = true;
	return true;
}

static int leave_batch(struct batch *b)
{
	int rc = b->rc;

	if (atomic_fetch_sub(&b->callers, 1) == 1) {
		wiping_free(b->data);
		free(b);
	}
	return rc;
}

int audit_log_append(struct audit_log *log, const char *line, size_t bytes)
{
	struct batch *b;
	bool mine;
	int rc;

	pthread_mutex_lock(&log->lock);
	rc = join(log, line, bytes);
	b = log->next;
	mine = rc == 0 && take_file(log);
	pthread_mutex_unlock(&log->lock);
	if (rc < 0)
		return rc;
	if (mine || is_called(b))
		write_batch(log);
	return leave_batch(b);
}

static int move_file(struct audit_log *log, const char *path)
{
	struct stat st;
	int rc = find_file(log, &st);

	if (rc < 0)
		return rc;
	if (st.st_size == 0)
		rc = -ENOENT;
	else if (rename(log->path, path) < 0)
		rc = -errno;
	if (rc < 0) {
		lock_file(log->fd, F_UNLCK);
		return rc;
	}
	close(log->fd);
	/* Where that fails, the next line tries again, or is refused. */
	log->fd = open_file(log);
	return log->fd < 0 ? log->fd : 0;
}

int audit_log_rotate(struct audit_log *log, const char *path)
{
	int rc;

	pthread_mutex_lock(&log->lock);
	log->movers++;
	while (log->writing)
		pthread_cond_wait(&log->idle, &log->lock);
	log->movers--;
	log->writing = true;
	pthread_mutex_unlock(&log->lock);
	rc = move_file(log, path);
	pthread_mutex_lock(&log->lock);
	leave_file(log);
	pthread_mutex_unlock(&log->lock);
	return rc;
}
