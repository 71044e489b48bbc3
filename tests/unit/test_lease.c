// SPDX-License-Identifier: GPL-2.0-or-later
/* The lease machine: each state with each event, and random histories. */
#include "client_capture.h"

#include <errno.h>
#include <stdbool.h>

#include "lease.h"

#define MINUTE 60000ull

static const struct lease_terms quarter = { 15 * MINUTE, 60 * MINUTE };

static const uint32_t extremes[] = { 0, UINT32_MAX / 2, UINT32_MAX };

/* A lease that was granted at @now, its next check due. */
static struct lease begun(uint64_t now)
{
	struct lease l;

	lease_begin(&l, &quarter, now, now, 0);
	return l;
}

/* The same in @state, with a check under way since @now. */
static struct lease asking_in(enum lease_state state, uint64_t now)
{
	struct lease l = begun(now - MINUTE);

	if (state == LEASE_CONFIRMING || state == LEASE_RETRYING) {
		lease_ask_now(&l, now - 3000);
		assert_true(lease_tick(&l, now - 3000).ask);
		lease_answered(&l, state == LEASE_CONFIRMING ?
			       LEASE_DENIED : LEASE_UNREACHABLE, now - 3000, 0);
		assert_int_equal(l.state, state);
	}
	lease_ask_now(&l, now);
	assert_true(lease_tick(&l, now).ask);
	if (state == LEASE_LOCKED)
		lease_lock(&l);
	return l;
}

static const struct {
	enum lease_state state;
	enum lease_answer answer;
	enum lease_state after;
	enum lease_event event;
	bool ask, revoke, extend;
} table[] = {
#define ROW(s, a, n, e, ask, rev, ext) \
	{ LEASE_##s, LEASE_##a, LEASE_##n, LEASE_EVENT_##e, ask, rev, ext }
	ROW(RUNNING, GRANTED, RUNNING, RENEWED, 0, 0, 1),
	ROW(RUNNING, DENIED, CONFIRMING, DENIED, 0, 0, 0),
	ROW(RUNNING, TOKEN_REFUSED, RUNNING, NONE, 1, 0, 0),
	ROW(RUNNING, UNREACHABLE, RETRYING, UNREACHABLE, 0, 0, 0),
	ROW(RUNNING, ALARM, RETRYING, ALARM, 0, 0, 0),
	ROW(CONFIRMING, GRANTED, RUNNING, RENEWED, 0, 0, 1),
	ROW(CONFIRMING, DENIED, LOCKED, REVOKED, 0, 1, 0),
	ROW(CONFIRMING, TOKEN_REFUSED, CONFIRMING, NONE, 1, 0, 0),
	ROW(CONFIRMING, UNREACHABLE, CONFIRMING, UNREACHABLE, 0, 0, 0),
	ROW(CONFIRMING, ALARM, CONFIRMING, ALARM, 0, 0, 0),
	ROW(RETRYING, GRANTED, RUNNING, RENEWED, 0, 0, 1),
	ROW(RETRYING, DENIED, CONFIRMING, DENIED, 0, 0, 0),
	ROW(RETRYING, TOKEN_REFUSED, RETRYING, NONE, 1, 0, 0),
	ROW(RETRYING, UNREACHABLE, RETRYING, UNREACHABLE, 0, 0, 0),
	ROW(RETRYING, ALARM, RETRYING, ALARM, 0, 0, 0),
	ROW(LOCKED, GRANTED, LOCKED, NONE, 0, 0, 0),
	ROW(LOCKED, DENIED, LOCKED, NONE, 0, 0, 0),
	ROW(LOCKED, TOKEN_REFUSED, LOCKED, NONE, 0, 0, 0),
	ROW(LOCKED, UNREACHABLE, LOCKED, NONE, 0, 0, 0),
	ROW(LOCKED, ALARM, LOCKED, NONE, 0, 0, 0),
#undef ROW
};

static void every_answer(void **state)
{
	const uint64_t now = 1000 * MINUTE;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct lease l = asking_in(table[i].state, now);
		uint64_t until = l.until_ms;
		struct lease_actions a;

		a = lease_answered(&l, table[i].answer, now + 40, 7);
		if (l.state != table[i].after || a.event != table[i].event ||
		    a.ask != table[i].ask || a.revoke != table[i].revoke ||
		    (a.timeout_ms != 0) != table[i].extend ||
		    (l.until_ms != until) != table[i].extend)
			fail_msg("%s, answer %d", lease_state_name(table[i].state),
				 table[i].answer);
		if (table[i].extend)
			assert_int_equal(a.timeout_ms, 75 * MINUTE - 40);
	}
}

/* What nobody asked for changes nothing, in any state. */
static void unasked_answers(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct lease l = asking_in(table[i].state, 1000 * MINUTE);
		struct lease_actions a;
		struct lease before;

		l.asking = false;
		before = l;
		a = lease_answered(&l, table[i].answer, 1001 * MINUTE, 7);
		assert_memory_equal(&l, &before, sizeof(l));
		assert_false(a.ask || a.revoke || a.timeout_ms || a.event);
	}
}

static void due_times(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		struct lease l;
		struct lease_actions a = lease_begin(&l, &quarter, 100, 400,
						     extremes[i]);

		assert_int_equal(a.timeout_ms, 75 * MINUTE - 300);
		/* Half a lease after the question, a fifth less at most. */
		assert_in_range(lease_wake_ms(&l), 100 + 6 * MINUTE,
				100 + 15 * MINUTE / 2);
		a = lease_tick(&l, lease_wake_ms(&l) - 1);
		assert_false(a.ask);
		a = lease_tick(&l, lease_wake_ms(&l));
		assert_true(a.ask && a.with_token);
		/* One at a time; then only the end is waited for. */
		assert_int_equal(lease_wake_ms(&l), l.until_ms);
		assert_false(lease_tick(&l, l.until_ms - 1).ask);
	}
	struct lease late;

	lease_begin(&late, &quarter, 100, 100 + 20 * MINUTE, 0);
	assert_int_equal(late.next_ms, 100 + 20 * MINUTE + LEASE_RETRY_BASE_MS);
}

static void slow_grants(void **state)
{
	struct lease l = asking_in(LEASE_RUNNING, 1000 * MINUTE);
	struct lease_actions a;

	(void)state;
	/* Over before it came: the attach gets the shortest timeout ... */
	a = lease_begin(&l, &quarter, 0, 76 * MINUTE, 0);
	assert_int_equal(a.timeout_ms, 1);
	/* ... and a check that is older than the lease extends nothing. */
	l = asking_in(LEASE_RUNNING, 1000 * MINUTE);
	l.until_ms = UINT64_MAX;
	a = lease_answered(&l, LEASE_GRANTED, 1075 * MINUTE, 0);
	assert_int_equal(a.timeout_ms, 0);
	assert_int_equal(a.event, LEASE_EVENT_UNREACHABLE);
	/* Locked by the kernel while the answer was under way. */
	l = asking_in(LEASE_RUNNING, 1000 * MINUTE);
	a = lease_answered(&l, LEASE_GRANTED, l.until_ms, 0);
	assert_int_equal(a.timeout_ms, 0);
	assert_int_equal(a.event, LEASE_EVENT_EXPIRED);
	assert_int_equal(l.state, LEASE_LOCKED);
	assert_int_equal(lease_wake_ms(&l), UINT64_MAX);
	assert_int_equal(lease_tick(&l, UINT64_MAX).event, LEASE_EVENT_NONE);
}

static void confirmation(void **state)
{
	struct lease l = asking_in(LEASE_RUNNING, 1000 * MINUTE);
	uint64_t now = 1000 * MINUTE + 10;
	struct lease_actions a;

	(void)state;
	lease_answered(&l, LEASE_DENIED, now, 0);
	assert_int_equal(lease_wake_ms(&l), now + 2000);
	assert_false(lease_tick(&l, now + 1999).ask);
	assert_true(lease_tick(&l, now + 2000).ask);
	/* Silence in between does not take the denial back ... */
	lease_answered(&l, LEASE_UNREACHABLE, now + 2500, 0);
	assert_true(lease_tick(&l, lease_wake_ms(&l)).ask);
	a = lease_answered(&l, LEASE_DENIED, now + 5000, 0);
	assert_true(a.revoke);
	/* ... but a grant does. */
	l = asking_in(LEASE_CONFIRMING, 1000 * MINUTE);
	lease_answered(&l, LEASE_GRANTED, now, 0);
	lease_ask_now(&l, now);
	lease_tick(&l, now);
	a = lease_answered(&l, LEASE_DENIED, now, 0);
	assert_false(a.revoke);
	assert_int_equal(l.state, LEASE_CONFIRMING);
}

static void tokens(void **state)
{
	struct lease l = asking_in(LEASE_RUNNING, 1000 * MINUTE);
	struct lease_actions a;

	(void)state;
	a = lease_answered(&l, LEASE_TOKEN_REFUSED, 1000 * MINUTE, 0);
	assert_true(a.ask && !a.with_token);
	/* Refused without having been sent: nobody understands that. */
	a = lease_answered(&l, LEASE_TOKEN_REFUSED, 1000 * MINUTE, 0);
	assert_false(a.ask || a.revoke);
	assert_int_equal(a.event, LEASE_EVENT_UNREACHABLE);
	/* It is not sent any more. */
	a = lease_tick(&l, lease_wake_ms(&l));
	assert_true(a.ask && !a.with_token);
}

static void waits(void **state)
{
	static const uint64_t most[] = {
		1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000,
	};
	size_t i, k;

	(void)state;
	for (k = 0; k < 3; k++) {
		struct lease l = begun(0);

		lease_ask_now(&l, 0);
		for (i = 0; i < 8; i++) {
			uint64_t now = lease_wake_ms(&l);
			uint64_t wait;

			assert_true(lease_tick(&l, now).ask);
			lease_answered(&l, LEASE_UNREACHABLE, now, extremes[k]);
			wait = lease_wake_ms(&l) - now;
			assert_in_range(wait, 1, most[i]);
			if (k == 2)
				assert_int_equal(wait, most[i]);
		}
	}
	/* A short lease never waits longer than a quarter of itself. */
	struct lease l;

	lease_begin(&l, &(struct lease_terms){ 10000, 0 }, 0, 0, 0);
	l.failures = 40;
	lease_ask_now(&l, 1);
	lease_tick(&l, 1);
	lease_answered(&l, LEASE_UNREACHABLE, 1, UINT32_MAX);
	assert_int_equal(lease_wake_ms(&l), 2501);
}

static void resumed(void **state)
{
	struct lease l;

	(void)state;
	lease_resume(&l, &quarter, 5000, 1000);
	assert_int_equal(lease_wake_ms(&l), 1000);
	assert_true(lease_tick(&l, 1000).ask);
	assert_int_equal(lease_answered(&l, LEASE_UNREACHABLE, 2000, 0).timeout_ms,
			 0);
	assert_int_equal(l.until_ms, 5000);
	assert_int_equal(lease_tick(&l, 5000).event, LEASE_EVENT_EXPIRED);
}

/* What a history is made of: a KMS, a network, a kernel with a timer. */
struct world {
	struct lease l;
	uint64_t now;
	uint64_t seed;
	uint64_t kernel_ms;	/* the key's timeout */
	uint64_t revoked_ms;	/* the KMS denies from here on; 0: never */
	uint64_t silent_ms;	/* the network is cut from here on */
	uint64_t answer_ms;	/* when the answer under way arrives */
	enum lease_answer answer;
	unsigned int denials;	/* in a row, as far as grants go */
	unsigned int asked;
};

static uint32_t rnd(struct world *w)
{
	w->seed = w->seed * 6364136223846793005ull + 1442695040888963407ull;
	return w->seed >> 32;
}

static enum lease_answer decide(struct world *w)
{
	static const enum lease_answer faults[] = {
		LEASE_UNREACHABLE, LEASE_ALARM, LEASE_TOKEN_REFUSED,
		LEASE_DENIED,
	};

	if (w->silent_ms && w->now >= w->silent_ms)
		return LEASE_UNREACHABLE;
	if (w->revoked_ms && w->now >= w->revoked_ms)
		return LEASE_DENIED;
	if (!w->revoked_ms && rnd(w) % 4 == 0)
		return faults[rnd(w) % 4];
	return LEASE_GRANTED;
}

/* What must hold for whatever the machine orders. */
static void obey(struct world *w, struct lease_actions a)
{
	if (a.timeout_ms) {
		assert_int_equal(w->answer, LEASE_GRANTED);
		assert_int_equal(a.event, LEASE_EVENT_RENEWED);
		assert_true(w->now < w->kernel_ms);
		w->kernel_ms = w->now + a.timeout_ms;
		assert_int_equal(w->kernel_ms, w->l.asked_ms +
				 w->l.terms.lease_ms + w->l.terms.grace_ms);
	}
	if (a.revoke) {
		assert_true(w->denials >= 2);
		assert_int_equal(w->l.state, LEASE_LOCKED);
	}
	if (a.ask) {
		w->asked++;
		w->answer = decide(w);
		w->answer_ms = w->now + rnd(w) % 1000;
	}
	assert_int_equal(w->l.until_ms, w->kernel_ms);
}

static void step(struct world *w)
{
	uint64_t wake = lease_wake_ms(&w->l);

	if (w->l.asking && w->answer_ms <= wake) {
		enum lease_answer answer = w->answer;

		w->now = w->answer_ms;
		if (answer == LEASE_DENIED)
			w->denials++;
		obey(w, lease_answered(&w->l, answer, w->now, rnd(w)));
		if (answer == LEASE_GRANTED)
			w->denials = 0;
		return;
	}
	if (wake > w->now)
		w->now = wake;
	obey(w, lease_tick(&w->l, w->now));
}

static void history(uint64_t seed)
{
	struct world w = { .seed = seed };
	struct lease_terms terms;
	uint64_t end;

	terms.lease_ms = LEASE_MIN_MS + rnd(&w) % (60 * MINUTE);
	terms.grace_ms = rnd(&w) % 2 * (rnd(&w) % (60 * MINUTE));
	w.now = rnd(&w);
	end = w.now + rnd(&w) % (8 * terms.lease_ms);
	if (rnd(&w) % 2)
		w.revoked_ms = end;
	else if (rnd(&w) % 2)
		w.silent_ms = end;
	w.kernel_ms = w.now + terms.lease_ms + terms.grace_ms;
	w.l = (struct lease){ 0 };
	lease_begin(&w.l, &terms, w.now, w.now, rnd(&w));
	while (w.l.state != LEASE_LOCKED &&
	       w.now < end + 2 * (terms.lease_ms + terms.grace_ms))
		step(&w);
	if (w.revoked_ms && w.l.state != LEASE_LOCKED)
		fail_msg("seed %llu: never locked", (unsigned long long)seed);
	if (w.revoked_ms && w.now > w.revoked_ms + terms.lease_ms / 2 + 5000)
		fail_msg("seed %llu: locked %llu ms late", (unsigned long long)
			 seed, (unsigned long long)(w.now - w.revoked_ms));
	if (w.silent_ms && (w.l.state != LEASE_LOCKED || w.now > w.kernel_ms))
		fail_msg("seed %llu: silence did not lock in time",
			 (unsigned long long)seed);
	assert_true(w.asked < 2000);
}

static void histories(void **state)
{
	const char *given = getenv("LEASE_SEED");
	uint64_t first = given ? strtoull(given, NULL, 10) :
				 (uint64_t)getpid() * 2654435761u;
	uint64_t i;

	(void)state;
	printf("# LEASE_SEED=%llu\n", (unsigned long long)first);
	for (i = 0; i < (given ? 1 : 20000); i++)
		history(first + i);
}

static void lengths(void **state)
{
	static const struct {
		const char *text;
		uint64_t ms;
		const char *printed;
	} good[] = {
		{ "0", 0, "0" }, { "0s", 0, "0" }, { "90s", 90000, "90s" },
		{ "15m", 900000, "15m" }, { "1h", 3600000, "1h" },
		{ "60m", 3600000, "1h" }, { "48h", 172800000, "2d" },
		{ "30d", 2592000000, "30d" }, { "007s", 7000, "7s" },
	};
	static const char *const bad[] = {
		"", "s", "15", "m15", "15 m", " 15m", "15m ", "+15m", "-1m",
		"1.5h", "15mm", "15M", "1w", "31d", "2592001s", "0x1s",
		"99999999999999999999999s", "1h30m", "none",
	};
	char text[LEASE_TEXT_CHARS];
	uint64_t ms = 77;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (lease_parse_ms(bad[i], &ms) != -EINVAL)
			fail_msg("taken: '%s'", bad[i]);
	assert_int_equal(ms, 77);
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(lease_parse_ms(good[i].text, &ms), 0);
		assert_int_equal(ms, good[i].ms);
		lease_print_ms(ms, text);
		assert_string_equal(text, good[i].printed);
	}
	lease_print_ms(1001, text);
	assert_string_equal(text, "2s");
}

static void terms(void **state)
{
	static const struct {
		struct lease_terms terms;
		const char *wrong;
	} cases[] = {
		{ { 0, 0 }, NULL }, { { 10000, 0 }, NULL },
		{ { 900000, 3600000 }, NULL },
		{ { LEASE_MAX_MS, 0 }, NULL },
		{ { 0, 1000 }, "a grace needs a lease" },
		{ { 9000, 0 }, "a lease has at least 10s" },
		{ { LEASE_MAX_MS, 1000 },
		  "lease and grace have at most 30d together" },
		{ { 10000, UINT64_MAX },
		  "lease and grace have at most 30d together" },
		{ { 10500, 0 }, "lease and grace are whole seconds" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *wrong = lease_terms_wrong(&cases[i].terms);

		if (!cases[i].wrong)
			assert_null(wrong);
		else
			assert_string_equal(wrong, cases[i].wrong);
	}
}

static void caps(void **state)
{
	static const struct {
		struct lease_terms before;
		uint64_t cap;
		struct lease_terms after;
	} cases[] = {
		{ { 900, 3600 }, 0, { 900, 3600 } },
		{ { 900, 3600 }, 4500, { 900, 3600 } },
		{ { 900, 3600 }, 4499, { 900, 3599 } },
		{ { 900, 3600 }, 1000, { 900, 100 } },
		{ { 900, 3600 }, 900, { 900, 0 } },
		{ { 900, 3600 }, 100, { 100, 0 } },
		{ { 0, 0 }, 4500, { 4500, 0 } },
		{ { 0, 0 }, 0, { 0, 0 } },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lease_terms t = cases[i].before;
		bool changed = lease_terms_cap(&t, cases[i].cap);

		assert_int_equal(t.lease_ms, cases[i].after.lease_ms);
		assert_int_equal(t.grace_ms, cases[i].after.grace_ms);
		assert_int_equal(changed, memcmp(&t, &cases[i].before,
						 sizeof(t)) != 0);
	}
}

static void wishes(void **state)
{
	static const struct {
		struct lease_terms stored;
		struct lease_wish wish;
		struct lease_terms chosen;
	} cases[] = {
		{ { 900, 3600 }, { false, false, { 1, 2 } }, { 900, 3600 } },
		{ { 900, 3600 }, { true, false, { 60, 2 } }, { 60, 3600 } },
		{ { 900, 3600 }, { false, true, { 1, 30 } }, { 900, 30 } },
		{ { 900, 3600 }, { true, true, { 60, 30 } }, { 60, 30 } },
		{ { 900, 3600 }, { true, false, { 0, 0 } }, { 0, 0 } },
		{ { 0, 0 }, { false, true, { 0, 30 } }, { 0, 30 } },
		{ { 0, 0 }, { false, false, { 9, 9 } }, { 0, 0 } },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lease_terms t = lease_terms_choose(&cases[i].stored,
							  &cases[i].wish);

		assert_int_equal(t.lease_ms, cases[i].chosen.lease_ms);
		assert_int_equal(t.grace_ms, cases[i].chosen.grace_ms);
	}
}

static void state_names(void **state)
{
	(void)state;
	assert_string_equal(lease_state_name(LEASE_RUNNING), "running");
	assert_string_equal(lease_state_name(LEASE_CONFIRMING), "confirming");
	assert_string_equal(lease_state_name(LEASE_RETRYING), "retrying");
	assert_string_equal(lease_state_name(LEASE_LOCKED), "locked");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NAMED("lease: every state with every answer", every_answer),
		NAMED("lease: an answer nobody asked for changes nothing",
		      unasked_answers),
		NAMED("lease: asked within half a lease, one at a time",
		      due_times),
		NAMED("lease: a grant that came too late extends nothing",
		      slow_grants),
		NAMED("lease: a denial is confirmed once, after 2 s",
		      confirmation),
		NAMED("lease: a refused grant token is left out", tokens),
		NAMED("lease: waits grow with jitter and are bounded", waits),
		NAMED("lease: after a restart the kernel's time is kept",
		      resumed),
		NAMED("lease: random histories keep every promise", histories),
		NAMED("lease: lengths of time, strictly", lengths),
		NAMED("lease: terms that cannot be kept", terms),
		NAMED("lease: a cap takes the grace first", caps),
		NAMED("lease: what is asked for goes before what is stored",
		      wishes),
		NAMED("lease: names of the states", state_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
