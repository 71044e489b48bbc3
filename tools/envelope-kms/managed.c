// SPDX-License-Identifier: GPL-2.0-or-later
/* Makes AWS managed keys at their first use. */
#include "managed.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "material.h"
#include "rotation.h"

#define ROTATION_DAYS 365

/*
 * AWS wants kms:ViaService as well, which only its own services can satisfy.
 * The account's own policies count for reading alone: nobody disables,
 * deletes, rotates or rewrites this key.
 */
static const char policy_format[] =
	"{\"Version\":\"2012-10-17\",\"Id\":\"auto-ebs-2\",\"Statement\":["
	"{\"Sid\":\"Allow access through EBS for all principals in the account that are authorized to use EBS\","
	"\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"*\"},"
	"\"Action\":[\"kms:Encrypt\",\"kms:Decrypt\",\"kms:ReEncrypt*\","
	"\"kms:GenerateDataKey*\",\"kms:CreateGrant\",\"kms:DescribeKey\"],"
	"\"Resource\":\"*\",\"Condition\":{\"StringEquals\":"
	"{\"kms:CallerAccount\":\"%s\"}}},"
	"{\"Sid\":\"Allow direct access to key metadata to the account\","
	"\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:iam::%s:root\"},"
	"\"Action\":[\"kms:Describe*\",\"kms:Get*\",\"kms:List*\","
	"\"kms:RevokeGrant\"],\"Resource\":\"*\"}]}";

bool key_is_managed(const struct key_row *key)
{
	return strcmp(key->manager, "AWS") == 0;
}

static int make_key(struct call *c, struct key_row *key)
{
	struct server *s = c->server;
	struct alias_row alias = { .name = MANAGED_ALIAS };
	int rc = key_create(s->store, s->root, key);

	if (rc < 0)
		return rc;
	strcpy(alias.key_id, key->key_id);
	alias.created_ms = alias.updated_ms = key->created_ms;
	rc = store_alias_add(s->store, key->account, key->region, &alias);
	return rc < 0 ? rc : audit_service_event(s->audit, "CreateKey", key);
}

int managed_make(struct call *c)
{
	char policy[sizeof(policy_format) + 2 * ACCOUNT_BYTES];
	struct store *s = c->server->store;
	struct alias_row alias;
	struct key_row key = {
		.description = "Default key that protects my EBS volumes when no other key is defined",
		.policy = policy,
		.manager = "AWS",
		.rotation_days = ROTATION_DAYS,
		.rotation_ms = server_now_ms() +
			       rotation_days_ms(ROTATION_DAYS),
	};
	int rc = store_begin(s);

	if (rc < 0)
		return rc;
	strcpy(key.account, c->who.user.account);
	strcpy(key.region, c->who.region);
	snprintf(policy, sizeof(policy), policy_format, key.account,
		 key.account);
	rc = store_alias_get(s, key.account, key.region, MANAGED_ALIAS,
			     &alias);
	if (rc == -ENOENT)
		rc = make_key(c, &key);
	if (rc == 0)
		return store_commit(s);
	store_rollback(s);
	return rc;
}
