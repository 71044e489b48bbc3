// SPDX-License-Identifier: GPL-2.0-or-later
/* Where the value of each condition key comes from. */
#include "facts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "grants.h"
#include "related.h"
#include "store_tags.h"

/* Conditions that are members of the request, by default or as sent. */
static const struct {
	const char *name, *member;
	const char *usual;   /* when absent; NULL: the key is absent, too */
	const char *actions; /* behind "kms:", by blanks */
} members[] = {
	{ "kms:BypassPolicyLockoutSafetyCheck",
	  "BypassPolicyLockoutSafetyCheck", "false",
	  "CreateKey PutKeyPolicy ReplicateKey" },
	{ "kms:EncryptionAlgorithm", "EncryptionAlgorithm",
	  "SYMMETRIC_DEFAULT", "Encrypt Decrypt" },
	{ "kms:EncryptionAlgorithm", "SourceEncryptionAlgorithm",
	  "SYMMETRIC_DEFAULT", "ReEncryptFrom" },
	{ "kms:EncryptionAlgorithm", "DestinationEncryptionAlgorithm",
	  "SYMMETRIC_DEFAULT", "ReEncryptTo" },
	{ "kms:ExpirationModel", "ExpirationModel", "KEY_MATERIAL_EXPIRES",
	  "ImportKeyMaterial" },
	{ "kms:GrantOperations", "Operations", NULL, "CreateGrant" },
	{ "kms:GranteePrincipal", "GranteePrincipal", NULL, "CreateGrant" },
	{ "kms:RetiringPrincipal", "RetiringPrincipal", NULL, "CreateGrant" },
	{ "kms:KeyOrigin", "Origin", "AWS_KMS", "CreateKey" },
	{ "kms:KeySpec", "KeySpec", "SYMMETRIC_DEFAULT", "CreateKey" },
	{ "kms:CustomerMasterKeySpec", "CustomerMasterKeySpec",
	  "SYMMETRIC_DEFAULT", "CreateKey" },
	{ "kms:KeyUsage", "KeyUsage", "ENCRYPT_DECRYPT", "CreateKey" },
	{ "kms:CustomerMasterKeyUsage", "KeyUsage", "ENCRYPT_DECRYPT",
	  "CreateKey" },
	{ "kms:MultiRegion", "MultiRegion", "false", "CreateKey" },
	{ "kms:PrimaryRegion", "PrimaryRegion", NULL, "UpdatePrimaryRegion" },
	{ "kms:ReplicaRegion", "ReplicaRegion", NULL, "ReplicateKey" },
	{ "kms:RotationPeriodInDays", "RotationPeriodInDays", "365",
	  "EnableKeyRotation" },
	{ "kms:ScheduleKeyDeletionPendingWindowInDays", "PendingWindowInDays",
	  "30", "ScheduleKeyDeletion" },
	{ "kms:ValidTo", "ValidTo", NULL, "ImportKeyMaterial" },
	{ "kms:WrappingAlgorithm", "WrappingAlgorithm", NULL,
	  "GetParametersForImport" },
	{ "kms:WrappingKeySpec", "WrappingKeySpec", NULL,
	  "GetParametersForImport" },
	{ "aws:TagKeys", "TagKeys", NULL, "UntagResource" },
	{ "sts:ExternalId", "ExternalId", NULL, "AssumeRole" },
	{ "sts:RoleSessionName", "RoleSessionName", NULL, "AssumeRole" },
};

static json_t *texts_of(json_t *value)
{
	char text[64];

	if (json_is_string(value) || json_is_array(value))
		return json_incref(value);
	if (json_is_boolean(value))
		return json_string(json_is_true(value) ? "true" : "false");
	if (!json_is_number(value))
		return NULL;
	snprintf(text, sizeof(text), "%.17g", json_number_value(value));
	return json_string(text);
}

static bool listed(const char *words, const char *word)
{
	size_t n = strlen(word);
	const char *p = words;

	while ((p = strstr(p, word))) {
		if ((p == words || p[-1] == ' ') && (!p[n] || p[n] == ' '))
			return true;
		p += n;
	}
	return false;
}

/* What follows "kms:" or "sts:". */
static const char *verb(const struct facts *f)
{
	const char *colon = strchr(f->action, ':');

	return colon ? colon + 1 : f->action;
}

static bool from_members(const struct fact_source *s, const char *name,
			 json_t **ret)
{
	size_t i;

	for (i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		json_t *value;

		if (strcmp(members[i].name, name) != 0 ||
		    !listed(members[i].actions, verb(s->facts)))
			continue;
		value = json_object_get(s->call->params, members[i].member);
		if (value && !json_is_null(value))
			*ret = texts_of(value);
		else if (members[i].usual)
			*ret = json_string(members[i].usual);
		return true;
	}
	return false;
}

/* The pair of the context by its name, in this case before any other. */
static json_t *context_value(const json_t *map, const char *name)
{
	json_t *value = json_object_get(map, name);
	const char *key;

	if (value)
		return json_incref(value);
	json_object_foreach((json_t *)map, key, value)
		if (strcasecmp(key, name) == 0)
			return json_incref(value);
	return NULL;
}

static json_t *context_keys(const json_t *map)
{
	json_t *list = json_array(), *value;
	const char *key;

	json_object_foreach((json_t *)map, key, value)
		json_array_append_new(list, json_string(key));
	return list;
}

/* Tags of the request: [{TagKey, TagValue}]; @name NULL: their keys. */
static json_t *request_tags(const struct call *c, const char *name)
{
	json_t *tags = json_object_get(c->params, "Tags"), *tag;
	json_t *keys = NULL;
	size_t i;

	json_array_foreach(tags, i, tag) {
		const char *key = json_string_value(json_object_get(tag,
								"TagKey"));

		if (!key)
			continue;
		if (name && strcasecmp(key, name) == 0)
			return json_incref(json_object_get(tag, "TagValue"));
		if (!name && !keys)
			keys = json_array();
		if (!name)
			json_array_append_new(keys, json_string(key));
	}
	return keys;
}

/* Equals, Subset, or absent where the grant has no constraint. */
static json_t *constraint_type(const struct call *c)
{
	const json_t *pairs;

	switch (grant_requested(c, &pairs)) {
	case GRANT_EQUALS:
		return json_string("EncryptionContextEquals");
	case GRANT_SUBSET:
		return json_string("EncryptionContextSubset");
	default:
		return NULL;
	}
}

static json_t *from_key(const struct key_row *key, const char *name)
{
	bool multi = strncmp(key->key_id, "mrk-", 4) == 0;

	if (strcmp(name, "kms:KeySpec") == 0 ||
	    strcmp(name, "kms:CustomerMasterKeySpec") == 0)
		return json_string(key->spec);
	if (strcmp(name, "kms:KeyUsage") == 0 ||
	    strcmp(name, "kms:CustomerMasterKeyUsage") == 0)
		return json_string(key->usage);
	if (strcmp(name, "kms:KeyOrigin") == 0)
		return json_string(key->origin);
	if (strcmp(name, "kms:MultiRegion") == 0)
		return json_string(multi ? "true" : "false");
	if (strcmp(name, "kms:MultiRegionKeyType") == 0)
		return !multi ? NULL : json_string(is_replica(key) ?
						   "REPLICA" : "PRIMARY");
	if (strcmp(name, "aws:ResourceAccount") == 0)
		return json_string(key->account);
	return NULL;
}

static int add_alias(const struct alias_row *alias, void *arg)
{
	return json_array_append_new(arg, json_string(alias->name)) < 0 ?
	       -ENOMEM : 0;
}

static int resource_aliases(const struct fact_source *s, json_t **ret)
{
	json_t *list = json_array();
	int rc = list ? store_alias_list(s->call->server->store,
					 s->key->account, s->key->region,
					 s->key->key_id, "", 100, add_alias,
					 list) : -ENOMEM;

	if (rc < 0)
		json_decref(list);
	else
		*ret = list;
	return rc;
}

static int resource_tag(const struct fact_source *s, const char *name,
			json_t **ret)
{
	char *value = NULL;
	int rc = store_tag_get(s->call->server->store, s->key, name, &value);

	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	*ret = json_string(value);
	free(value);
	return *ret ? 0 : -ENOMEM;
}

static json_t *time_text(int64_t ms, bool epoch)
{
	time_t t = (time_t)(ms / 1000);
	char text[32];
	struct tm tm;

	if (epoch) {
		snprintf(text, sizeof(text), "%" PRId64, ms / 1000);
	} else {
		gmtime_r(&t, &tm);
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	}
	return json_string(text);
}

/* What is true of the caller and his connection, whatever he asks. */
static json_t *from_caller(const struct call *c, const char *name)
{
	const struct identity *who = &c->who;

	if (strcmp(name, "aws:PrincipalArn") == 0)
		return json_string(who->role_arn[0] ? who->role_arn :
						      who->user.arn);
	if (strcmp(name, "aws:PrincipalAccount") == 0)
		return json_string(who->user.account);
	if (strcmp(name, "aws:PrincipalType") == 0)
		return json_string(who->role_arn[0] ? "AssumedRole" : "User");
	if (strcmp(name, "aws:userid") == 0)
		return json_string(who->user.user_id);
	if (strcmp(name, "aws:username") == 0)
		return who->role_arn[0] ? NULL : json_string(who->user.name);
	if (strcmp(name, "aws:TokenIssueTime") == 0)
		return who->role_arn[0] ? time_text(who->issued_ms, false) :
					  NULL;
	if (strcmp(name, "aws:SourceIp") == 0)
		return strncmp(c->source_address, "unix:", 5) == 0 ? NULL :
		       json_string(c->source_address);
	if (strcmp(name, "aws:SecureTransport") == 0)
		return json_string(c->transport == TRANSPORT_TLS ? "true" :
								   "false");
	if (strcmp(name, "aws:RequestedRegion") == 0)
		return json_string(who->region);
	if (strcmp(name, "aws:UserAgent") == 0)
		return c->user_agent ? json_string(c->user_agent) : NULL;
	if (strcmp(name, "aws:CurrentTime") == 0)
		return time_text(server_now_ms(), false);
	if (strcmp(name, "aws:EpochTime") == 0)
		return time_text(server_now_ms(), true);
	return NULL;
}

/* What is true of the request. */
static json_t *from_request(const struct fact_source *s, const char *name)
{
	static const char pair[] = "kms:EncryptionContext:";
	static const char tag[] = "aws:RequestTag/";
	const struct facts *f = s->facts;
	/* what an operation ignores must not please a policy */
	bool tags = listed("CreateKey ReplicateKey TagResource", verb(f));

	if (strncmp(name, pair, sizeof(pair) - 1) == 0)
		return context_value(f->context, name + sizeof(pair) - 1);
	if (strcmp(name, "kms:EncryptionContextKeys") == 0)
		return f->context ? context_keys(f->context) : NULL;
	if (strcmp(name, "kms:RequestAlias") == 0)
		return f->alias[0] ? json_string(f->alias) : NULL;
	if (strcmp(name, "kms:GrantIsForAWSResource") == 0)
		return listed("CreateGrant ListGrants RevokeGrant", verb(f)) ?
		       json_string("false") : NULL;
	if (strcmp(name, "kms:GrantConstraintType") == 0 &&
	    strcmp(verb(f), "CreateGrant") == 0)
		return constraint_type(s->call);
	if (tags && strncmp(name, tag, sizeof(tag) - 1) == 0)
		return request_tags(s->call, name + sizeof(tag) - 1);
	if (tags && strcmp(name, "aws:TagKeys") == 0)
		return request_tags(s->call, NULL);
	if (s->key && strcmp(name, "kms:CallerAccount") == 0)
		return json_string(s->call->who.user.account);
	return NULL;
}

int fact_value(void *arg, const char *name, json_t **ret)
{
	static const char tag[] = "aws:ResourceTag/";
	const struct fact_source *s = arg;
	json_t *value = json_object_get(s->facts->conditions, name);

	*ret = NULL;
	if (value) {
		*ret = json_array_size(value) == 1 ?
		       json_incref(json_array_get(value, 0)) :
		       json_incref(value);
		return 0;
	}
	if (from_members(s, name, ret))
		return 0;
	if (s->key && strcmp(name, "kms:ResourceAliases") == 0)
		return resource_aliases(s, ret);
	if (s->key && strncmp(name, tag, sizeof(tag) - 1) == 0)
		return resource_tag(s, name + sizeof(tag) - 1, ret);
	if (s->key)
		*ret = from_key(s->key, name);
	if (!*ret)
		*ret = from_request(s, name);
	if (!*ret)
		*ret = from_caller(s->call, name);
	return 0;
}
