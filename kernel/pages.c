// SPDX-License-Identifier: GPL-2.0
/*
 * Bounce pages for writes: a small stash of used pages on every CPU, because
 * distribution kernels zero every fresh page, and a reserve for each target.
 *
 * The pages hold nothing but ciphertext.
 */

#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/percpu.h>

#include "envelope.h"

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

static void *reserve_alloc(gfp_t gfp, void *unused)
{
	struct page *page = stash_pop();

	return page ? page : alloc_page(gfp);
}

static void reserve_free(void *element, void *unused)
{
	if (!stash_push(element))
		__free_page(element);
}

int envelope_reserve_init(mempool_t *reserve)
{
	return mempool_init(reserve, ENVELOPE_RESERVE_PAGES, reserve_alloc,
			    reserve_free, NULL);
}

int envelope_pages_alloc(mempool_t *reserve, struct bio *bio,
			 unsigned int bytes, gfp_t gfp)
{
	while (bytes) {
		unsigned int len = min_t(unsigned int, bytes, PAGE_SIZE);
		struct page *page = mempool_alloc(reserve, gfp);

		if (!page) {
			envelope_pages_free(reserve, bio);
			return -ENOMEM;
		}
		__bio_add_page(bio, page, len, 0);
		bytes -= len;
	}
	return 0;
}

void envelope_pages_free(mempool_t *reserve, struct bio *bio)
{
	unsigned int i;

	for (i = 0; i < bio->bi_vcnt; i++)
		mempool_free(bio->bi_io_vec[i].bv_page, reserve);
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
