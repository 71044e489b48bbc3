// SPDX-License-Identifier: GPL-2.0
/*
 * Bounce pages for writes: a small stash of used pages on every CPU, because
 * distribution kernels zero every fresh page, and for each target a reserve and
 * a limit.
 *
 * The pages hold nothing but ciphertext.
 */

#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/percpu_counter.h>

#include "envelope.h"

/* how far the count of one CPU may be off */
#define HELD_BATCH	64

struct page_stash {
	unsigned int count;
	struct page *pages[ENVELOPE_STASH_PAGES];
};

/* Touched with interrupts off: completions of writes fill it. */
static struct page_stash __percpu *stashes;

static struct page *stash_pop(void)
{
	struct page_stash *stash;
	struct page *page = NULL;
	unsigned long flags;

	local_irq_save(flags);
	stash = this_cpu_ptr(stashes);
	if (stash->count)
		page = stash->pages[--stash->count];
	local_irq_restore(flags);
	return page;
}

static bool stash_push(struct page *page)
{
	struct page_stash *stash;
	unsigned long flags;
	bool room;

	local_irq_save(flags);
	stash = this_cpu_ptr(stashes);
	room = stash->count < ENVELOPE_STASH_PAGES;
	if (room)
		stash->pages[stash->count++] = page;
	local_irq_restore(flags);
	return room;
}

/*
 * Beyond the limit nothing is allocated: the mempool then takes from the
 * reserve, or waits until pages come back to it.
 */
static void *pool_alloc(gfp_t gfp, void *data)
{
	struct envelope_pages *pages = data;
	struct page *page;

	if (unlikely(percpu_counter_read(&pages->held) >= pages->limit))
		return NULL;
	page = stash_pop();
	if (unlikely(!page))
		page = alloc_page(gfp);
	if (likely(page))
		percpu_counter_add_batch(&pages->held, 1, HELD_BATCH);
	return page;
}

static void pool_free(void *element, void *data)
{
	struct envelope_pages *pages = data;

	percpu_counter_add_batch(&pages->held, -1, HELD_BATCH);
	if (!stash_push(element))
		__free_page(element);
}

int envelope_reserve_init(struct envelope_pages *pages)
{
	int r;

	pages->limit = max_t(s64, totalram_pages() / ENVELOPE_PAGES_SHARE,
			     ENVELOPE_PAGES_MIN);
	r = percpu_counter_init(&pages->held, 0, GFP_KERNEL);
	if (r)
		return r;
	return mempool_init(&pages->pool, ENVELOPE_RESERVE_PAGES, pool_alloc,
			    pool_free, pages);
}

void envelope_reserve_exit(struct envelope_pages *pages)
{
	mempool_exit(&pages->pool);
	percpu_counter_destroy(&pages->held);
}

u64 envelope_reserve_held(struct envelope_pages *pages)
{
	return percpu_counter_sum_positive(&pages->held);
}

int envelope_pages_alloc(struct envelope_pages *pages, struct bio *bio,
			 unsigned int bytes, gfp_t gfp)
{
	while (bytes) {
		unsigned int len = min_t(unsigned int, bytes, PAGE_SIZE);
		struct page *page = mempool_alloc(&pages->pool, gfp);

		if (!page) {
			envelope_pages_free(pages, bio);
			return -ENOMEM;
		}
		__bio_add_page(bio, page, len, 0);
		bytes -= len;
	}
	return 0;
}

void envelope_pages_free(struct envelope_pages *pages, struct bio *bio)
{
	unsigned int i;

	for (i = 0; i < bio->bi_vcnt; i++)
		mempool_free(bio->bi_io_vec[i].bv_page, &pages->pool);
	bio->bi_vcnt = 0;
}

int envelope_pages_init(void)
{
	stashes = alloc_percpu(struct page_stash);
	return stashes ? 0 : -ENOMEM;
}

void envelope_pages_exit(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct page_stash *stash = per_cpu_ptr(stashes, cpu);

		while (stash->count)
			__free_page(stash->pages[--stash->count]);
	}
	free_percpu(stashes);
}
