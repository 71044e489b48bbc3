// SPDX-License-Identifier: GPL-2.0-or-later
/* A small hash table of parsed policies. */
#include "policy_cache.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

#define SLOTS 512 /* one entry each: a newer one takes the place of an older */

struct policy_entry {
	struct policy *policy;
	char *text;
	enum policy_kind kind;
	atomic_int holders; /* the table counts as one */
};

struct policy_cache {
	pthread_mutex_t lock; /* guards the slots */
	struct policy_entry *slots[SLOTS];
};

int policy_cache_new(struct policy_cache **ret)
{
	struct policy_cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return -ENOMEM;
	pthread_mutex_init(&cache->lock, NULL);
	*ret = cache;
	return 0;
}

void policy_cache_free(struct policy_cache *cache)
{
	size_t i;

	if (!cache)
		return;
	for (i = 0; i < SLOTS; i++)
		policy_cache_put(cache->slots[i]);
	pthread_mutex_destroy(&cache->lock);
	free(cache);
}

void policy_cache_put(struct policy_entry *entry)
{
	if (!entry || atomic_fetch_sub(&entry->holders, 1) > 1)
		return;
	policy_free(entry->policy);
	free(entry->text);
	free(entry);
}

const struct policy *policy_entry_policy(const struct policy_entry *entry)
{
	return entry->policy;
}

/* FNV-1a; whoever makes two documents collide only slows himself. */
static size_t slot_of(const char *text, enum policy_kind kind)
{
	uint32_t hash = 2166136261u ^ (uint32_t)kind;

	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 16777619u;
	return hash % SLOTS;
}

static struct policy_entry *find(struct policy_cache *cache, size_t slot,
				 const char *text, enum policy_kind kind)
{
	struct policy_entry *entry;

	pthread_mutex_lock(&cache->lock);
	entry = cache->slots[slot];
	if (entry && (entry->kind != kind || strcmp(entry->text, text) != 0))
		entry = NULL;
	if (entry)
		atomic_fetch_add(&entry->holders, 1);
	pthread_mutex_unlock(&cache->lock);
	return entry;
}

static int make(const char *text, enum policy_kind kind,
		struct policy_entry **ret)
{
	struct policy_entry *entry = calloc(1, sizeof(*entry));
	char why[POLICY_WHY_BYTES];
	int rc = -ENOMEM;

	if (!entry)
		return rc;
	entry->kind = kind;
	atomic_init(&entry->holders, 1);
	entry->text = strdup(text);
	if (entry->text)
		rc = policy_parse(text, strlen(text), kind, &entry->policy,
				  why);
	if (rc == -EBADMSG) {
		log_error("database: a stored policy is no good, refusing what it governs: %s",
			  why);
		rc = -EIO;
	}
	if (rc < 0) {
		policy_cache_put(entry);
		return rc;
	}
	*ret = entry;
	return 0;
}

int policy_cache_get(struct policy_cache *cache, const char *text,
		     enum policy_kind kind, struct policy_entry **ret)
{
	size_t slot = slot_of(text, kind);
	struct policy_entry *entry = find(cache, slot, text, kind), *old;
	int rc;

	if (entry) {
		*ret = entry;
		return 0;
	}
	rc = make(text, kind, &entry);
	if (rc < 0)
		return rc;
	atomic_fetch_add(&entry->holders, 1);
	pthread_mutex_lock(&cache->lock);
	old = cache->slots[slot];
	cache->slots[slot] = entry;
	pthread_mutex_unlock(&cache->lock);
	policy_cache_put(old);
	*ret = entry;
	return 0;
}
