// SPDX-License-Identifier: GPL-2.0-or-later
/* The thread that ends connections which take too long. */
#include "patience.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct patience {
	pthread_t thread;
	int64_t ms;           /* of each wait */
	int event;            /* wakes the thread */
	pthread_mutex_t lock; /* all below */
	/* All waits are as long: the first is the next that ends. */
	struct patience_wait *first, *last;
	int64_t wakes_ms;     /* when the thread looks again by itself */
	bool stop;
};

/* The clock that nobody sets. */
static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The lock is held. */
static void take_out(struct patience *p, struct patience_wait *w)
{
	if (w->previous)
		w->previous->next = w->next;
	else
		p->first = w->next;
	if (w->next)
		w->next->previous = w->previous;
	else
		p->last = w->previous;
	w->waiting = false;
}

/* Milliseconds until the next wait ends, -1: there is none. The lock is held. */
static int end_waits(struct patience *p)
{
	int64_t now = now_ms();

	while (p->first && p->first->until_ms <= now) {
		struct patience_wait *w = p->first;

		/* Its thread sees the end, and closes it. */
		shutdown(w->fd, SHUT_RDWR);
		take_out(p, w);
	}
	p->wakes_ms = p->first ? p->first->until_ms : INT64_MAX;
	return p->first ? (int)(p->wakes_ms - now) : -1;
}

static void *run(void *arg)
{
	struct patience *p = arg;
	struct pollfd event = { .fd = p->event, .events = POLLIN };
	uint64_t count;
	int timeout_ms;

	pthread_mutex_lock(&p->lock);
	while (!p->stop) {
		timeout_ms = end_waits(p);
		pthread_mutex_unlock(&p->lock);
		if (poll(&event, 1, timeout_ms) > 0)
			(void)!read(p->event, &count, sizeof(count));
		pthread_mutex_lock(&p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

static void wake(struct patience *p)
{
	uint64_t one = 1;

	/* Fails when it is full, and so wakes already. */
	(void)!write(p->event, &one, sizeof(one));
}

static void release(struct patience *p)
{
	pthread_mutex_destroy(&p->lock);
	close(p->event);
	free(p);
}

int patience_start(int64_t ms, struct patience **ret)
{
	struct patience *p = calloc(1, sizeof(*p));
	int rc;

	if (!p)
		return -ENOMEM;
	p->ms = ms;
	p->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->event < 0) {
		rc = -errno;
		free(p);
		return rc;
	}
	pthread_mutex_init(&p->lock, NULL);
	rc = -pthread_create(&p->thread, NULL, run, p);
	if (rc == 0)
		*ret = p;
	else
		release(p);
	return rc;
}

void patience_stop(struct patience *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_mutex_unlock(&p->lock);
	wake(p);
	pthread_join(p->thread, NULL);
	release(p);
}

void patience_begin(struct patience *p, struct patience_wait *w)
{
	bool late;

	pthread_mutex_lock(&p->lock);
	w->until_ms = now_ms() + p->ms;
	w->next = NULL;
	w->previous = p->last;
	if (p->last)
		p->last->next = w;
	else
		p->first = w;
	p->last = w;
	w->waiting = true;
	late = p->wakes_ms > w->until_ms;
	if (late)
		p->wakes_ms = w->until_ms;
	pthread_mutex_unlock(&p->lock);
	if (late)
		wake(p);
}

void patience_end(struct patience *p, struct patience_wait *w)
{
	pthread_mutex_lock(&p->lock);
	if (w->waiting)
		take_out(p, w);
	pthread_mutex_unlock(&p->lock);
}
