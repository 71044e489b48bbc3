// SPDX-License-Identifier: GPL-2.0-or-later
/* What the KMS's answers mean to a lease. */
#include "kms_check.h"

#include <errno.h>
#include <string.h>

#include "log.h"

#define INVALID_STATE "KMSInvalidStateException"

/*
 * All that is not silence. Denied is a closed list, since it takes a volume in
 * use away from its user: faults of this host's own credentials, clock or
 * configuration are not on it, and neither is an unknown code with status 403.
 */
static const struct {
	const char *code;
	enum lease_answer answer;
} verdicts[] = {
	{ "AccessDeniedException", LEASE_DENIED },
	{ "DisabledException", LEASE_DENIED },
	{ "NotFoundException", LEASE_DENIED },
	{ "InvalidGrantTokenException", LEASE_TOKEN_REFUSED },
	{ "IncorrectKeyException", LEASE_ALARM },
	{ "InvalidCiphertextException", LEASE_ALARM },
	{ "WrongKeyId", LEASE_ALARM },
};

/* States of the KMS API reference that are no "Enabled" for a while. */
static const struct {
	const char *state;
	enum lease_answer answer;
} states[] = {
	{ "Enabled", LEASE_GRANTED },
	{ "Updating", LEASE_GRANTED },
	{ "Disabled", LEASE_DENIED },
	{ "PendingDeletion", LEASE_DENIED },
	{ "PendingReplicaDeletion", LEASE_DENIED },
	{ "PendingImport", LEASE_DENIED },
};

enum lease_answer kms_check_verdict(int r, const char *code)
{
	size_t i;

	if (r == 0)
		return LEASE_GRANTED;
	/* Pending deletion or import, by the KMS's own words. */
	if (strcmp(code, INVALID_STATE) == 0 && r == -EACCES)
		return LEASE_DENIED;
	for (i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++)
		if (strcmp(code, verdicts[i].code) == 0)
			return verdicts[i].answer;
	return LEASE_UNREACHABLE;
}

enum lease_answer kms_check_state(const char *state)
{
	size_t i;

	for (i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (strcmp(state, states[i].state) == 0)
			return states[i].answer;
	return LEASE_UNREACHABLE;
}

/* @known: what Decrypt said. */
static enum lease_answer ask_state(struct kms *kms, const char *key_arn,
				   enum lease_answer known)
{
	struct kms_key_info info;
	enum lease_answer answer;
	int r = kms_describe_if_allowed(kms, key_arn, &info);

	if (r == 0) {
		answer = kms_check_state(info.state);
		if (answer != LEASE_GRANTED)
			log_error("key '%s': the KMS says that its state is '%s'",
				  key_arn, info.state);
		return answer;
	}
	answer = kms_check_verdict(r, kms_last_error(kms));
	/* The right to unwrap includes no right to look. */
	return strcmp(kms_last_error(kms), "AccessDeniedException") == 0 ?
	       known : answer;
}

enum lease_answer kms_check(struct kms *kms, const char *key_arn,
			    const json_t *context, const uint8_t *wrapped,
			    size_t wrapped_bytes)
{
	enum lease_answer answer;
	const char *code;
	int r;

	r = kms_try_decrypt(kms, key_arn, context, wrapped, wrapped_bytes);
	code = kms_last_error(kms);
	answer = kms_check_verdict(r, code);
	if (answer == LEASE_GRANTED ||
	    (answer == LEASE_UNREACHABLE && strcmp(code, INVALID_STATE) == 0))
		answer = ask_state(kms, key_arn, answer);
	return answer;
}
