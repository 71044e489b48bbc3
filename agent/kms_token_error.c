// SPDX-License-Identifier: GPL-2.0-or-later
/* What PKCS#11 return values mean: -errno as in kms.h, and a sentence. */
#include <errno.h>
#include <stdio.h>

#include "kms_token.h"
#include "log.h"

#define PLUG_IN "see that the token is there and that its module finds it"
#define OTHER_KEY "check that the header belongs to this volume and the key is the right one"

/*
 * PKCS #11 2.40, section 5.1. What says "not now" must not read as a denial: a
 * lease locks by the difference.
 */
static const struct meaning {
	CK_RV rv;
	const char *name;
	int error;
	const char *cause;
	const char *advice;
} meanings[] = {
	{ CKR_HOST_MEMORY, "CKR_HOST_MEMORY", -ENOMEM,
	  "memory is short on this host", "free some" },
	{ CKR_PIN_INCORRECT, "CKR_PIN_INCORRECT", -EACCES,
	  "the PIN is wrong and was not tried again",
	  "correct the pin-file before the token locks" },
	{ CKR_PIN_INVALID, "CKR_PIN_INVALID", -EACCES,
	  "the PIN has characters the token does not take",
	  "correct the pin-file" },
	{ CKR_PIN_LEN_RANGE, "CKR_PIN_LEN_RANGE", -EACCES,
	  "the PIN is too short or too long", "correct the pin-file" },
	{ CKR_PIN_EXPIRED, "CKR_PIN_EXPIRED", -EACCES,
	  "the PIN has expired", "set a new one with the token's own tools" },
	{ CKR_PIN_LOCKED, "CKR_PIN_LOCKED", -EACCES, "the PIN is locked",
	  "unlock it as the token's security officer" },
	{ CKR_USER_PIN_NOT_INITIALIZED, "CKR_USER_PIN_NOT_INITIALIZED",
	  -EACCES, "the token has no user PIN yet",
	  "set one with the token's own tools" },
	{ CKR_USER_NOT_LOGGED_IN, "CKR_USER_NOT_LOGGED_IN", -EACCES,
	  "the key wants the PIN", "set pin-file" },
	{ CKR_KEY_FUNCTION_NOT_PERMITTED, "CKR_KEY_FUNCTION_NOT_PERMITTED",
	  -EACCES, "the key may not be used so",
	  "use a key with the attributes for wrapping and unwrapping" },
	{ CKR_KEY_TYPE_INCONSISTENT, "CKR_KEY_TYPE_INCONSISTENT", -EACCES,
	  "the key is of another kind", OTHER_KEY },
	{ CKR_WRAPPED_KEY_INVALID, "CKR_WRAPPED_KEY_INVALID", -EACCES,
	  "the wrapped key is another key's or was changed", OTHER_KEY },
	{ CKR_WRAPPED_KEY_LEN_RANGE, "CKR_WRAPPED_KEY_LEN_RANGE", -EACCES,
	  "the wrapped key is another key's or was changed", OTHER_KEY },
	{ CKR_ENCRYPTED_DATA_INVALID, "CKR_ENCRYPTED_DATA_INVALID", -EACCES,
	  "the wrapped key is another key's or was changed", OTHER_KEY },
	{ CKR_ENCRYPTED_DATA_LEN_RANGE, "CKR_ENCRYPTED_DATA_LEN_RANGE",
	  -EACCES, "the wrapped key is another key's or was changed",
	  OTHER_KEY },
	{ CKR_TOKEN_NOT_PRESENT, "CKR_TOKEN_NOT_PRESENT", -EHOSTUNREACH,
	  "the token is not there", PLUG_IN },
	{ CKR_TOKEN_NOT_RECOGNIZED, "CKR_TOKEN_NOT_RECOGNIZED", -EHOSTUNREACH,
	  "the token cannot be read", PLUG_IN },
	{ CKR_DEVICE_REMOVED, "CKR_DEVICE_REMOVED", -EHOSTUNREACH,
	  "the token was taken away", PLUG_IN },
	{ CKR_SESSION_HANDLE_INVALID, "CKR_SESSION_HANDLE_INVALID",
	  -EHOSTUNREACH, "the token was taken away or reset", PLUG_IN },
	{ CKR_DEVICE_ERROR, "CKR_DEVICE_ERROR", -EHOSTUNREACH,
	  "the token has a fault", PLUG_IN },
	{ CKR_DEVICE_MEMORY, "CKR_DEVICE_MEMORY", -EHOSTUNREACH,
	  "the token's memory is full", "make room in it" },
	{ CKR_SESSION_COUNT, "CKR_SESSION_COUNT", -EHOSTUNREACH,
	  "the token has no session left", "try again later" },
	{ CKR_MECHANISM_INVALID, "CKR_MECHANISM_INVALID", -ENOTSUP,
	  "the token does not do that", "use a key of another kind" },
	{ CKR_MECHANISM_PARAM_INVALID, "CKR_MECHANISM_PARAM_INVALID",
	  -ENOTSUP, "the token does not do that so",
	  "use a key of another kind" },
	{ CKR_FUNCTION_NOT_SUPPORTED, "CKR_FUNCTION_NOT_SUPPORTED", -ENOTSUP,
	  "the token does not do that", "use another token" },
	{ CKR_KEY_UNEXTRACTABLE, "CKR_KEY_UNEXTRACTABLE", -ENOTSUP,
	  "the token does not let out what it unwraps", "use another token" },
	{ CKR_ATTRIBUTE_SENSITIVE, "CKR_ATTRIBUTE_SENSITIVE", -ENOTSUP,
	  "the token does not let out what it unwraps", "use another token" },
};

static const struct meaning unknown = {
	0, NULL, -EHOSTUNREACH, "the token or its module has a fault",
	"look the code up in the module's log or manual",
};

int token_fail(struct kms_call *call, CK_RV rv)
{
	const struct meaning *m = &unknown;
	char code[KMS_ERROR_BYTES];
	size_t i;

	for (i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
		if (meanings[i].rv == rv)
			m = &meanings[i];
	if (m->name)
		snprintf(code, sizeof(code), "%s", m->name);
	else
		snprintf(code, sizeof(code), "CKR_0x%08lX", rv);
	snprintf(call->error, sizeof(call->error), "%s", code);
	log_error("key '%s': %s refuses %s: %s (%s); %s", call->key,
		  call->where, call->operation, m->cause, code, m->advice);
	return m->error;
}

int token_refuse(struct kms_call *call, int error, const char *type,
		 const char *what)
{
	snprintf(call->error, sizeof(call->error), "%s", type);
	log_error("key '%s': %s: %s", call->key, call->where, what);
	return error;
}
