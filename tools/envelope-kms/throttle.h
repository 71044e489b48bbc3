/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rates: of the calls of each account, and of requests without an account.
 *
 * Counts requests that fail before they are anybody's, by source address.
 * They are not in the audit trail: a stranger must not be able to fill it or
 * to make the disk work. Who signs correctly is never slowed down here.
 */
#ifndef KMS_THROTTLE_H
#define KMS_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

#define THROTTLE_BURST 100    /* failures an address may make at once */
#define THROTTLE_PER_SECOND 5 /* and then, each second */

struct throttle;

/*
 * @per_second: calls that each account may make, and twice as many at once;
 * 0: any number. NULL: out of memory.
 */
struct throttle *throttle_new(unsigned int per_second);
void throttle_free(struct throttle *t);

/*
 * One more failure of @address at @now_ms. True: within the allowance; false:
 * beyond it, so that the answer should be a plain "slow down". Any thread.
 */
bool throttle_failure(struct throttle *t, const char *address,
		      int64_t now_ms);

/* True: one call more of @account than it may make. Any thread. */
bool throttle_account(struct throttle *t, const char *account,
		      int64_t now_ms);

#endif
