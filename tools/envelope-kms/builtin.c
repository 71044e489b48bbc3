// SPDX-License-Identifier: GPL-2.0-or-later
/* The policies that need not be written by hand. */
#include "builtin.h"

#include <stdio.h>
#include <string.h>

#define ALLOW(actions) "{\"Version\":\"2012-10-17\",\"Statement\":" \
	"[{\"Effect\":\"Allow\",\"Action\":[" actions "],\"Resource\":\"*\"}]}"

/*
 * The administrator of keys and their user share nothing but DescribeKey: the
 * one cannot read, the other cannot change who may.
 */
static const struct {
	const char *name, *document;
} policies[] = {
	{ "AdministratorAccess", "{\"Version\":\"2012-10-17\",\"Statement\":"
	  "[{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\"}]}" },
	{ "KeyAdministrator", ALLOW(
	  "\"kms:CreateKey\",\"kms:CreateAlias\",\"kms:Describe*\","
	  "\"kms:Enable*\",\"kms:List*\",\"kms:Put*\",\"kms:Update*\","
	  "\"kms:Revoke*\",\"kms:Disable*\",\"kms:Get*\",\"kms:Delete*\","
	  "\"kms:TagResource\",\"kms:UntagResource\","
	  "\"kms:ScheduleKeyDeletion\",\"kms:CancelKeyDeletion\","
	  "\"kms:RotateKeyOnDemand\",\"kms:ImportKeyMaterial\","
	  "\"kms:ReplicateKey\"") },
	{ "KeyOperator", ALLOW(
	  "\"kms:Encrypt\",\"kms:Decrypt\",\"kms:ReEncrypt*\","
	  "\"kms:GenerateDataKey*\",\"kms:DescribeKey\"") },
	{ "KeyAuditor", ALLOW(
	  "\"kms:DescribeKey\",\"kms:List*\",\"kms:GetKeyPolicy\","
	  "\"kms:GetKeyRotationStatus\"") },
};

#define COUNT (sizeof(policies) / sizeof(policies[0]))

const char *builtin_policy(const char *name)
{
	size_t i;

	for (i = 0; i < COUNT; i++)
		if (strcmp(policies[i].name, name) == 0)
			return policies[i].document;
	return NULL;
}

const char *builtin_policy_name(size_t i)
{
	return i < COUNT ? policies[i].name : NULL;
}

void key_policy_default(const char *account,
			char ret[static KEY_POLICY_DEFAULT_BYTES])
{
	snprintf(ret, KEY_POLICY_DEFAULT_BYTES,
		 "{\"Version\":\"2012-10-17\",\"Id\":\"key-default-1\","
		 "\"Statement\":[{\"Sid\":\"Enable IAM User Permissions\","
		 "\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:iam::%s:root\"},"
		 "\"Action\":\"kms:*\",\"Resource\":\"*\"}]}", account);
}
