/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The head of SQLite's WAL index, which all processes share: it changes with
 * each commit, and to look at it takes no system call. Its layout is that of
 * https://www.sqlite.org/walformat.html, "The WAL-Index Header".
 */
#ifndef KMS_STORE_INDEX_H
#define KMS_STORE_INDEX_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#define INDEX_WORDS 12 /* of one copy of the head */

struct index_head {
	uint32_t words[INDEX_WORDS];
};

/*
 * Where the index of @db, in WAL mode, lies in memory, for as long as @db is
 * open. NULL: it cannot be seen.
 */
const volatile uint32_t *store_index_find(sqlite3 *db);

/* False: somebody changes it just now, or @index is NULL. Any thread. */
bool store_index_read(const volatile uint32_t *index, struct index_head *ret);

bool store_index_same(const struct index_head *a, const struct index_head *b);

#endif
