// SPDX-License-Identifier: GPL-2.0-or-later
/* ReplicateKey and UpdatePrimaryRegion. */
#include "replicate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "builtin.h"
#include "key_policy.h"
#include "material.h"
#include "metadata.h"
#include "operations.h"
#include "params.h"
#include "related.h"
#include "resolve.h"
#include "rotation.h"
#include "tags.h"

#define DESCRIPTION_MAX 8192
#define REGION_NAME_MAX 32

int check_key_count(struct call *c, const char *region)
{
	int64_t count = 0;
	int rc = store_key_count(c->server->store, c->who.user.account,
				 region, &count);

	if (rc < 0)
		return rc;
	if (count >= KEYS_MAX)
		return call_fail(c, ERR_LIMIT_EXCEEDED,
				 "The account has %d keys in this region, which is the limit.",
				 KEYS_MAX);
	return 0;
}

int has_replicas(struct store *s, const struct key_row *key)
{
	struct related all = { .key = NULL };
	int rc;

	if (!is_multi_region(key) || is_replica(key))
		return 0;
	rc = related_get(s, key, &all);
	if (rc == 0)
		rc = all.count > 1;
	related_free(&all);
	return rc;
}

static bool waits(const struct key_row *key)
{
	return strcmp(key->state, "PendingReplicaDeletion") == 0;
}

int replicate_after_purge(struct store *s, const struct key_row *key)
{
	struct related all = { .key = NULL };
	int rc = is_replica(key) ? related_get(s, key, &all) : 0;

	if (rc == 0 && all.count == 1 && waits(&all.key[0])) {
		strcpy(all.key[0].state, "PendingDeletion");
		all.key[0].deletion_ms = server_now_ms() +
			rotation_days_ms(all.key[0].window_days);
		all.key[0].window_days = 0;
		rc = store_key_set_state(s, &all.key[0]);
	}
	related_free(&all);
	return rc;
}

/* A primary key that something multi-Region may be done to now. */
static int check_primary(struct call *c, const struct key_row *key,
			 unsigned int refused)
{
	char arn[CALL_ARN_BYTES];

	call_key_arn(key, arn);
	if (!is_multi_region(key))
		return call_fail(c, ERR_UNSUPPORTED,
				 "%s is not a multi-region primary key.", arn);
	if (require_primary(c, key) < 0)
		return -EPROTO;
	return require_state(c, key, refused);
}

struct replication {
	const char *region, *description, *policy;
	const json_t *tags;
	struct key_row primary, replica;
};

static int read_replication(struct call *c, struct replication *r)
{
	int rc;

	r->region = param_string(c, "ReplicaRegion", PARAM_REQUIRED, 1,
				 REGION_NAME_MAX);
	r->description = param_string(c, "Description", PARAM_OPTIONAL, 0,
				      DESCRIPTION_MAX);
	r->policy = param_policy(c, PARAM_OPTIONAL);
	r->tags = param_tags(c, PARAM_OPTIONAL);
	param_bool(c, "BypassPolicyLockoutSafetyCheck");
	rc = params_check(c);
	if (rc == 0)
		rc = tags_check(c, r->tags);
	return rc;
}

/* The new key is no key yet: the caller's own policies decide. */
static int may_replicate(struct call *c, const struct replication *r)
{
	struct facts f = { .action = "kms:CreateKey" };
	const struct {
		const char *name, *value;
	} made[] = {
		{ "aws:RequestedRegion", r->region },
		{ "kms:MultiRegion", "true" },
		{ "kms:KeyOrigin", r->primary.origin },
		{ "kms:KeySpec", r->primary.spec },
		{ "kms:CustomerMasterKeySpec", r->primary.spec },
		{ "kms:KeyUsage", r->primary.usage },
		{ "kms:CustomerMasterKeyUsage", r->primary.usage },
	};
	size_t i;
	int rc = 0;

	/* What will be made, not what this request may claim. */
	for (i = 0; rc == 0 && i < sizeof(made) / sizeof(made[0]); i++)
		rc = facts_add(&f, made[i].name, made[i].value);
	if (rc == 0)
		rc = authorise_other(c, &f, "*");
	f.action = "kms:TagResource";
	if (rc == 0 && json_array_size(r->tags))
		rc = authorise_other(c, &f, "*");
	facts_free(&f);
	return rc;
}

static int check_target(struct call *c, const struct replication *r)
{
	struct key_row there = { .description = NULL };
	int rc;

	if (!region_listed(c->server->regions, r->region))
		return call_fail(c, ERR_UNSUPPORTED,
				 "This server is not the region %s.",
				 r->region);
	rc = store_key_get(c->server->store, r->region, r->primary.key_id,
			   &there);
	key_row_free(&there);
	if (rc == 0)
		return call_fail(c, ERR_ALREADY_EXISTS,
				 "Unable to replicate key '%s' to region '%s', as the key already exist there",
				 r->primary.key_id, r->region);
	return rc == -ENOENT ? check_key_count(c, r->region) : rc;
}

/* Its own description and policy; everything secret is the primary's. */
static int add_replica(struct call *c, struct replication *r)
{
	struct server *s = c->server;
	struct key_row *key = &r->replica;
	bool imported = strcmp(r->primary.origin, "EXTERNAL") == 0;
	int rc;

	*key = r->primary;
	key->policy = key->principals = NULL;
	key->description = strdup(r->description ? r->description : "");
	if (!key->description)
		return -ENOMEM;
	snprintf(key->region, sizeof(key->region), "%s", r->region);
	key->created_ms = server_now_ms();
	key->expires_ms = 0;
	if (imported) {
		strcpy(key->state, "PendingImport");
		key->material_id[0] = '\0';
	}
	rc = key_policy_set(c, r->policy, key);
	if (rc == 0)
		rc = store_key_add(s->store, key);
	if (rc == 0)
		rc = tags_set(c, key, r->tags);
	if (rc == 0 && !imported)
		rc = material_copy_all(s->store, s->root, &r->primary, key);
	if (rc == 0)
		rc = audit_service_event(s->audit, "CreateKey", key);
	if (rc == 0 && !imported)
		rc = audit_service_event(s->audit,
					 "SynchronizeMultiRegionKey", key);
	return rc;
}

static int answer_replica(struct call *c, const struct replication *r)
{
	char policy[KEY_POLICY_DEFAULT_BYTES];
	json_t *m = key_metadata(c->server->store, &r->replica);
	json_t *tags = r->tags ? json_deep_copy(r->tags) : json_array();

	key_policy_default(r->replica.account, policy);
	c->answer = json_pack("{s:o, s:s, s:o}", "ReplicaKeyMetadata", m,
			      "ReplicaPolicy", r->policy ? r->policy : policy,
			      "ReplicaTags", tags);
	if (!c->answer)
		return -ENOMEM;
	c->response_elements = metadata_trail(&r->replica, m);
	return c->response_elements ? 0 : -ENOMEM;
}

int op_replicate_key(struct call *c)
{
	struct facts f = { .action = "kms:ReplicateKey" };
	struct replication r = { .region = NULL };
	int rc = read_replication(c, &r);

	if (rc == 0)
		rc = facts_add(&f, "kms:ReplicaRegion", r.region);
	if (rc == 0)
		rc = resolve_named(c, RESOLVE_KEY_ONLY, &f, &r.primary);
	if (rc == 0)
		rc = may_replicate(c, &r);
	if (rc == 0)
		rc = check_primary(c, &r.primary,
				   STATES_UNUSABLE | STATE_UPDATING);
	if (rc == 0)
		rc = check_target(c, &r);
	if (rc == 0)
		rc = add_replica(c, &r);
	if (rc == 0)
		rc = answer_replica(c, &r);
	facts_free(&f);
	key_row_free(&r.primary);
	key_row_free(&r.replica);
	return rc;
}

/* The replica that becomes the primary, allowed and able to. */
static int check_successor(struct call *c, const struct facts *f,
			   const struct key_row *key, const char *region)
{
	struct related all = { .key = NULL };
	struct key_row absent = *key, *next;
	char arn[CALL_ARN_BYTES];
	int rc = related_get(c->server->store, key, &all);

	if (rc < 0)
		return rc;
	next = related_in(&all, region);
	if (!next) {
		snprintf(absent.region, sizeof(absent.region), "%s", region);
		call_key_arn(&absent, arn);
		rc = call_fail(c, ERR_NOT_FOUND, "Key '%s' does not exist",
			       arn);
	} else {
		call_key_arn(next, arn);
		rc = authorise(c, f, next);
		if (rc == 0)
			rc = call_touches(c, arn);
		if (rc == 0)
			rc = require_state(c, next, STATES_UNUSABLE);
	}
	related_free(&all);
	return rc;
}

int op_update_primary_region(struct call *c)
{
	struct facts f = { .action = "kms:UpdatePrimaryRegion" };
	struct key_row key = { .description = NULL };
	const char *region = param_string(c, "PrimaryRegion", PARAM_REQUIRED,
					  1, REGION_NAME_MAX);
	int rc = region ? facts_add(&f, "kms:PrimaryRegion", region) : 0;

	if (rc == 0)
		rc = resolve_named(c, RESOLVE_KEY_ONLY, &f, &key);
	if (rc == 0)
		rc = check_primary(c, &key, STATES_UNUSABLE);
	if (rc == 0 && strcmp(region, key.region) == 0)
		rc = call_fail(c, ERR_VALIDATION,
			       "%s is the primary region already.", region);
	if (rc == 0)
		rc = check_successor(c, &f, &key, region);
	if (rc == 0)
		rc = store_key_set_primary(c->server->store, &key, region);
	facts_free(&f);
	key_row_free(&key);
	return rc;
}
