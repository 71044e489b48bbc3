// SPDX-License-Identifier: GPL-2.0-or-later
/* Token buckets for accounts and for sources of unauthenticated failures. */
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
	struct bucket accounts[BUCKETS];
	unsigned int per_second; /* of an account; 0: any number */
	uint64_t failures;    /* since the last report */
	int64_t report_ms;
};

struct throttle *throttle_new(unsigned int per_second)
{
	struct throttle *t = calloc(1, sizeof(*t));

	if (t) {
		pthread_mutex_init(&t->lock, NULL);
		t->per_second = per_second;
	}
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
static struct bucket *find(struct bucket *buckets, const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	return &buckets[h % BUCKETS];
}

/* The lock is held. False: none is left. */
static bool take_token(struct bucket *b, double per_second, double burst,
		       int64_t now_ms)
{
	if (!b->last_ms)
		b->tokens = burst;
	else if (now_ms > b->last_ms)
		b->tokens += (double)(now_ms - b->last_ms) * per_second / 1000;
	if (b->tokens > burst)
		b->tokens = burst;
	b->last_ms = now_ms;
	if (b->tokens < 1)
		return false;
	b->tokens -= 1;
	return true;
}

bool throttle_account(struct throttle *t, const char *account, int64_t now_ms)
{
	bool ok;

	if (!t->per_second)
		return false;
	pthread_mutex_lock(&t->lock);
	ok = take_token(find(t->accounts, account), t->per_second,
			2.0 * t->per_second, now_ms);
	pthread_mutex_unlock(&t->lock);
	return !ok;
}

bool throttle_failure(struct throttle *t, const char *address,
		      int64_t now_ms)
{
	uint64_t report = 0;
	bool ok;

	pthread_mutex_lock(&t->lock);
	ok = take_token(find(t->buckets, address), THROTTLE_PER_SECOND,
			THROTTLE_BURST, now_ms);
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
