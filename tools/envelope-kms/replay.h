/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What was taken away since a backup is taken away from it again, as the
 * audit trail tells it; what was given since is not there and stays so.
 */
#ifndef KMS_REPLAY_H
#define KMS_REPLAY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "store.h"

struct replay {
	struct store *store;
	struct replay_kept *kept; /* records, until replay_run() */
	size_t kept_count;
	json_t *notes;        /* what people have to know; strings */
	json_t *disabled;     /* who cannot be told to be as he was, and stays
			       * closed: keys by their ARNs, users as
			       * "user ACCOUNT/NAME" */
	size_t replayed;      /* records that changed something */
};

/* Keeps a record that may count: a trail_fn, @arg a struct replay. -ENOMEM. */
int replay_record(json_t *record, void *arg);

/*
 * All that is kept, each region's in its order and all of them in that of
 * time, inside a transaction. What a record says and does not tell enough of
 * closes what it is about: a key is disabled, a user's access keys are
 * deactivated, a role is deleted. 0; -ENOMEM; -EIO; -ENOSPC.
 */
int replay_run(struct replay *r);

/* What @r owns. */
void replay_clear(struct replay *r);

/*
 * For the verbs' own files: 0: done; 1: it gave something that is lost;
 * -EBADMSG: the record does not tell enough; other errors as above.
 */
struct replay_event {
	const char *name, *when, *region, *account;
	const json_t *parameters, *response, *record;
	struct key_row key;   /* key_id "": of no key that there is */
};

typedef int replay_fn(struct replay *r, struct replay_event *e);

struct replay_verb {
	const char *name;     /* NULL: the end */
	replay_fn *run;       /* NULL: it always gave something */
	const char *note;     /* of that; NULL: nothing to say */
};

extern const struct replay_verb replay_key_verbs[];    /* kms */
extern const struct replay_verb replay_people_verbs[]; /* iam and others */

/*
 * Whom the names in a policy of that kind (policy.h) mean, in *@ret to
 * free(3). -EBADMSG: it is none, or one of them is nobody.
 */
int replay_bind(struct replay *r, const char *text, int kind, char **ret);

/* Takes all rights from whom @e is about. As replay_fn. */
int replay_close_person(struct replay *r, struct replay_event *e);

/* Is @e's key, or its user, closed? Nothing in the trail opens it again. */
bool replay_is_closed(const struct replay *r, const struct replay_event *e);

/* "" when there is none. */
const char *replay_text(const json_t *object, const char *name);

#endif
