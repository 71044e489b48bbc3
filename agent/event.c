// SPDX-License-Identifier: GPL-2.0-or-later
/* Failures in the terms of EBS's events, to the journal. */
#include "event.h"

#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <systemd/sd-journal.h>

/* What the KMS said, where it denies; anything else is no event. */
static const struct {
	const char *code;
	const char *state;	/* if the code says it; else "" */
} denials[] = {
	{ "AccessDeniedException", "" },
	{ "DisabledException", "Disabled" },
	{ "KMSInvalidStateException", "" },
	{ "NotFoundException", "" },
};

static const struct {
	const char *state;
	const char *words;
} causes[] = {
	{ "Disabled", "is disabled." },
	{ "PendingImport", "is pending import." },
	{ "PendingDeletion", "is pending deletion." },
	{ "PendingReplicaDeletion", "is pending deletion." },
};

/* Is @code a denial? The state that it tells of. */
static const char *state_of(const char *code)
{
	size_t i;

	for (i = 0; i < sizeof(denials) / sizeof(denials[0]); i++)
		if (strcmp(code, denials[i].code) == 0)
			return denials[i].state;
	return NULL;
}

static void print_cause(const struct kms_key_info *info, char *ret,
			size_t bytes)
{
	size_t i;

	for (i = 0; i < sizeof(causes) / sizeof(causes[0]); i++) {
		if (strcmp(info->state, causes[i].state) != 0)
			continue;
		snprintf(ret, bytes, "%s %s", info->arn, causes[i].words);
		return;
	}
	/* EBS's sentence of a volume that cannot be attached. */
	snprintf(ret, bytes, "The encrypted volume was unable to access the KMS key.");
}

void event_refused(struct kms *kms, const char *event, const char *volume_id,
		   const char *key)
{
	const char *state = state_of(kms_last_error(kms));
	char cause[ARN_TEXT_BYTES + 64];
	struct kms_key_info info = { 0 };

	if (!state)
		return;
	if (kms_describe_if_allowed(kms, key, &info) < 0) {
		snprintf(info.arn, sizeof(info.arn), "%s",
			 key ? key : "default-key");
		snprintf(info.state, sizeof(info.state), "%s", state);
	}
	print_cause(&info, cause, sizeof(cause));
	/* Without a journal it was on standard error, at least. */
	(void)sd_journal_send("MESSAGE=%s of %s failed: %s", event, volume_id,
			      cause, "PRIORITY=%d", LOG_ERR,
			      "SYSLOG_IDENTIFIER=envelope",
			      "ENVELOPE_EVENT=%s", event,
			      "ENVELOPE_RESULT=failed",
			      "ENVELOPE_CAUSE=%s", cause,
			      "ENVELOPE_VOLUME_ID=%s", volume_id,
			      "ENVELOPE_KEY_ID=%s", info.arn, NULL);
}
