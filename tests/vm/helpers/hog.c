// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * hog MIB ROUNDS: takes that much memory, and looks in each round whether all
 * of it is what the round before has left. Exit 1 when a page is not.
 */
#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define PAGE_WORDS	512

/* No two pages are alike, and none can be compressed to nothing. */
static uint64_t word(uint64_t page, uint64_t i, uint64_t round)
{
	uint64_t x = (page << 20 | i << 8 | round) * 0x9e3779b97f4a7c15ull;

	return x ^ (x >> 29);
}

int main(int argc, char **argv)
{
	uint64_t pages = argc > 1 ? strtoull(argv[1], NULL, 0) << 8 : 0;
	unsigned int rounds = argc > 2 ? atoi(argv[2]) : 1;
	uint64_t *memory = mmap(NULL, pages << 12, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		err(2, "mmap");
	for (unsigned int round = 0; round <= rounds; round++) {
		for (uint64_t page = 0; page < pages; page++) {
			uint64_t *p = memory + page * PAGE_WORDS;

			for (uint64_t i = 0; i < PAGE_WORDS; i++) {
				if (round && p[i] != word(page, i, round - 1))
					errx(1, "page %llu is wrong in round %u",
					     (unsigned long long)page, round);
				p[i] = word(page, i, round);
			}
		}
	}
	return 0;
}
