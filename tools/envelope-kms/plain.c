// SPDX-License-Identifier: GPL-2.0-or-later
/* The operations whose answers have no secret in them. */
#include "plain.h"

#include <stddef.h>
#include <string.h>

static const char *const harmless[] = {
	"CancelKeyDeletion", "CreateAlias", "CreateGrant", "CreateKey",
	"DeleteAlias", "DeleteImportedKeyMaterial", "DescribeKey",
	"DisableKey", "DisableKeyRotation", "EnableKey", "EnableKeyRotation",
	"Encrypt", "GenerateDataKeyWithoutPlaintext", "GetCallerIdentity",
	"GetKeyPolicy", "GetKeyRotationStatus", "GetParametersForImport",
	"ImportKeyMaterial", "ListAliases", "ListGrants", "ListKeyPolicies",
	"ListKeyRotations", "ListKeys", "ListResourceTags",
	"ListRetirableGrants", "PutKeyPolicy", "ReEncrypt", "ReplicateKey",
	"RetireGrant", "RevokeGrant", "RotateKeyOnDemand",
	"ScheduleKeyDeletion", "TagResource", "UntagResource", "UpdateAlias",
	"UpdateKeyDescription", "UpdatePrimaryRegion",
};

bool plain_allows(const char *operation)
{
	size_t i;

	for (i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
		if (strcmp(harmless[i], operation) == 0)
			return true;
	return false;
}
