// SPDX-License-Identifier: GPL-2.0-or-later
/* Error names and their HTTP status, as AWS sends them. */
#include "errors.h"

/*
 * KMS answers 400 to every mistake of the client, whatever status the models
 * of the SDKs name; only its own failures are 5xx, which clients retry.
 */
static const struct {
	const char *code;
	unsigned int status;
} errors[] = {
	[ERR_NONE] = { "", 200 },
	[ERR_ACCESS_DENIED] = { "AccessDeniedException", 400 },
	[ERR_EXPIRED_TOKEN] = { "ExpiredTokenException", 400 },
	[ERR_INCOMPLETE_SIGNATURE] = { "IncompleteSignature", 400 },
	[ERR_INVALID_SIGNATURE] = { "InvalidSignatureException", 400 },
	[ERR_MISSING_AUTHENTICATION] = { "MissingAuthenticationToken", 400 },
	[ERR_REQUEST_TOO_LARGE] = { "RequestEntityTooLargeException", 413 },
	[ERR_SERIALIZATION] = { "SerializationException", 400 },
	[ERR_THROTTLING] = { "ThrottlingException", 400 },
	[ERR_UNKNOWN_OPERATION] = { "UnknownOperationException", 400 },
	[ERR_UNRECOGNIZED_CLIENT] = { "UnrecognizedClientException", 400 },
	[ERR_VALIDATION] = { "ValidationException", 400 },
	[ERR_ALREADY_EXISTS] = { "AlreadyExistsException", 400 },
	[ERR_CONFLICT] = { "ConflictException", 400 },
	[ERR_DISABLED] = { "DisabledException", 400 },
	[ERR_DRY_RUN] = { "DryRunOperationException", 400 },
	[ERR_EXPIRED_IMPORT_TOKEN] = { "ExpiredImportTokenException", 400 },
	[ERR_INCORRECT_KEY] = { "IncorrectKeyException", 400 },
	[ERR_INCORRECT_KEY_MATERIAL] = { "IncorrectKeyMaterialException", 400 },
	[ERR_INTERNAL] = { "KMSInternalException", 500 },
	[ERR_INVALID_ALIAS_NAME] = { "InvalidAliasNameException", 400 },
	[ERR_INVALID_ARN] = { "InvalidArnException", 400 },
	[ERR_INVALID_CIPHERTEXT] = { "InvalidCiphertextException", 400 },
	[ERR_INVALID_GRANT_ID] = { "InvalidGrantIdException", 400 },
	[ERR_INVALID_GRANT_TOKEN] = { "InvalidGrantTokenException", 400 },
	[ERR_INVALID_IMPORT_TOKEN] = { "InvalidImportTokenException", 400 },
	[ERR_INVALID_KEY_USAGE] = { "InvalidKeyUsageException", 400 },
	[ERR_INVALID_MARKER] = { "InvalidMarkerException", 400 },
	[ERR_INVALID_STATE] = { "KMSInvalidStateException", 400 },
	[ERR_LIMIT_EXCEEDED] = { "LimitExceededException", 400 },
	[ERR_MALFORMED_POLICY] = { "MalformedPolicyDocumentException",
				   400 },
	[ERR_NOT_FOUND] = { "NotFoundException", 400 },
	[ERR_TAG] = { "TagException", 400 },
	[ERR_UNSUPPORTED] = { "UnsupportedOperationException", 400 },
};

const char *error_code(enum error e)
{
	return errors[e].code;
}

unsigned int error_http_status(enum error e)
{
	return errors[e].status;
}
