/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The lease of an attached volume: when the KMS is asked again, and what its
 * answer does to the kernel's copy of the DEK.
 *
 * A pure state machine: it reads no clock, asks nobody and touches no key.
 * Who drives it hands in the time and the answers, and does what it says.
 *
 *	state		event		what happens
 *	---------	---------	--------------------------------------
 *	any unlocked	granted		the key's timeout becomes lease + grace,
 *					counted from the question; the next one
 *					is due after half a lease at most
 *			denied		asked again after LEASE_CONFIRM_MS
 *			denied again	the key is revoked
 *			token refused	asked again at once without the token
 *			unreachable	asked again after a wait that grows; the
 *					kernel's own timer runs on
 *			alarm		the same, and somebody is told
 *			time is up	the kernel has locked: nobody asks
 *	locked		any		nothing: only an unlock, which asks the
 *					KMS for the DEK, begins anew
 *
 * Nothing but a grant moves the moment at which the kernel locks. Only another
 * grant takes a denial back: silence between two denials does not.
 *
 * Times are milliseconds of CLOCK_BOOTTIME, which nobody can set.
 */
#ifndef ENVELOPE_LEASE_H
#define ENVELOPE_LEASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LEASE_MIN_MS 10000u		/* five times the confirmation */
#define LEASE_MAX_MS (30ull * 86400 * 1000) /* of lease + grace */
#define LEASE_CONFIRM_MS 2000u
#define LEASE_RETRY_BASE_MS 1000u	/* of the wait when unreachable */
#define LEASE_RETRY_CAP_MS 30000u
#define LEASE_TEXT_CHARS 24		/* with the final NUL */

/* lease_ms 0: no lease, the volume stays usable until it is detached. */
struct lease_terms {
	uint64_t lease_ms;
	uint64_t grace_ms;
};

/* What is asked for at an attach; what is not given, the header says. */
struct lease_wish {
	bool lease_given;
	bool grace_given;
	struct lease_terms terms;
};

/* What a check came to. */
enum lease_answer {
	LEASE_GRANTED,
	LEASE_DENIED,		/* the closed list, see kms_check() */
	LEASE_TOKEN_REFUSED,	/* InvalidGrantToken */
	LEASE_UNREACHABLE,
	LEASE_ALARM,		/* InvalidCiphertext, IncorrectKey, a lie */
};

enum lease_state {
	LEASE_RUNNING,		/* granted */
	LEASE_CONFIRMING,	/* denied once */
	LEASE_RETRYING,		/* unreachable since the last grant */
	LEASE_LOCKED,
};

/* To be told to whoever listens. */
enum lease_event {
	LEASE_EVENT_NONE,
	LEASE_EVENT_RENEWED,
	LEASE_EVENT_DENIED,	/* once: it is being confirmed */
	LEASE_EVENT_UNREACHABLE,
	LEASE_EVENT_ALARM,
	LEASE_EVENT_REVOKED,	/* locked, since the KMS denies */
	LEASE_EVENT_EXPIRED,	/* locked, since no grant came in time */
};

/* What is to be done now; all zero: nothing. */
struct lease_actions {
	bool ask;		/* start a check */
	bool with_token;	/* of it: send the grant token, if any */
	bool revoke;		/* revoke the key */
	uint64_t timeout_ms;	/* set the key's timeout to this; 0: do not */
	enum lease_event event;
};

/* Fields are the machine's; readers may look. */
struct lease {
	struct lease_terms terms;
	enum lease_state state;
	bool asking;		/* a check is under way */
	bool denied;		/* since the last grant */
	bool without_token;	/* the token was refused */
	unsigned int failures;	/* unreachable in a row */
	uint64_t asked_ms;	/* when the check under way began */
	uint64_t granted_ms;	/* when the last granted check began */
	uint64_t next_ms;	/* when the next check is due */
	uint64_t until_ms;	/* when the kernel locks */
};

/*
 * Begin with a grant whose question was asked at @asked_ms: the Decrypt of an
 * attach or unlock. @terms has a lease. The timeout to set is in the result.
 */
struct lease_actions lease_begin(struct lease *l,
				 const struct lease_terms *terms,
				 uint64_t asked_ms, uint64_t now_ms,
				 uint32_t random);

/*
 * Go on after a restart: the kernel locks at @until_ms whatever happened
 * before, and the first check is due at once.
 */
void lease_resume(struct lease *l, const struct lease_terms *terms,
		  uint64_t until_ms, uint64_t now_ms);

/* Is it time to ask, or all over? To be called at lease_wake_ms() or later. */
struct lease_actions lease_tick(struct lease *l, uint64_t now_ms);

/* The check that was under way has come to @answer. */
struct lease_actions lease_answered(struct lease *l, enum lease_answer answer,
				    uint64_t now_ms, uint32_t random);

/* The next lease_tick() asks, unless a check is under way or it is locked. */
void lease_ask_now(struct lease *l, uint64_t now_ms);

/* The volume was locked by somebody else: by hand, or by the kernel. */
void lease_lock(struct lease *l);

/* When lease_tick() has something to do; UINT64_MAX: never. */
uint64_t lease_wake_ms(const struct lease *l);

/* "running", "confirming", "retrying", "locked". */
const char *lease_state_name(enum lease_state state);

/*
 * A length of time: digits and one of s, m, h, d ("15m"), or "0". Nothing
 * before, between or behind. -EINVAL: not so, or more than LEASE_MAX_MS.
 */
int lease_parse_ms(const char *text, uint64_t *ms_ret);

/* The shortest such text of whole seconds, rounded up. */
void lease_print_ms(uint64_t ms, char ret[LEASE_TEXT_CHARS]);

/*
 * Are these terms that can be kept? NULL if so, else what is wrong: a lease
 * below LEASE_MIN_MS, a grace without a lease, a sum over LEASE_MAX_MS, parts
 * of seconds. No lease and no grace are fine.
 */
const char *lease_terms_wrong(const struct lease_terms *terms);

/* @stored, unless @wish says otherwise. Without a lease there is no grace. */
struct lease_terms lease_terms_choose(const struct lease_terms *stored,
				      const struct lease_wish *wish);

/*
 * Shorten @terms until lease + grace is at most @cap_ms (LEASE_MIN_MS or more;
 * 0: no cap): the grace first, then the lease. Where there is no lease, there
 * is one of the cap then, without grace. True if something changed.
 */
bool lease_terms_cap(struct lease_terms *terms, uint64_t cap_ms);

#endif
