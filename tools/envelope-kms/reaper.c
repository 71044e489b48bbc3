// SPDX-License-Identifier: GPL-2.0-or-later
/* The thread that deletes keys for good once their window has passed. */
#include "reaper.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "clock.h"
#include "import.h"
#include "log.h"
#include "replicate.h"
#include "rotation.h"
#include "server.h"

#define ROUND_SECONDS 60

struct reaper {
	struct server *server;
	pthread_t thread;
	pthread_mutex_t lock; /* stop, wanted */
	pthread_cond_t wake;
	bool stop, wanted;
	bool log_dirty; /* the write-ahead log still has deleted pages */
};

/* -ENOENT: nothing is due. The deletion is audited or does not happen. */
static int delete_one(struct server *s)
{
	struct key_row key = { .description = NULL };
	int rc = store_begin(s->store);

	if (rc < 0)
		return rc;
	rc = store_key_due(s->store, server_now_ms(), &key);
	if (rc == 0)
		rc = store_key_purge(s->store, &key);
	if (rc == 0)
		rc = replicate_after_purge(s->store, &key);
	if (rc == 0)
		rc = audit_service_event(s->audit, "DeleteKey", &key);
	if (rc == 0)
		rc = store_commit(s->store);
	else
		store_rollback(s->store);
	if (rc == 0)
		log_info("key %s has been deleted", key.key_id);
	key_row_free(&key);
	return rc;
}

static int shred_one(struct server *s)
{
	return store_shred_one(s->store);
}

/* Each does one thing that is due; -ENOENT: nothing is. In this order. */
static const struct {
	int (*do_one)(struct server *s);
	const char *what;
} duties[] = {
	{ import_expire_one, "delete imported material that has expired" },
	{ rotation_do_due, "rotate keys that are due" },
	{ delete_one, "delete keys that are due" },
	{ shred_one, "delete the subkeys of deleted material" },
};

static void run_round(struct reaper *r)
{
	size_t i;
	int rc;

	for (i = 0; i < sizeof(duties) / sizeof(duties[0]); i++) {
		while ((rc = duties[i].do_one(r->server)) == 0)
			r->log_dirty = true;
		if (rc != -ENOENT)
			log_warn("cannot %s, retrying in %d s",
				 duties[i].what, ROUND_SECONDS);
	}
	if (r->log_dirty && store_truncate_log(r->server->store) == 0)
		r->log_dirty = false;
}

static void *run(void *arg)
{
	struct reaper *r = arg;
	struct timespec until;

	pthread_mutex_lock(&r->lock);
	while (!r->stop) {
		clock_gettime(CLOCK_REALTIME, &until);
		/* A log that somebody was reading is tried again soon. */
		until.tv_sec += r->log_dirty || clock_is_test() ?
				1 : ROUND_SECONDS;
		while (!r->stop && !r->wanted &&
		       pthread_cond_timedwait(&r->wake, &r->lock,
					      &until) != ETIMEDOUT)
			;
		r->wanted = false;
		if (r->stop)
			break;
		pthread_mutex_unlock(&r->lock);
		run_round(r);
		pthread_mutex_lock(&r->lock);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

int reaper_start(struct server *s, struct reaper **ret)
{
	struct reaper *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->server = s;
	/* A server that was killed may have left one. */
	r->log_dirty = true;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->wake, NULL);
	run_round(r);
	if (pthread_create(&r->thread, NULL, run, r) != 0) {
		free(r);
		return -EAGAIN;
	}
	*ret = r;
	return 0;
}

void reaper_wake(struct reaper *r)
{
	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	r->wanted = true;
	pthread_cond_signal(&r->wake);
	pthread_mutex_unlock(&r->lock);
}

void reaper_stop(struct reaper *r)
{
	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	r->stop = true;
	pthread_cond_signal(&r->wake);
	pthread_mutex_unlock(&r->lock);
	pthread_join(r->thread, NULL);
	pthread_cond_destroy(&r->wake);
	pthread_mutex_destroy(&r->lock);
	free(r);
}
