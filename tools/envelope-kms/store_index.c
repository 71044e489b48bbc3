// SPDX-License-Identifier: GPL-2.0-or-later
/* A look at the memory in which SQLite's processes tell of commits. */
#include "store_index.h"

#include <stdatomic.h>
#include <string.h>

#define REGION_BYTES 32768 /* in which SQLite maps it */

const volatile uint32_t *store_index_find(sqlite3 *db)
{
	volatile void *index = NULL;
	sqlite3_file *file = NULL;

	/*
	 * By SQLite's own mapping: to open and close the file here would let
	 * go of its locks, which belong to the process.
	 */
	if (sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER,
				 &file) != SQLITE_OK || !file ||
	    !file->pMethods || file->pMethods->iVersion < 2 ||
	    file->pMethods->xShmMap(file, 0, REGION_BYTES, 0,
				    &index) != SQLITE_OK)
		return NULL;
	return index;
}

/* Who commits writes the second copy, then the first. */
bool store_index_read(const volatile uint32_t *index, struct index_head *ret)
{
	uint32_t second[INDEX_WORDS];
	unsigned int i;

	if (!index)
		return false;
	for (i = 0; i < INDEX_WORDS; i++)
		ret->words[i] = index[i];
	atomic_thread_fence(memory_order_seq_cst);
	for (i = 0; i < INDEX_WORDS; i++)
		second[i] = index[INDEX_WORDS + i];
	return memcmp(ret->words, second, sizeof(second)) == 0;
}

bool store_index_same(const struct index_head *a, const struct index_head *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}
