// SPDX-License-Identifier: GPL-2.0-or-later
/* The lease state machine: time and answers in, orders out. */
#include "lease.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static uint64_t sum_ms(const struct lease_terms *terms)
{
	return terms->lease_ms + terms->grace_ms;
}

/* 0 to @most, both ends included, evenly spread by @random. */
static uint64_t spread_ms(uint64_t most, uint32_t random)
{
	return (uint64_t)(((unsigned __int128)most + 1) * random >> 32);
}

/*
 * Half a lease after the last question at most, lest a revocation take longer
 * than is promised; up to a fifth of that earlier, lest volumes that were
 * attached together always ask together.
 */
static uint64_t next_check_ms(const struct lease *l, uint64_t now_ms,
			      uint32_t random)
{
	uint64_t half = l->terms.lease_ms / 2;
	uint64_t at = l->granted_ms + half - spread_ms(half / 5, random);

	return at > now_ms ? at : now_ms + LEASE_RETRY_BASE_MS;
}

/* Full jitter, and never longer than a quarter of the lease. */
static uint64_t retry_ms(const struct lease *l, uint32_t random)
{
	uint64_t most = LEASE_RETRY_CAP_MS;

	if (l->failures < 5)
		most = (uint64_t)LEASE_RETRY_BASE_MS << l->failures;
	if (most > l->terms.lease_ms / 4)
		most = l->terms.lease_ms / 4;
	return 1 + spread_ms(most - 1, random);
}

static struct lease_actions grant(struct lease *l, uint64_t now_ms,
				  uint32_t random)
{
	struct lease_actions actions = { .event = LEASE_EVENT_RENEWED };

	l->state = LEASE_RUNNING;
	l->denied = false;
	l->failures = 0;
	l->granted_ms = l->asked_ms;
	l->until_ms = l->asked_ms + sum_ms(&l->terms);
	l->next_ms = next_check_ms(l, now_ms, random);
	actions.timeout_ms = l->until_ms - now_ms;
	return actions;
}

struct lease_actions lease_begin(struct lease *l,
				 const struct lease_terms *terms,
				 uint64_t asked_ms, uint64_t now_ms,
				 uint32_t random)
{
	*l = (struct lease){ .terms = *terms, .asked_ms = asked_ms };
	/* A grant so slow that it is over already: the shortest timeout. */
	if (now_ms >= asked_ms + sum_ms(terms))
		now_ms = asked_ms + sum_ms(terms) - 1;
	return grant(l, now_ms, random);
}

void lease_resume(struct lease *l, const struct lease_terms *terms,
		  uint64_t until_ms, uint64_t now_ms)
{
	*l = (struct lease){
		.terms = *terms,
		.state = LEASE_RETRYING,
		.next_ms = now_ms,
		.until_ms = until_ms,
	};
}

void lease_lock(struct lease *l)
{
	l->state = LEASE_LOCKED;
	l->asking = false;
}

struct lease_actions lease_tick(struct lease *l, uint64_t now_ms)
{
	struct lease_actions actions = { 0 };

	if (l->state == LEASE_LOCKED)
		return actions;
	if (now_ms >= l->until_ms) {
		lease_lock(l);
		/* The kernel has seen to that: its timer is never longer. */
		actions.event = LEASE_EVENT_EXPIRED;
		return actions;
	}
	if (l->asking || now_ms < l->next_ms)
		return actions;
	l->asking = true;
	l->asked_ms = now_ms;
	actions.ask = true;
	actions.with_token = !l->without_token;
	return actions;
}

static struct lease_actions retry(struct lease *l, enum lease_event event,
				  uint64_t now_ms, uint32_t random)
{
	struct lease_actions actions = { .event = event };

	if (!l->denied)
		l->state = LEASE_RETRYING;
	l->next_ms = now_ms + retry_ms(l, random);
	l->failures++;
	return actions;
}

static struct lease_actions deny(struct lease *l, uint64_t now_ms)
{
	struct lease_actions actions = { .event = LEASE_EVENT_DENIED };

	if (l->denied) {
		lease_lock(l);
		actions.event = LEASE_EVENT_REVOKED;
		actions.revoke = true;
		return actions;
	}
	l->denied = true;
	l->state = LEASE_CONFIRMING;
	l->next_ms = now_ms + LEASE_CONFIRM_MS;
	return actions;
}

struct lease_actions lease_answered(struct lease *l, enum lease_answer answer,
				    uint64_t now_ms, uint32_t random)
{
	struct lease_actions none = { 0 };

	/* Late, about a time before the lock or before another question. */
	if (l->state == LEASE_LOCKED || !l->asking)
		return none;
	l->asking = false;
	if (now_ms >= l->until_ms)
		return lease_tick(l, now_ms);
	switch (answer) {
	case LEASE_GRANTED:
		/* What was granted then is over by now. */
		if (now_ms >= l->asked_ms + sum_ms(&l->terms))
			break;
		return grant(l, now_ms, random);
	case LEASE_DENIED:
		return deny(l, now_ms);
	case LEASE_TOKEN_REFUSED:
		if (l->without_token)
			break;
		l->without_token = true;
		l->next_ms = now_ms;
		return lease_tick(l, now_ms);
	case LEASE_ALARM:
		return retry(l, LEASE_EVENT_ALARM, now_ms, random);
	case LEASE_UNREACHABLE:
		break;
	}
	return retry(l, LEASE_EVENT_UNREACHABLE, now_ms, random);
}

void lease_ask_now(struct lease *l, uint64_t now_ms)
{
	l->next_ms = now_ms;
}

uint64_t lease_wake_ms(const struct lease *l)
{
	if (l->state == LEASE_LOCKED)
		return UINT64_MAX;
	if (l->asking || l->next_ms > l->until_ms)
		return l->until_ms;
	return l->next_ms;
}

const char *lease_state_name(enum lease_state state)
{
	static const char *const names[] = {
		[LEASE_RUNNING] = "running",
		[LEASE_CONFIRMING] = "confirming",
		[LEASE_RETRYING] = "retrying",
		[LEASE_LOCKED] = "locked",
	};

	return names[state];
}

static const struct {
	char name;
	uint64_t ms;
} units[] = {
	{ 'd', 86400000 }, { 'h', 3600000 }, { 'm', 60000 }, { 's', 1000 },
};

#define UNITS (sizeof(units) / sizeof(units[0]))

int lease_parse_ms(const char *text, uint64_t *ms_ret)
{
	uint64_t number = 0;
	const char *c;
	size_t i;

	if (strcmp(text, "0") == 0) {
		*ms_ret = 0;
		return 0;
	}
	for (c = text; *c >= '0' && *c <= '9'; c++) {
		number = number * 10 + (*c - '0');
		if (number > LEASE_MAX_MS / 1000)
			return -EINVAL;
	}
	for (i = 0; i < UNITS; i++) {
		if (c == text || c[0] != units[i].name || c[1])
			continue;
		if (number * units[i].ms > LEASE_MAX_MS)
			return -EINVAL;
		*ms_ret = number * units[i].ms;
		return 0;
	}
	return -EINVAL;
}

void lease_print_ms(uint64_t ms, char ret[LEASE_TEXT_CHARS])
{
	size_t i = 0;

	if (ms == 0) {
		strcpy(ret, "0");
		return;
	}
	ms = (ms + 999) / 1000 * 1000;
	while (ms % units[i].ms)
		i++;
	snprintf(ret, LEASE_TEXT_CHARS, "%" PRIu64 "%c", ms / units[i].ms,
		 units[i].name);
}

const char *lease_terms_wrong(const struct lease_terms *terms)
{
	if (terms->lease_ms == 0)
		return terms->grace_ms ? "a grace needs a lease" : NULL;
	if (terms->lease_ms < LEASE_MIN_MS)
		return "a lease has at least 10s";
	if (terms->lease_ms > LEASE_MAX_MS || terms->grace_ms > LEASE_MAX_MS ||
	    sum_ms(terms) > LEASE_MAX_MS)
		return "lease and grace have at most 30d together";
	if (terms->lease_ms % 1000 || terms->grace_ms % 1000)
		return "lease and grace are whole seconds";
	return NULL;
}

struct lease_terms lease_terms_choose(const struct lease_terms *stored,
				      const struct lease_wish *wish)
{
	struct lease_terms terms = *stored;

	if (wish->lease_given)
		terms.lease_ms = wish->terms.lease_ms;
	if (wish->grace_given)
		terms.grace_ms = wish->terms.grace_ms;
	else if (terms.lease_ms == 0)
		terms.grace_ms = 0;
	return terms;
}

bool lease_terms_cap(struct lease_terms *terms, uint64_t cap_ms)
{
	struct lease_terms before = *terms;

	if (cap_ms == 0)
		return false;
	if (terms->lease_ms == 0 || terms->lease_ms > cap_ms)
		terms->lease_ms = cap_ms;
	if (terms->grace_ms > cap_ms - terms->lease_ms)
		terms->grace_ms = cap_ms - terms->lease_ms;
	return before.lease_ms != terms->lease_ms ||
	       before.grace_ms != terms->grace_ms;
}
