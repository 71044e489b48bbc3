/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the policy's parser and its reader share. */
#ifndef ENVELOPE_POLICY_PRIVATE_H
#define ENVELOPE_POLICY_PRIVATE_H

#include "policy.h"

#define POLICY_PASSED "passed"

enum rule_kind { RULE_USER, RULE_GROUP, RULE_EVERYONE, RULE_AGENT };

/* Words of a line; owned. */
struct words {
	char **at;
	size_t count;
};

/* One section. */
struct rule {
	enum rule_kind kind;
	unsigned int id;	/* uid or gid */
	char *title;		/* as written, without brackets */
	struct words devices;
	struct words names;
	struct words keys;
	struct rule *next;
};

struct policy {
	struct rule *rules;
	unsigned int workers;
	unsigned int timeout_seconds;
	uint64_t lease_cap_ms;	/* 0: none */
	bool pins_set;		/* require-pin has been read */
	bool require_pin;
	bool recovery_set;	/* allow-recovery has been read */
	bool allow_recovery;
};

#endif
