// SPDX-License-Identifier: GPL-2.0-or-later
/* The condition keys that this server evaluates, and their spelling. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "policy_private.h"

/* One that ends in ':' or '/' goes on with a name of the user's choice. */
static const char *const names[] = {
	"aws:CurrentTime", "aws:EpochTime", "aws:PrincipalAccount",
	"aws:PrincipalArn", "aws:PrincipalType", "aws:RequestTag/",
	"aws:RequestedRegion", "aws:ResourceAccount", "aws:ResourceTag/",
	"aws:SecureTransport", "aws:SourceAccount", "aws:SourceArn",
	"aws:SourceIp", "aws:TagKeys", "aws:TokenIssueTime", "aws:UserAgent",
	"aws:userid", "aws:username",
	"kms:BypassPolicyLockoutSafetyCheck", "kms:CallerAccount",
	"kms:CustomerMasterKeySpec", "kms:CustomerMasterKeyUsage",
	"kms:DataKeyPairSpec", "kms:EncryptionAlgorithm",
	"kms:EncryptionContext:", "kms:EncryptionContextKeys",
	"kms:ExpirationModel", "kms:GrantConstraintType",
	"kms:GrantIsForAWSResource", "kms:GrantOperations",
	"kms:GranteePrincipal", "kms:KeyOrigin", "kms:KeySpec",
	"kms:KeyUsage", "kms:MacAlgorithm", "kms:MessageType",
	"kms:MultiRegion", "kms:MultiRegionKeyType", "kms:PrimaryRegion",
	"kms:ReEncryptOnSameKey", "kms:ReplicaRegion", "kms:RequestAlias",
	"kms:ResourceAliases", "kms:RetiringPrincipal",
	"kms:RotationPeriodInDays",
	"kms:ScheduleKeyDeletionPendingWindowInDays", "kms:SigningAlgorithm",
	"kms:ValidTo", "kms:ViaService", "kms:WrappingAlgorithm",
	"kms:WrappingKeySpec",
	"sts:ExternalId", "sts:RoleSessionName",
};

char *condition_key_name(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		size_t n = strlen(names[i]);
		bool open = strchr(":/", names[i][n - 1]) != NULL;
		char *copy;

		if (strncasecmp(names[i], name, n) != 0 ||
		    (name[n] != '\0') != open)
			continue;
		copy = strdup(name);
		if (copy)
			memcpy(copy, names[i], n);
		return copy;
	}
	errno = EINVAL;
	return NULL;
}
