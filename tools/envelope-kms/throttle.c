// SPDX-License-Identifier: GPL-2.0-or-later
/* A token bucket for each source of unauthenticated failures. */
#include "throttle.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

#include "log.h"

#define BUCKETS 256 /* addresses that share one share its allowance */
#define REPORT_MS 10000

struct bucket {
	double tokens;
	int64_t last_ms; /* 0: unused */
};

struct throttle {
	pthread_mutex_t lock; /* all below */
	struct bucket buckets[BUCKETS];
	uint64_t failures;    /* since the last report */
	int64_t report_ms;
};

struct throttle *throttle_new(void)
{
	struct throttle *t = calloc(1, sizeof(*t));

	if (t)
		pthread_mutex_init(&t->lock, NULL);
	return t;
}

void throttle_free(struct throttle *t)
{
	if (!t)
		return;
	pthread_mutex_destroy(&t->lock);
	free(t);
}

/* FNV-1a, 32 bits. */
static struct bucket *find(struct throttle *t, const char *address)
{
	uint32_t h = 2166136261u;

	for (; *address; address++)
		h = (h ^ (unsigned char)*address) * 16777619u;
	return &t->buckets[h % BUCKETS];
}

bool throttle_failure(struct throttle *t, const char *address,
		      int64_t now_ms)
{
	struct bucket *b;
	uint64_t report = 0;
	bool ok;

	pthread_mutex_lock(&t->lock);
	b = find(t, address);
	if (!b->last_ms)
		b->tokens = THROTTLE_BURST;
	else if (now_ms > b->last_ms)
		b->tokens += (double)(now_ms - b->last_ms) *
			     THROTTLE_PER_SECOND / 1000;
	if (b->tokens > THROTTLE_BURST)
		b->tokens = THROTTLE_BURST;
	b->last_ms = now_ms;
	ok = b->tokens >= 1;
	if (ok)
		b->tokens -= 1;
	t->failures++;
	if (now_ms - t->report_ms >= REPORT_MS) {
		report = t->failures;
		t->failures = 0;
		t->report_ms = now_ms;
	}
	pthread_mutex_unlock(&t->lock);
	if (report)
		log_warn("unauthenticated requests refused: %llu, the last from %s",
			 (unsigned long long)report, address);
	return ok;
}
