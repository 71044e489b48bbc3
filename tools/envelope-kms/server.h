/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What one running server consists of; every request sees it. */
#ifndef KMS_SERVER_H
#define KMS_SERVER_H

#include <stdint.h>

#include "audit.h"
#include "secret.h"
#include "store.h"

struct policy_cache;
struct reaper;
struct signing_keys;
struct throttle;

struct server {
	struct store *store;
	struct audit *audit;
	struct secret *root;           /* the root key */
	struct throttle *throttle;     /* of unauthenticated failures */
	struct policy_cache *policies; /* parsed ones */
	struct signing_keys *signing;  /* of users */
	struct reaper *reaper;         /* ends keys whose window has passed */
	char regions[REGIONS_BYTES];   /* that it is; the first is told first */
	int rotation_limit;            /* rotations on demand of a key */
	char account[ACCOUNT_BYTES];
};

/*
 * Milliseconds since 1970, UTC (clock.c). The first is for all that the
 * server keeps or decides, and tests can move it; the second is for what
 * belongs to the wire: signatures, and how long a request takes.
 */
int64_t server_now_ms(void);
int64_t server_wall_ms(void);

#endif
