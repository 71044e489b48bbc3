/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What `envelope doctor` looks at: each check adds findings, and goes on. */
#ifndef ENVELOPE_DOCTOR_H
#define ENVELOPE_DOCTOR_H

#include <jansson.h>
#include <stdbool.h>

#include "caller.h"
#include "volume.h"

#define DOCTOR_TEXT_BYTES 2048
#define DOCTOR_ADVICE_BYTES 4096

enum doctor_level {
	DOCTOR_OK,
	DOCTOR_WARN,	/* it works, and may not for long, or not as meant */
	DOCTOR_FAIL,
	DOCTOR_LEVELS,
};

struct doctor {
	struct volume_access access;
	const char *kms_key;	/* --kms-key; NULL: the default key */
	const char *header;	/* --header; NULL: on the devices */
	const char *store;	/* --store; NULL: the default, if it is there */
	char **devices;		/* named by the user; NULL ends them */
	bool drill;
	bool json;

	struct volume_kms k;
	json_t *findings;
	json_t *hosts;		/* regions where we are host-principal */
	unsigned int count[DOCTOR_LEVELS];
	unsigned int volumes;	/* that were looked at */
};

/*
 * A finding of @check. @advice: what to do, where there is something; "" or
 * NULL: nothing.
 */
void doctor_say(struct doctor *d, enum doctor_level level, const char *check,
		const char *advice, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

/*
 * The last sentence that the library said about a failure, which has its own
 * advice, as a finding.
 */
void doctor_said(struct doctor *d, enum doctor_level level, const char *check);

/* The same with @advice. */
void doctor_said_do(struct doctor *d, enum doctor_level level,
		    const char *check, const char *advice);

/* Start a new time budget, so that one silent KMS does not end all checks. */
void doctor_restart(struct doctor *d);

/* doctor_host.c */
void doctor_kernel(struct doctor *d);
void doctor_module(struct doctor *d);
void doctor_keyring(struct doctor *d);

/* doctor_agent.c */
void doctor_agent(struct doctor *d);

/* doctor_boot.c */
void doctor_boot(struct doctor *d);

/*
 * doctor_kms.c: is the KMS of @region there, who is it, what time has it? False:
 * there is no use in asking it more.
 */
bool doctor_region(struct doctor *d, const struct conf_region *region);

/* Who we are there, to @caller_ret; "" where nobody says. */
bool doctor_identity(struct doctor *d, const struct conf_region *region,
		     char caller_ret[CALLER_BYTES]);

#define DOCTOR_STANDING_ADVICE \
	"take it from the key policy: a host opens volumes by the grants of those who attach them"

/*
 * doctor_permissions.c: of @caller for the key of @region; @d->hosts gets the
 * region where he is its host-principal.
 */
void doctor_permissions(struct doctor *d, const struct conf_region *region,
			const char *caller);

/* Are we the host-principal of the region of @key_id? */
bool doctor_is_host(const struct doctor *d, const char *key_id);

/*
 * doctor_policy.c: why @caller may not do @operation with @key_arn, as far as
 * the key policy tells, and a statement that would allow it.
 */
void doctor_policy_advice(struct doctor *d, const struct conf_region *region,
			  const char *key_arn, const char *operation,
			  const char *caller, char ret[DOCTOR_ADVICE_BYTES]);

/* doctor_volumes.c: the named ones, else those on this host's devices */
void doctor_volumes(struct doctor *d);

/* doctor_drill.c */
void doctor_drill(struct doctor *d, struct volume *v);
/* A host has no right to it, and should have none. */
void doctor_drill_refused(struct doctor *d, const struct volume *v);
void doctor_drill_end(struct doctor *d);

#endif
