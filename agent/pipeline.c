// SPDX-License-Identifier: GPL-2.0-or-later
/* Threads, each with one chunk in its hands. */
#include "pipeline.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "snapshot.h"

#define ALIGN_BYTES 4096
#define DEFAULT_JOBS 8

struct run {
	const struct pipeline *p;
	pthread_mutex_t lock;
	uint64_t next;		/* chunk that nobody has taken */
	uint64_t bytes;		/* moved so far */
	struct timespec began;
	int result;
};

static double seconds_since(const struct timespec *then)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec - then->tv_sec + (now.tv_nsec - then->tv_nsec) / 1e9;
}

/* False: there is none, or something has gone wrong. */
static bool take(struct run *run, uint64_t *index_ret)
{
	const struct pipeline *p = run->p;
	bool found = false;

	pthread_mutex_lock(&run->lock);
	if (run->result == 0 && run->next < p->chunks && p->next)
		run->next = p->next(p->user, run->next);
	if (run->result == 0 && run->next < p->chunks) {
		*index_ret = run->next++;
		found = true;
	}
	pthread_mutex_unlock(&run->lock);
	return found;
}

/* Seconds by which @run is ahead of its limit. */
static double ahead(const struct run *run)
{
	double due;

	if (run->p->bytes_per_second == 0)
		return 0;
	due = (double)run->bytes / run->p->bytes_per_second;
	return due - seconds_since(&run->began);
}

/* The chunks before @index are begun. */
static void tell(const struct run *run, uint64_t index)
{
	const struct pipeline *p = run->p;
	uint64_t done = index * SNAPSHOT_CHUNK_BYTES;

	if (p->progress)
		p->progress(&(struct pipeline_progress){
			.what = p->what,
			.done_bytes = done < p->size_bytes ? done :
							     p->size_bytes,
			.total_bytes = p->size_bytes,
			.moved_bytes = run->bytes,
		});
}

static void account(struct run *run, int64_t moved)
{
	double wait = 0;

	pthread_mutex_lock(&run->lock);
	if (moved < 0) {
		if (run->result == 0)
			run->result = (int)moved;
	} else {
		run->bytes += moved;
		wait = ahead(run);
		/* The last one is told of when all of it is done. */
		if (run->next < run->p->chunks)
			tell(run, run->next);
	}
	pthread_mutex_unlock(&run->lock);
	if (wait > 0)
		nanosleep(&(struct timespec){
			.tv_sec = (time_t)wait,
			.tv_nsec = (long)((wait - (time_t)wait) * 1e9),
		}, NULL);
}

static void free_buffers(struct pipeline_buffers *b)
{
	free(b->in);
	free(b->out);
	secret_free(b->plain);
}

static int new_buffers(const struct pipeline *p, struct pipeline_buffers *b)
{
	b->in = aligned_alloc(ALIGN_BYTES, SNAPSHOT_CHUNK_BYTES);
	b->out = aligned_alloc(ALIGN_BYTES, SNAPSHOT_CHUNK_BYTES);
	if (b->in && b->out && p->plaintext)
		b->plain = secret_new(SNAPSHOT_CHUNK_BYTES);
	if (b->in && b->out && (b->plain || !p->plaintext))
		return 0;
	log_error("no %s for a chunk: %s; fewer --jobs need less",
		  b->in && b->out ? "locked memory" : "memory",
		  strerror(ENOMEM));
	free_buffers(b);
	return -ENOMEM;
}

static void *work(void *user)
{
	struct pipeline_buffers b = { 0 };
	struct run *run = user;
	uint64_t index;
	int r = new_buffers(run->p, &b);

	if (r < 0) {
		account(run, r);
		return NULL;
	}
	while (take(run, &index))
		account(run, run->p->work(run->p->user, &b, index));
	free_buffers(&b);
	return NULL;
}

static unsigned int jobs_of(const struct pipeline *p)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned int jobs = p->jobs;

	if (jobs == 0)
		jobs = processors < 1 ? 1 : processors > DEFAULT_JOBS ?
		       DEFAULT_JOBS : (unsigned int)processors;
	return jobs < PIPELINE_MAX_JOBS ? jobs : PIPELINE_MAX_JOBS;
}

int pipeline_run(const struct pipeline *p)
{
	struct run run = { .p = p, .lock = PTHREAD_MUTEX_INITIALIZER };
	pthread_t threads[PIPELINE_MAX_JOBS];
	unsigned int jobs = jobs_of(p), i;

	clock_gettime(CLOCK_MONOTONIC, &run.began);
	/* The first of them is this one: something is done in any case. */
	for (i = 1; i < jobs; i++)
		if (pthread_create(&threads[i], NULL, work, &run) != 0)
			break;
	jobs = i;
	work(&run);
	for (i = 1; i < jobs; i++)
		pthread_join(threads[i], NULL);
	if (run.result == 0)
		tell(&run, p->chunks);
	return run.result;
}
