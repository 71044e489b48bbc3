// SPDX-License-Identifier: GPL-2.0-or-later
/* Which records of the trail count for a restored database, and how. */
#include "replay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "call.h"
#include "policy.h"
#include "principal.h"

#define SOURCE_KMS "kms.amazonaws.com"
#define NEAR 1000 /* changes between the two records of one; far fewer run */

int replay_bind(struct replay *r, const char *text, int kind, char **ret)
{
	char why[POLICY_WHY_BYTES];
	struct policy *p = NULL;
	int rc = policy_parse(text, strlen(text), (enum policy_kind)kind, &p,
			      why);

	if (rc == 0)
		rc = principals_bind(r->store, p, ret);
	policy_free(p);
	return rc > 0 ? -EBADMSG : rc;
}

const char *replay_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static int note(struct replay *r, const struct replay_event *e,
		const char *what, const char *consequence)
{
	json_t *text = json_sprintf("%s of %s%s%s: %s", e->name, e->when,
				    *what ? ", " : "", what, consequence);

	return json_array_append_new(r->notes, text) < 0 ? -ENOMEM : 0;
}

/* What a record is about, for people. */
static const char *subject(const struct replay_event *e)
{
	static const char *const names[] = {
		"keyId", "aliasName", "userName", "roleName", "accountId",
	};
	const json_t *first = json_array_get(json_object_get(e->record,
							     "resources"), 0);
	const char *text = replay_text(first, "ARN");
	size_t i;

	for (i = 0; !*text && i < sizeof(names) / sizeof(names[0]); i++)
		text = replay_text(e->parameters, names[i]);
	return text;
}

/* The key that a record names first, if it is there. */
static int find_key(struct replay *r, struct replay_event *e)
{
	const char *id = strstr(subject(e), ":key/");
	int rc;

	if (!id)
		return 0;
	rc = store_key_get(r->store, e->region, id + 5, &e->key);
	return rc == -ENOENT ? 0 : rc;
}

/* The name of @e's key or user in the list of those that stay closed. */
static void closed_name(const struct replay_event *e,
			char ret[static CALL_ARN_BYTES])
{
	if (e->key.key_id[0])
		call_key_arn(&e->key, ret);
	else
		snprintf(ret, CALL_ARN_BYTES, "user %s/%s", e->account,
			 replay_text(e->parameters, "userName"));
}

bool replay_is_closed(const struct replay *r, const struct replay_event *e)
{
	char name[CALL_ARN_BYTES];

	closed_name(e, name);
	return json_object_get(r->disabled, name);
}

/*
 * Nobody is to use a key by rights that may have been withdrawn: who knows
 * what they are now enables it.
 */
static int close_key(struct replay *r, struct replay_event *e)
{
	char arn[CALL_ARN_BYTES];
	int rc;

	closed_name(e, arn);
	if (json_object_set_new(r->disabled, arn, json_true()) < 0)
		return -ENOMEM;
	if (strcmp(e->key.state, "Enabled") != 0)
		return note(r, e, arn, "not told by the trail; do it again");
	strcpy(e->key.state, "Disabled");
	rc = store_key_set_state(r->store, &e->key);
	return rc < 0 ? rc :
	       note(r, e, arn, "not told by the trail; the key is disabled: do it again, then enable the key");
}

static int close_subject(struct replay *r, struct replay_event *e, bool key)
{
	char name[CALL_ARN_BYTES];
	int rc;

	if (key)
		return e->key.key_id[0] ? close_key(r, e) : 0;
	closed_name(e, name);
	if (json_object_set_new(r->disabled, name, json_true()) < 0)
		return -ENOMEM;
	rc = replay_close_person(r, e);
	return rc < 0 ? rc :
	       note(r, e, subject(e), "not told by the trail; the access keys of the user are deactivated, the role is deleted");
}

static const struct replay_verb *find_verb(const struct replay_verb *verbs,
					   const char *name)
{
	for (; verbs->name; verbs++)
		if (strcmp(verbs->name, name) == 0)
			return verbs;
	return NULL;
}

static int run_event(struct replay *r, struct replay_event *e, bool key)
{
	const struct replay_verb *verb =
		find_verb(key ? replay_key_verbs : replay_people_verbs,
			  e->name);
	int rc;

	if (!verb)
		return close_subject(r, e, key);
	rc = verb->run ? verb->run(r, e) : 1;
	if (rc > 0)
		return verb->note ? note(r, e, subject(e), verb->note) : 0;
	if (rc == -EBADMSG)
		return close_subject(r, e, key);
	if (rc == 0)
		r->replayed++;
	return rc;
}

static int replay_one(struct replay *r, const json_t *record)
{
	bool key = strcmp(replay_text(record, "eventSource"), SOURCE_KMS) == 0;
	struct replay_event e = {
		.name = replay_text(record, "eventName"),
		.when = replay_text(record, "eventTime"),
		.region = replay_text(record, "awsRegion"),
		.account = replay_text(record, "recipientAccountId"),
		.parameters = json_object_get(record, "requestParameters"),
		.response = json_object_get(record, "responseElements"),
		.record = record,
	};
	int rc = key ? find_key(r, &e) : 0;

	if (rc == 0)
		rc = run_event(r, &e, key);
	key_row_free(&e.key);
	return rc;
}

/* A record on its way into the order of time. */
struct replay_kept {
	char when[32];        /* its time, or a later one before it */
	char region[REGION_BYTES];
	char request[CRYPTO_UUID_BYTES]; /* "": none */
	size_t number;
	char *text;           /* less than a tree takes; NULL: taken back */
};

static bool counts(const json_t *record)
{
	const char *source = replay_text(record, "eventSource");

	return !json_is_true(json_object_get(record, "readOnly")) &&
	       (strcmp(source, SOURCE_KMS) == 0 ||
		strcmp(source, "iam.amazonaws.com") == 0 ||
		strcmp(source, "organizations.amazonaws.com") == 0);
}

/* A change that was recorded and could not be kept then has two records. */
static void take_back(struct replay *r, const char *request)
{
	size_t i = r->kept_count, end = i > NEAR ? i - NEAR : 0;

	while (*request && i-- > end)
		if (strcmp(r->kept[i].request, request) == 0) {
			free(r->kept[i].text);
			r->kept[i].text = NULL;
		}
}

int replay_record(json_t *record, void *arg)
{
	struct replay *r = arg;
	struct replay_kept *k, *last;

	if (!counts(record))
		return 0;
	if (json_object_get(record, "errorCode")) {
		take_back(r, replay_text(record, "requestID"));
		return 0;
	}
	k = realloc(r->kept, (r->kept_count + 1) * sizeof(*k));
	if (!k)
		return -ENOMEM;
	r->kept = k;
	k += r->kept_count;
	last = r->kept_count ? k - 1 : NULL;
	k->number = r->kept_count;
	snprintf(k->when, sizeof(k->when), "%s",
		 replay_text(record, "eventTime"));
	snprintf(k->request, sizeof(k->request), "%s",
		 replay_text(record, "requestID"));
	snprintf(k->region, sizeof(k->region), "%s",
		 replay_text(record, "awsRegion"));
	/* A clock that was set back changes nothing of a region's order. */
	if (last && strcmp(last->region, k->region) == 0 &&
	    strcmp(last->when, k->when) > 0)
		strcpy(k->when, last->when);
	k->text = json_dumps(record, JSON_COMPACT);
	if (!k->text)
		return -ENOMEM;
	r->kept_count++;
	return 0;
}

static int in_time(const void *a, const void *b)
{
	const struct replay_kept *x = a, *y = b;
	int order = strcmp(x->when, y->when);

	return order ? order : x->number < y->number ? -1 : 1;
}

int replay_run(struct replay *r)
{
	json_t *record;
	size_t i;
	int rc = 0;

	if (r->kept_count)
		qsort(r->kept, r->kept_count, sizeof(*r->kept), in_time);
	for (i = 0; rc == 0 && i < r->kept_count; i++) {
		if (!r->kept[i].text)
			continue;
		record = json_loads(r->kept[i].text, 0, NULL);
		rc = record ? replay_one(r, record) : -ENOMEM;
		json_decref(record);
	}
	return rc;
}

void replay_clear(struct replay *r)
{
	while (r->kept_count)
		free(r->kept[--r->kept_count].text);
	free(r->kept);
	json_decref(r->notes);
	json_decref(r->disabled);
}
