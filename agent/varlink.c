// SPDX-License-Identifier: GPL-2.0-or-later
/* Varlink's framing: bytes and descriptors to messages, and back. */
#include "varlink.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES 4096

struct varlink {
	int fd;
	size_t max_bytes;
	size_t max_waiting_bytes;
	char *in;			/* @in_used bytes, from @in_at */
	size_t in_size, in_used, in_at;
	int fds[VARLINK_MAX_FDS];	/* -1: taken */
	size_t fd_count;
	bool fds_given;			/* they belong to the last message */
	char *out;			/* @out_used bytes, from @out_at */
	size_t out_used, out_at;
	int out_fds[VARLINK_MAX_FDS];	/* borrowed */
	size_t out_fd_count;
};

int varlink_new(int fd, size_t max_bytes, size_t max_waiting_bytes,
		struct varlink **ret)
{
	struct varlink *v = calloc(1, sizeof(*v));

	if (!v) {
		close(fd);
		return -ENOMEM;
	}
	v->fd = fd;
	v->max_bytes = max_bytes;
	v->max_waiting_bytes = max_waiting_bytes;
	*ret = v;
	return 0;
}

static void close_fds(struct varlink *v)
{
	size_t i;

	for (i = 0; i < v->fd_count; i++)
		if (v->fds[i] >= 0)
			close(v->fds[i]);
	v->fd_count = 0;
	v->fds_given = false;
}

void varlink_free(struct varlink *v)
{
	if (!v)
		return;
	close_fds(v);
	close(v->fd);
	free(v->in);
	free(v->out);
	free(v);
}

int varlink_fd(const struct varlink *v)
{
	return v->fd;
}

/* Room for some more bytes behind those that wait for their NUL. */
static int make_room(struct varlink *v)
{
	size_t size = v->in_size ? v->in_size : READ_BYTES;
	char *in;

	if (v->in_at > 0)
		memmove(v->in, v->in + v->in_at, v->in_used - v->in_at);
	v->in_used -= v->in_at;
	v->in_at = 0;
	/* One more byte for the NUL of a message of exactly max_bytes. */
	if (v->in_used > v->max_bytes)
		return -EMSGSIZE;
	while (size - v->in_used < READ_BYTES)
		size *= 2;
	if (size == v->in_size)
		return 0;
	in = realloc(v->in, size);
	if (!in)
		return -ENOMEM;
	v->in = in;
	v->in_size = size;
	return 0;
}

/* Descriptors of messages that nobody asked for yet stay in front. */
static int keep_fds(struct varlink *v, const struct cmsghdr *c)
{
	size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	size_t i;
	int fd;
	int r = 0;

	if (v->fds_given)
		close_fds(v);
	for (i = 0; i < count; i++) {
		memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
		if (v->fd_count < VARLINK_MAX_FDS) {
			v->fds[v->fd_count++] = fd;
		} else {
			close(fd);
			r = -EMSGSIZE;
		}
	}
	return r;
}

int varlink_read(struct varlink *v)
{
	/* More than are allowed, so that too many are seen as too many. */
	union {
		char bytes[CMSG_SPACE(2 * VARLINK_MAX_FDS * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov;
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c;
	ssize_t n;
	int r;

	r = make_room(v);
	if (r < 0)
		return r;
	iov.iov_base = v->in + v->in_used;
	iov.iov_len = v->in_size - v->in_used;
	n = recvmsg(v->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? -EAGAIN : -EPIPE;
	for (c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		if (c->cmsg_level == SOL_SOCKET &&
		    c->cmsg_type == SCM_RIGHTS && keep_fds(v, c) < 0)
			r = -EMSGSIZE;
	if (m.msg_flags & MSG_CTRUNC)
		r = -EMSGSIZE;
	if (n == 0)
		return -EPIPE;
	v->in_used += n;
	return r;
}

int varlink_next(struct varlink *v, json_t **ret,
		 char why[static JSON_WHY_BYTES])
{
	json_t *o = NULL;
	char *from;
	char *end;
	int r;

	if (v->in_used == v->in_at)
		return -EAGAIN;
	from = v->in + v->in_at;
	end = memchr(from, '\0', v->in_used - v->in_at);
	if (!end)
		return -EAGAIN;
	if (v->fds_given)
		close_fds(v);
	v->fds_given = true;
	v->in_at += end - from + 1;
	if ((size_t)(end - from) > v->max_bytes)
		return -EMSGSIZE;
	r = json_parse_strict(from, end - from, VARLINK_MAX_DEPTH, &o, why);
	if (r == 0 && !json_is_object(o)) {
		strcpy(why, "not an object");
		json_decref(o);
		r = -EBADMSG;
	}
	if (r == 0)
		*ret = o;
	return r;
}

int varlink_take_fd(struct varlink *v, size_t index)
{
	int fd;

	if (!v->fds_given || index >= v->fd_count || v->fds[index] < 0)
		return -EBADF;
	fd = v->fds[index];
	v->fds[index] = -1;
	return fd;
}

int varlink_queue(struct varlink *v, json_t *o, const int *fds, size_t count)
{
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	size_t bytes = text ? strlen(text) + 1 : 0;
	char *out;
	int r = text ? 0 : -ENOMEM;

	json_decref(o);
	if (r == 0 && count > 0 && varlink_pending(v))
		r = -EBUSY;
	if (r == 0 && v->out_used - v->out_at + bytes > v->max_waiting_bytes)
		r = -ENOBUFS;
	if (r == 0 && v->out_at > 0) {
		memmove(v->out, v->out + v->out_at, v->out_used - v->out_at);
		v->out_used -= v->out_at;
		v->out_at = 0;
	}
	out = r == 0 ? realloc(v->out, v->out_used + bytes) : NULL;
	if (r == 0 && !out)
		r = -ENOMEM;
	if (r == 0) {
		memcpy(out + v->out_used, text, bytes);
		v->out = out;
		v->out_used += bytes;
		if (count > 0) {
			memcpy(v->out_fds, fds, count * sizeof(*fds));
			v->out_fd_count = count;
		}
	}
	free(text);
	return r;
}

bool varlink_pending(const struct varlink *v)
{
	return v->out_used > v->out_at;
}

static ssize_t send_some(struct varlink *v)
{
	union {
		char bytes[CMSG_SPACE(VARLINK_MAX_FDS * sizeof(int))];
		struct cmsghdr align;
	} control = { .bytes = { 0 } };
	struct iovec iov = { v->out + v->out_at, v->out_used - v->out_at };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	size_t bytes = v->out_fd_count * sizeof(int);

	if (v->out_fd_count > 0) {
		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(bytes);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(bytes);
		memcpy(CMSG_DATA(&control.align), v->out_fds, bytes);
	}
	return sendmsg(v->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

int varlink_write(struct varlink *v)
{
	ssize_t n;

	while (varlink_pending(v)) {
		n = send_some(v);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? -EAGAIN : -EPIPE;
		v->out_fd_count = 0;
		v->out_at += n;
	}
	free(v->out);
	v->out = NULL;
	v->out_used = v->out_at = 0;
	return 0;
}
