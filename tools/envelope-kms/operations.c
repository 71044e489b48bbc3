// SPDX-License-Identifier: GPL-2.0-or-later
/* The route table of the API and the order of handler, audit and commit. */
#include "operations.h"

#include <errno.h>
#include <string.h>

#include "plain.h"

/*
 * Every request is POST / with X-Amz-Target: TrentService.<Operation> and one
 * JSON object; blobs are base64, times are seconds since 1970 with a fraction.
 * A success is 200 with the reply below, or with no body where there is none.
 * An error is {"__type": name, "message": text} with 400, or 500 for
 * KMSInternalException. Errors that every operation may give: those of the
 * signature, SerializationException, ValidationException,
 * AccessDeniedException, KMSInternalException. "key" is a key id or key ARN,
 * "any key" also an alias name or alias ARN. NF NotFoundException, DIS
 * DisabledException, ST KMSInvalidStateException, IGT
 * InvalidGrantTokenException, IKU InvalidKeyUsageException, UNS
 * UnsupportedOperationException, DRY DryRunOperationException (DryRun: true
 * and all would have gone well), LIM LimitExceededException, ICT
 * InvalidCiphertextException, IK IncorrectKeyException.
 *
 * CreateKey: Description?, KeyUsage?, KeySpec? | CustomerMasterKeySpec?,
 *   Origin?, MultiRegion?, Policy?, Tags?, BypassPolicyLockoutSafetyCheck? ->
 *   KeyMetadata. UNS (anything but a symmetric key of origin AWS_KMS or
 *   EXTERNAL), LIM, TagException, MalformedPolicyDocumentException.
 * DescribeKey: KeyId (any key), GrantTokens? -> KeyMetadata. NF, IGT.
 * ListKeys: Limit?, Marker? -> Keys, Truncated, NextMarker?.
 *   InvalidMarkerException.
 * GetKeyPolicy: KeyId (key), PolicyName? -> Policy, PolicyName. NF.
 * ListKeyPolicies: KeyId (key), Limit?, Marker? -> PolicyNames, Truncated. NF.
 * PutKeyPolicy: KeyId (key), PolicyName?, Policy,
 *   BypassPolicyLockoutSafetyCheck?. NF, LIM, MalformedPolicyDocumentException.
 * EnableKey, DisableKey: KeyId (key). NF, ST.
 * ScheduleKeyDeletion: KeyId (key), PendingWindowInDays? (7 to 30) -> KeyId,
 *   DeletionDate, KeyState, PendingWindowInDays. NF, ST.
 * CancelKeyDeletion: KeyId (key) -> KeyId; the key is Disabled then. NF, ST.
 * CreateAlias: AliasName, TargetKeyId (key). AlreadyExistsException,
 *   InvalidAliasNameException, NF, ST, LIM.
 * UpdateAlias: AliasName, TargetKeyId (key). NF, ST, LIM.
 * DeleteAlias: AliasName. NF.
 * ListAliases: KeyId? (key), Limit?, Marker? -> Aliases, Truncated,
 *   NextMarker?. NF, InvalidMarkerException.
 * Encrypt: KeyId (any key), Plaintext (1 to 4096 bytes), EncryptionContext?,
 *   EncryptionAlgorithm?, GrantTokens?, DryRun? -> CiphertextBlob, KeyId,
 *   EncryptionAlgorithm. NF, DIS, ST, IGT, IKU, DRY.
 * Decrypt: CiphertextBlob, KeyId? (any key), EncryptionContext?,
 *   EncryptionAlgorithm?, GrantTokens?, DryRun? -> Plaintext, KeyId,
 *   KeyMaterialId, EncryptionAlgorithm. NF, DIS, ST, ICT, IK, IGT, IKU, DRY;
 *   UNS for Recipient and DryRunModifiers.
 * ReEncrypt: CiphertextBlob, SourceKeyId?, DestinationKeyId (any keys),
 *   SourceEncryptionContext?, DestinationEncryptionContext?,
 *   SourceEncryptionAlgorithm?, DestinationEncryptionAlgorithm?, GrantTokens?,
 *   DryRun? -> CiphertextBlob, SourceKeyId, KeyId, both algorithms and
 *   material ids. As Decrypt.
 * GenerateDataKey: KeyId (any key), KeySpec | NumberOfBytes (1 to 1024),
 *   EncryptionContext?, GrantTokens?, DryRun? -> CiphertextBlob, Plaintext,
 *   KeyId, KeyMaterialId. NF, DIS, ST, IGT, DRY; UNS for Recipient.
 * GenerateDataKeyWithoutPlaintext: the same without Plaintext.
 * GenerateRandom: NumberOfBytes (1 to 1024) -> Plaintext. UNS for
 *   CustomKeyStoreId and Recipient.
 * CreateGrant: KeyId (key), GranteePrincipal, Operations, RetiringPrincipal?,
 *   Constraints? (EncryptionContextEquals | EncryptionContextSubset), Name?,
 *   GrantTokens?, DryRun? -> GrantId, GrantToken. NF, DIS, ST, IGT, LIM, DRY,
 *   InvalidArnException (no such principal); UNS for service principals.
 * ListGrants: KeyId (key), GrantId?, GranteePrincipal?, Limit?, Marker? ->
 *   Grants, Truncated, NextMarker?. NF, InvalidGrantIdException,
 *   InvalidMarkerException.
 * ListRetirableGrants: RetiringPrincipal, Limit?, Marker? -> as ListGrants.
 *   InvalidArnException, InvalidMarkerException.
 * RetireGrant: GrantToken | KeyId (key) and GrantId, DryRun?. NF, IGT, DRY,
 *   InvalidGrantIdException.
 * RevokeGrant: KeyId (key), GrantId, DryRun?. NF, DRY,
 *   InvalidGrantIdException.
 * TagResource: KeyId (key), Tags. NF, ST, TagException.
 * UntagResource: KeyId (key), TagKeys. NF, ST, TagException.
 * ListResourceTags: KeyId (key), Limit?, Marker? -> Tags, Truncated,
 *   NextMarker?. NF, InvalidMarkerException.
 * UpdateKeyDescription: KeyId (key), Description. NF, ST.
 * EnableKeyRotation: KeyId (key), RotationPeriodInDays? (90 to 2560). NF, DIS,
 *   ST, UNS.
 * DisableKeyRotation: KeyId (key). NF, DIS, ST, UNS.
 * GetKeyRotationStatus: KeyId (key) -> KeyId, KeyRotationEnabled,
 *   RotationPeriodInDays?, NextRotationDate?. NF, UNS.
 * RotateKeyOnDemand: KeyId (key) -> KeyId. NF, DIS, ST, UNS, LIM,
 *   ConflictException (the automatic rotation is due within 20 minutes).
 * ListKeyRotations: KeyId (key), IncludeKeyMaterial?, Limit?, Marker? ->
 *   Rotations, Truncated, NextMarker?. NF, InvalidMarkerException.
 * ReplicateKey: KeyId (primary key), ReplicaRegion, Policy?, Description?,
 *   Tags? -> ReplicaKeyMetadata, ReplicaPolicy, ReplicaTags. NF, DIS, ST, UNS,
 *   LIM, AlreadyExistsException, TagException,
 *   MalformedPolicyDocumentException.
 * UpdatePrimaryRegion: KeyId (primary key), PrimaryRegion. NF, DIS, ST, UNS.
 * GetParametersForImport: KeyId (key), WrappingAlgorithm, WrappingKeySpec ->
 *   KeyId, ImportToken, PublicKey, ParametersValidTo. NF, ST, UNS,
 *   ThrottlingException (another one's RSA key is being made).
 * ImportKeyMaterial: KeyId (key), ImportToken, EncryptedKeyMaterial, ValidTo?,
 *   ExpirationModel?, ImportType?, KeyMaterialDescription?, KeyMaterialId? ->
 *   KeyId, KeyMaterialId. NF, ST, UNS, ICT, IncorrectKeyMaterialException,
 *   InvalidImportTokenException, ExpiredImportTokenException.
 * DeleteImportedKeyMaterial: KeyId (key), KeyMaterialId? -> KeyId,
 *   KeyMaterialId?. NF, ST, UNS.
 *
 * Over plain HTTP on a loopback address, UNS for what plain.h does not allow.
 *
 * The operations without a handler are those of the API's model that this
 * server does not offer: they answer UNS, never a made-up success.
 */
#define CRYPT_LOGGED "KeyId EncryptionContext EncryptionAlgorithm DryRun"
#define DATA_KEY_LOGGED "KeyId EncryptionContext KeySpec NumberOfBytes DryRun"

static const struct operation operations[] = {
	{ "CreateKey", op_create_key,
	  "Description KeyUsage KeySpec CustomerMasterKeySpec Origin MultiRegion BypassPolicyLockoutSafetyCheck",
	  true, false },
	{ "DescribeKey", op_describe_key, "KeyId", false, true },
	{ "ListKeys", op_list_keys, "Limit Marker", false, true },
	{ "EnableKey", op_enable_key, "KeyId", true, false },
	{ "DisableKey", op_disable_key, "KeyId", true, false },
	{ "ScheduleKeyDeletion", op_schedule_key_deletion,
	  "KeyId PendingWindowInDays", true, false },
	{ "CancelKeyDeletion", op_cancel_key_deletion, "KeyId", true, false },
	{ "CreateAlias", op_create_alias, "AliasName TargetKeyId", true,
	  false },
	{ "UpdateAlias", op_update_alias, "AliasName TargetKeyId", true,
	  false },
	{ "DeleteAlias", op_delete_alias, "AliasName", true, false },
	{ "ListAliases", op_list_aliases, "KeyId Limit Marker", false, true },
	{ "Encrypt", op_encrypt, CRYPT_LOGGED, false, true },
	{ "Decrypt", op_decrypt, CRYPT_LOGGED, false, true },
	{ "ReEncrypt", op_reencrypt,
	  "SourceKeyId DestinationKeyId SourceEncryptionContext DestinationEncryptionContext SourceEncryptionAlgorithm DestinationEncryptionAlgorithm DryRun",
	  false, true },
	{ "GenerateDataKey", op_generate_data_key, DATA_KEY_LOGGED, false,
	  true },
	{ "GenerateDataKeyWithoutPlaintext",
	  op_generate_data_key_without_plaintext, DATA_KEY_LOGGED, false,
	  true },
	{ "CreateGrant", op_create_grant,
	  "KeyId GranteePrincipal RetiringPrincipal Operations Constraints Name DryRun",
	  true, false },
	{ "ListGrants", op_list_grants,
	  "KeyId GrantId GranteePrincipal Limit Marker", false, true },
	{ "ListRetirableGrants", op_list_retirable_grants,
	  "RetiringPrincipal Limit Marker", false, true },
	{ "RetireGrant", op_retire_grant, "KeyId GrantId DryRun", true,
	  false },
	{ "RevokeGrant", op_revoke_grant, "KeyId GrantId DryRun", true,
	  false },
	{ "TagResource", op_tag_resource, "KeyId Tags", true, false },
	{ "UntagResource", op_untag_resource, "KeyId TagKeys", true, false },
	{ "ListResourceTags", op_list_resource_tags, "KeyId Limit Marker",
	  false, true },
	{ "UpdateKeyDescription", op_update_key_description,
	  "KeyId Description", true, false },
	{ "EnableKeyRotation", op_enable_key_rotation,
	  "KeyId RotationPeriodInDays", true, false },
	{ "DisableKeyRotation", op_disable_key_rotation, "KeyId", true,
	  false },
	{ "GetKeyRotationStatus", op_get_key_rotation_status, "KeyId", false,
	  true },
	{ "RotateKeyOnDemand", op_rotate_key_on_demand, "KeyId", true,
	  false },
	{ "ListKeyRotations", op_list_key_rotations,
	  "KeyId IncludeKeyMaterial Limit Marker", false, true },
	{ "ReplicateKey", op_replicate_key,
	  "KeyId ReplicaRegion Policy Description Tags BypassPolicyLockoutSafetyCheck",
	  true, false },
	{ "UpdatePrimaryRegion", op_update_primary_region,
	  "KeyId PrimaryRegion", true, false },
	{ "GetParametersForImport", op_get_parameters_for_import,
	  "KeyId WrappingAlgorithm WrappingKeySpec", false, true },
	{ "ImportKeyMaterial", op_import_key_material,
	  "KeyId ValidTo ExpirationModel ImportType KeyMaterialDescription KeyMaterialId",
	  true, false },
	{ "DeleteImportedKeyMaterial", op_delete_imported_key_material,
	  "KeyId KeyMaterialId", true, false },
	{ "GenerateRandom", op_generate_random, "NumberOfBytes", false,
	  true },
	{ "GetKeyPolicy", op_get_key_policy, "KeyId PolicyName", false,
	  true },
	{ "ListKeyPolicies", op_list_key_policies, "KeyId Limit Marker",
	  false, true },
	{ "PutKeyPolicy", op_put_key_policy,
	  "KeyId PolicyName Policy BypassPolicyLockoutSafetyCheck", true,
	  false },

	{ "ConnectCustomKeyStore", NULL, "", false, false },
	{ "CreateCustomKeyStore", NULL, "", false, false },
	{ "DeleteCustomKeyStore", NULL, "", false, false },
	{ "DeriveSharedSecret", NULL, "KeyId", false, true },
	{ "DescribeCustomKeyStores", NULL, "", false, true },
	{ "DisconnectCustomKeyStore", NULL, "", false, false },
	{ "GenerateDataKeyPair", NULL, "KeyId", false, true },
	{ "GenerateDataKeyPairWithoutPlaintext", NULL, "KeyId", false, true },
	{ "GenerateMac", NULL, "KeyId", false, true },
	{ "GetKeyLastUsage", NULL, "KeyId", false, true },
	{ "GetPublicKey", NULL, "KeyId", false, true },
	{ "Sign", NULL, "KeyId", false, true },
	{ "UpdateCustomKeyStore", NULL, "", false, false },
	{ "Verify", NULL, "KeyId", false, true },
	{ "VerifyMac", NULL, "KeyId", false, true },
};

const struct operation *operation_find(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
		if (strcmp(operations[i].name, name) == 0)
			return &operations[i];
	return NULL;
}

/* Nothing that the operation made may leave the server now. */
static void withdraw(struct call *c)
{
	json_decref(c->answer);
	c->answer = NULL;
	secret_free(c->plaintext);
	c->plaintext = NULL;
	call_fail(c, ERR_INTERNAL,
		  "The request was rejected because an internal exception occurred. The request can be retried.");
}

static void handle(struct call *c)
{
	int rc;

	if (c->throttled) {
		call_fail(c, ERR_THROTTLING, "Rate exceeded");
		return;
	}
	if (!c->operation) {
		call_fail(c, ERR_UNKNOWN_OPERATION, "%s", "");
		return;
	}
	if (!c->params) {
		call_fail(c, ERR_SERIALIZATION, "%s", "");
		return;
	}
	if (!c->operation->handle) {
		call_fail(c, ERR_UNSUPPORTED,
			  "This server does not offer the operation %s.",
			  c->operation->name);
		return;
	}
	/* No denial: nothing is wrong with who asks. */
	if (c->transport == TRANSPORT_LOOPBACK &&
	    !plain_allows(c->operation->name)) {
		call_fail(c, ERR_UNSUPPORTED,
			  "The answer of %s is secret, and this is plain HTTP: use TLS or a UNIX socket.",
			  c->operation->name);
		return;
	}
	rc = c->operation->handle(c);
	if (rc < 0 && c->error == ERR_NONE)
		withdraw(c);
}

void operation_run(struct call *c)
{
	struct store *store = c->server->store;
	/* Nobody who is refused anyway holds up the others. */
	bool writes = c->operation && c->operation->writes &&
		      c->operation->handle && c->params && !c->throttled;

	if (writes)
		store_read_end(store);
	if (writes && store_begin(store) < 0) {
		withdraw(c);
		writes = false;
	} else {
		if (!writes)
			store_read_begin(store);
		handle(c);
		store_read_end(store);
	}
	/* What is refused waits for the disk together with others. */
	if (writes && c->error != ERR_NONE) {
		store_rollback(store);
		writes = false;
	}
	/*
	 * Record first, commit second: a change that is not in the trail must
	 * not happen, while a recorded one that then fails is only overstated,
	 * and a second record of the same request takes it back.
	 */
	if (audit_call(c->server->audit, c) < 0)
		withdraw(c);
	if (writes && c->error != ERR_NONE) {
		store_rollback(store);
	} else if (writes && store_commit(store) < 0) {
		withdraw(c);
		audit_call(c->server->audit, c);
	}
}
