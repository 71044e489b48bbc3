// SPDX-License-Identifier: GPL-2.0-or-later
/* What the trail tells of keys, their grants, aliases and tags. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "import.h"
#include "policy.h"
#include "replay.h"
#include "replicate.h"
#include "store_grants.h"
#include "store_tags.h"

/* Milliseconds of a date as metadata_trail_time() writes it. -EBADMSG. */
static int read_date(const char *text, int64_t *ret)
{
	struct tm tm = { 0 };
	const char *end = strptime(text, "%b %d, %Y, %I:%M:%S %p", &tm);

	if (!end || *end)
		return -EBADMSG;
	*ret = (int64_t)timegm(&tm) * 1000;
	return 0;
}

static int set_state(struct replay *r, struct replay_event *e,
		     const char *state)
{
	if (!e->key.key_id[0])
		return 0;
	strcpy(e->key.state, state);
	return store_key_set_state(r->store, &e->key);
}

/* A key that waits for its material goes on to, whatever it was since. */
static int set_use(struct replay *r, struct replay_event *e, bool use)
{
	int missing = e->key.key_id[0] ?
		      import_missing(r->store, &e->key) : 0;

	return missing < 0 ? missing :
	       set_state(r, e, missing ? "PendingImport" :
			       use && !replay_is_closed(r, e) ? "Enabled" :
								"Disabled");
}

static int enable(struct replay *r, struct replay_event *e)
{
	return set_use(r, e, true);
}

static int disable(struct replay *r, struct replay_event *e)
{
	return set_use(r, e, false);
}

static int schedule(struct replay *r, struct replay_event *e)
{
	const char *state = replay_text(e->response, "keyState");
	const char *date = replay_text(e->response, "deletionDate");
	bool waits = strcmp(state, "PendingReplicaDeletion") == 0;
	int rc = 0;

	if (!e->key.key_id[0])
		return 0;
	if (!waits && strcmp(state, "PendingDeletion") != 0)
		return -EBADMSG;
	e->key.window_days = waits ? json_integer_value(
		json_object_get(e->response, "pendingWindowInDays")) : 0;
	if (!waits)
		rc = read_date(date, &e->key.deletion_ms);
	return rc < 0 ? rc : set_state(r, e, state);
}

static int cancel(struct replay *r, struct replay_event *e)
{
	e->key.deletion_ms = 0;
	e->key.window_days = 0;
	return set_use(r, e, false);
}

static int purge(struct replay *r, struct replay_event *e)
{
	int rc = 0;

	if (e->key.key_id[0])
		rc = store_key_purge(r->store, &e->key);
	return rc == 0 && e->key.key_id[0] ?
	       replicate_after_purge(r->store, &e->key) : rc;
}

static int put_policy(struct replay *r, struct replay_event *e)
{
	const char *text = replay_text(e->parameters, "policy");
	char *bound = NULL;
	int rc;

	if (!e->key.key_id[0])
		return 0;
	rc = *text ? replay_bind(r, text, POLICY_KEY, &bound) : -EBADMSG;
	if (rc < 0)
		return rc;
	free(e->key.policy);
	free(e->key.principals);
	e->key.policy = strdup(text);
	e->key.principals = bound;
	return e->key.policy ? store_key_set_policy(r->store, &e->key) :
			       -ENOMEM;
}

static int end_grant(struct replay *r, struct replay_event *e)
{
	const json_t *more = json_object_get(e->record,
					     "additionalEventData");
	const char *id = replay_text(more, "grantId");
	struct grant_row g = { .pairs = NULL };
	int rc;

	if (!*id)
		id = replay_text(e->parameters, "grantId");
	if (!e->key.key_id[0])
		return 0;
	if (!*id)
		return -EBADMSG;
	rc = store_grant_get(r->store, e->region, e->key.key_id, id, &g);
	if (rc == 0)
		rc = store_grant_delete(r->store, &g);
	grant_row_free(&g);
	return rc == -ENOENT ? 0 : rc;
}

static int delete_material(struct replay *r, struct replay_event *e)
{
	const char *id = replay_text(e->response, "keyMaterialId");
	struct material_row row;
	int rc;

	if (!e->key.key_id[0])
		return 0;
	if (!*id)
		return -EBADMSG;
	rc = store_material_find(r->store, &e->key, id, &row);
	if (rc == 0 && row.present)
		rc = import_erase(r->store, &e->key, id,
				  strcmp(row.state, MATERIAL_PENDING) == 0);
	return rc == -ENOENT ? 0 : rc;
}

/* Material that the backup has, too, has its date from here on. */
static int import_material(struct replay *r, struct replay_event *e)
{
	const char *id = replay_text(e->response, "keyMaterialId");
	const char *model = replay_text(e->parameters, "expirationModel");
	double date = json_number_value(json_object_get(e->parameters,
							"validTo"));
	int rc;

	if (!e->key.key_id[0])
		return 1;
	if (!*id || (date <= 0 &&
		     strcmp(model, "KEY_MATERIAL_DOES_NOT_EXPIRE") != 0))
		return -EBADMSG;
	rc = import_set_expiry(r->store, &e->key, id, (int64_t)(date * 1000));
	return rc == -ENOENT ? 1 : rc;
}

/* What expired by then, as far as the backup has it. */
static int expire(struct replay *r, struct replay_event *e)
{
	struct tm tm = { 0 };
	const char *end = strptime(e->when, "%Y-%m-%dT%H:%M:%SZ", &tm);

	if (!e->key.key_id[0])
		return 0;
	/* anywhere in that second */
	return !end || *end ? -EBADMSG :
	       import_expire_by(r->store, &e->key,
				(int64_t)timegm(&tm) * 1000 + 999);
}

/* An alias of a key that is lost must not stay with the one before. */
static int set_alias(struct replay *r, struct replay_event *e)
{
	const char *name = replay_text(e->parameters, "aliasName");
	const char *target = replay_text(e->parameters, "targetKeyId");
	const char *slash = strrchr(target, '/');
	struct key_row key = { .description = NULL };
	struct alias_row alias = { .name = "" };
	int rc;

	if (!*name || strlen(name) >= sizeof(alias.name))
		return -EBADMSG;
	strcpy(alias.name, name);
	rc = store_alias_get(r->store, e->account, e->region, name, &alias);
	if (rc == 0)
		rc = store_alias_delete(r->store, e->account, e->region, name);
	if ((rc < 0 && rc != -ENOENT) || !*target)
		return rc;
	rc = store_key_get(r->store, e->region, slash ? slash + 1 : target,
			   &key);
	strcpy(alias.key_id, key.key_id);
	if (rc == 0)
		rc = store_alias_add(r->store, e->account, e->region, &alias);
	key_row_free(&key);
	return rc == -ENOENT ? 0 : rc;
}

static int delete_alias(struct replay *r, struct replay_event *e)
{
	const char *name = replay_text(e->parameters, "aliasName");

	return *name ? store_alias_delete(r->store, e->account, e->region,
					  name) : -EBADMSG;
}

static int tag(struct replay *r, struct replay_event *e)
{
	const json_t *tags = json_object_get(e->parameters, "tags");
	json_t *one;
	size_t i;
	int rc = json_is_array(tags) ? 0 : -EBADMSG;

	if (!e->key.key_id[0])
		return 0;
	json_array_foreach(tags, i, one)
		if (rc == 0)
			rc = store_tag_set(r->store, &e->key,
					   replay_text(one, "tagKey"),
					   replay_text(one, "tagValue"));
	return rc;
}

static int untag(struct replay *r, struct replay_event *e)
{
	const json_t *names = json_object_get(e->parameters, "tagKeys");
	json_t *one;
	size_t i;
	int rc = json_is_array(names) ? 0 : -EBADMSG;

	if (!e->key.key_id[0])
		return 0;
	json_array_foreach(names, i, one)
		if (rc == 0)
			rc = json_is_string(one) ?
			     store_tag_delete(r->store, &e->key,
					      json_string_value(one)) :
			     -EBADMSG;
	return rc;
}

static int set_primary(struct replay *r, struct replay_event *e)
{
	const char *region = replay_text(e->parameters, "primaryRegion");

	if (!e->key.key_id[0])
		return 0;
	return *region ? store_key_set_primary(r->store, &e->key, region) :
			 -EBADMSG;
}

#define LOST "made after the backup and lost"
#define AGAIN "not in the backup; do it again"
#define ROTATED "not in the backup; what the key has encrypted since cannot be decrypted"

const struct replay_verb replay_key_verbs[] = {
	{ "EnableKey", enable, NULL },
	{ "DisableKey", disable, NULL },
	{ "ScheduleKeyDeletion", schedule, NULL },
	{ "CancelKeyDeletion", cancel, NULL },
	{ "DeleteKey", purge, NULL },
	{ "PutKeyPolicy", put_policy, NULL },
	{ "RevokeGrant", end_grant, NULL },
	{ "RetireGrant", end_grant, NULL },
	{ "ImportKeyMaterial", import_material, AGAIN },
	{ "DeleteImportedKeyMaterial", delete_material, NULL },
	{ "DeleteExpiredKeyMaterial", expire, NULL },
	{ "CreateAlias", set_alias, NULL },
	{ "UpdateAlias", set_alias, NULL },
	{ "DeleteAlias", delete_alias, NULL },
	{ "TagResource", tag, NULL },
	{ "UntagResource", untag, NULL },
	{ "UpdatePrimaryRegion", set_primary, NULL },

	/* what the replicas get comes with the record of the primary */
	{ "SynchronizeMultiRegionKey", NULL, NULL },
	{ "CreateKey", NULL, LOST },
	{ "ReplicateKey", NULL, AGAIN },
	{ "CreateGrant", NULL, AGAIN },
	{ "RotateKey", NULL, ROTATED },
	{ "RotateKeyOnDemand", NULL, NULL }, /* RotateKey follows */
	{ "EnableKeyRotation", NULL, AGAIN },
	{ "DisableKeyRotation", NULL, AGAIN },
	{ "UpdateKeyDescription", NULL, AGAIN },
	{ NULL, NULL, NULL },
};
