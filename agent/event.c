// SPDX-License-Identifier: GPL-2.0-or-later
/* What happens to volumes, in the terms of EBS's events, to the journal. */
#include "event.h"

#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <syslog.h>
#include <systemd/sd-journal.h>

#include "log.h"

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

bool event_is_denial(const char *code)
{
	return state_of(code) != NULL;
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

#define MAX_FIELDS 9
#define FIELD_BYTES (2 * EVENT_CAUSE_BYTES)

struct fields {
	char text[MAX_FIELDS][FIELD_BYTES];
	struct iovec at[MAX_FIELDS];
	int count;
};

static void add_field(struct fields *f, const char *name, const char *value)
{
	char *text = f->text[f->count];
	int bytes;

	if (!value || !value[0])
		return;
	bytes = snprintf(text, FIELD_BYTES, "%s=%s", name, value);
	f->at[f->count++] = (struct iovec){
		text, bytes < FIELD_BYTES ? bytes : FIELD_BYTES - 1
	};
}

void event_to_journal(const struct event *e)
{
	const char *result = e->failed ? "failed" : "succeeded";
	int priority = e->routine ? LOG_DEBUG : e->failed ? LOG_ERR :
		       LOG_NOTICE;
	struct fields f = { .count = 0 };
	char message[FIELD_BYTES];
	char number[2] = { '0' + priority, '\0' };

	snprintf(message, sizeof(message), "%s of %s %s%s%s", e->name,
		 e->volume_id, result, e->cause ? ": " : "",
		 e->cause ? e->cause : "");
	add_field(&f, "MESSAGE", message);
	add_field(&f, "PRIORITY", number);
	add_field(&f, "SYSLOG_IDENTIFIER", "envelope");
	add_field(&f, "ENVELOPE_EVENT", e->name);
	add_field(&f, "ENVELOPE_RESULT", result);
	add_field(&f, "ENVELOPE_CAUSE", e->cause);
	add_field(&f, "ENVELOPE_VOLUME_ID", e->volume_id);
	add_field(&f, "ENVELOPE_KEY_ID", e->key_id);
	add_field(&f, "ENVELOPE_NAME", e->device);
	/* Without a journal it was on standard error, at least. */
	(void)sd_journal_sendv(f.at, f.count);
}

static void (*event_sink)(const struct event *e) = event_to_journal;

void event_set_sink(void (*sink)(const struct event *e))
{
	event_sink = sink ? sink : event_to_journal;
}

void event_refused(struct kms *kms, const char *event, const char *volume_id,
		   const char *key)
{
	const char *state = state_of(kms_last_error(kms));
	char cause[EVENT_CAUSE_BYTES];
	struct kms_key_info info = { 0 };
	int r;

	if (!state)
		return;
	/* The refusal was said; that its cause stays unknown is no second one. */
	log_mute(true);
	r = kms_describe_key(kms, key, &info);
	log_mute(false);
	if (r < 0) {
		snprintf(info.arn, sizeof(info.arn), "%s",
			 key ? key : "default-key");
		snprintf(info.state, sizeof(info.state), "%s", state);
	}
	print_cause(&info, cause, sizeof(cause));
	event_sink(&(struct event){
		.name = event, .failed = true, .cause = cause,
		.volume_id = volume_id, .key_id = info.arn,
	});
}

void event_recovered(const char *volume_id, const char *key_id)
{
	(void)sd_journal_send("MESSAGE=%s of %s by %s", EVENT_RECOVER,
			      volume_id, key_id, "PRIORITY=%d", LOG_NOTICE,
			      "SYSLOG_IDENTIFIER=envelope",
			      "ENVELOPE_EVENT=%s", EVENT_RECOVER,
			      "ENVELOPE_RESULT=succeeded",
			      "ENVELOPE_VOLUME_ID=%s", volume_id,
			      "ENVELOPE_KEY_ID=%s", key_id, NULL);
}
