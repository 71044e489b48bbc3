// SPDX-License-Identifier: GPL-2.0-or-later
/* Audit records in CloudTrail's shape, durable line by line. */
#include "audit.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "audit_journal.h"
#include "audit_log.h"
#include "audit_text.h"
#include "call.h"
#include "files.h"
#include "key_policy.h"
#include "log.h"
#include "process.h"
#include "utf8.h"

#define ERROR_MESSAGE_BYTES 1024 /* as CloudTrail cuts them */
#define USER_AGENT_BYTES 1024
#define PARAMETER_CHARS 8192

struct audit {
	struct audit_log *log;
	struct audit_digest *digest; /* NULL: not started */
	struct audit_journal *journal; /* NULL: no copies to it */
};

int audit_open(const char *dir, struct audit **ret)
{
	struct audit *a = calloc(1, sizeof(*a));
	char *folder = file_path(dir, FILE_AUDIT_DIR);
	int rc = -ENOMEM;

	if (a && folder)
		rc = audit_log_open(folder, FILE_AUDIT_LOG, &a->log);
	if (rc == 0)
		*ret = a;
	else
		free(a);
	free(folder);
	return rc;
}

int audit_start_digests(struct audit *a, const struct audit_digest_options *o)
{
	return audit_digest_start(a->log, o, &a->digest);
}

int audit_forward(struct audit *a)
{
	return audit_journal_open(&a->journal);
}

void audit_close(struct audit *a)
{
	if (!a)
		return;
	audit_digest_stop(a->digest);
	audit_journal_close(a->journal);
	audit_log_close(a->log);
	free(a);
}

static int write_record(struct audit *a, struct audit_text *record)
{
	int rc = audit_text_end(record);

	if (rc == 0)
		rc = audit_log_append(a->log, record->data, record->used);
	if (rc == 0 && a->journal)
		audit_journal_send(a->journal, record->data, record->used);
	audit_text_free(record);
	return rc;
}

/* Printable ASCII, so that a client cannot break the line or the terminal. */
static void add_user_agent(struct audit_text *record, const char *text)
{
	char copy[USER_AGENT_BYTES];
	size_t i;

	for (i = 0; text && i < sizeof(copy) - 1 && text[i]; i++)
		copy[i] = text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?';
	copy[i] = '\0';
	audit_text_string(record, "userAgent", copy);
}

static void add_time(struct audit_text *record)
{
	static _Thread_local char text[32];
	static _Thread_local time_t told; /* 0: nothing yet */
	time_t now = (time_t)(server_now_ms() / 1000);
	struct tm tm;

	/* Once a second: gmtime_r() takes a lock that all threads share. */
	if (now != told) {
		gmtime_r(&now, &tm);
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
		told = now;
	}
	audit_text_string(record, "eventTime", text);
}

static void add_session(struct audit_text *record, const struct identity *who)
{
	time_t issued = (time_t)(who->issued_ms / 1000);
	char text[32];
	struct tm tm;

	gmtime_r(&issued, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	audit_text_open(record, "sessionContext");
	audit_text_open(record, "sessionIssuer");
	audit_text_string(record, "type", "Role");
	audit_text_string(record, "principalId", who->role_id);
	audit_text_string(record, "arn", who->role_arn);
	audit_text_string(record, "accountId", who->user.account);
	audit_text_string(record, "userName", who->user.name);
	audit_text_close(record);
	audit_text_open(record, "attributes");
	audit_text_string(record, "creationDate", text);
	audit_text_string(record, "mfaAuthenticated", "false");
	audit_text_close(record);
	audit_text_close(record);
}

static void add_identity(struct audit_text *record, const struct identity *who)
{
	bool session = who->role_arn[0];

	audit_text_open(record, "userIdentity");
	audit_text_string(record, "type", session ? "AssumedRole" : "IAMUser");
	audit_text_string(record, "principalId", who->user.user_id);
	audit_text_string(record, "arn", who->user.arn);
	audit_text_string(record, "accountId", who->user.account);
	audit_text_string(record, "accessKeyId", who->access_key_id);
	if (session)
		add_session(record, who);
	else
		audit_text_string(record, "userName", who->user.name);
	audit_text_close(record);
}

static json_t *shown(json_t *value);

static void lower_first(char *name)
{
	name[0] = (char)tolower((unsigned char)name[0]);
}

/* A structure of the API: its member names as the trail spells them. */
static json_t *shown_structure(json_t *value)
{
	json_t *out = json_object();
	char name[64];
	const char *key;
	json_t *member;

	json_object_foreach(value, key, member) {
		/* members of the API begin so; others would hide them */
		json_t *copy = isupper((unsigned char)key[0]) ?
			       shown(member) : NULL;

		snprintf(name, sizeof(name), "%s", key);
		lower_first(name);
		if (copy)
			json_object_set_new(out, name, copy);
	}
	return out;
}

static json_t *shown_list(json_t *list)
{
	json_t *out = json_array();
	json_t *value, *copy;
	size_t i;

	json_array_foreach(list, i, value) {
		copy = json_is_object(value) ? shown_structure(value) :
					       shown(value);
		if (copy)
			json_array_append_new(out, copy);
	}
	return out;
}

/*
 * What may be shown of a parameter; NULL: nothing. An object of texts is a
 * map, whose names are the client's own.
 */
static json_t *shown(json_t *value)
{
	const char *key;
	json_t *member;

	if (json_is_number(value) || json_is_boolean(value))
		return json_incref(value);
	if (json_is_string(value) &&
	    json_string_length(value) <= PARAMETER_CHARS)
		return json_incref(value);
	if (json_is_array(value))
		return shown_list(value);
	if (!json_is_object(value))
		return NULL;
	json_object_foreach(value, key, member)
		if (!json_is_string(member))
			return shown_structure(value);
	return json_incref(value);
}

/*
 * A policy that was taken is told in whole, however long: restore needs it.
 * With all else that one request can say it stays below CloudTrail's 100 KB.
 */
static json_t *shown_parameter(const struct call *c, const char *name)
{
	json_t *value = json_object_get(c->params, name);

	if (strcmp(name, "Policy") == 0 && json_is_string(value) &&
	    json_string_length(value) <= KEY_POLICY_MAX_BYTES)
		return json_incref(value);
	return shown(value);
}

/*
 * Only the parameters that the operation names for the trail: a plaintext
 * cannot get in by being forgotten on a list of exceptions.
 */
static json_t *request_parameters(const struct call *c)
{
	const char *p = c->operation && c->operation->logged ?
			c->operation->logged : "";
	json_t *out = json_object();
	char name[64];

	while (out && *p) {
		size_t n = strcspn(p, " ");
		json_t *value;

		name[0] = '\0';
		strncat(name, p, n < sizeof(name) ? n : sizeof(name) - 1);
		p += n + (p[n] == ' ');
		value = shown_parameter(c, name);
		if (!value)
			continue;
		lower_first(name);
		json_object_set_new(out, name, value);
	}
	if (json_object_size(out) == 0) {
		json_decref(out);
		return json_null();
	}
	return out;
}

static json_t *or_null(json_t *value)
{
	return value ? json_incref(value) : json_null();
}

static void add_error(struct audit_text *record, const struct call *c)
{
	char text[ERROR_MESSAGE_BYTES + 1];

	audit_text_string(record, "errorCode", error_code(c->error));
	if (!c->message[0])
		return;
	snprintf(text, sizeof(text), "%.*s", ERROR_MESSAGE_BYTES, c->message);
	utf8_mend(text);
	audit_text_string(record, "errorMessage", text);
}

static void add_tail(struct audit_text *record, const char *event_type,
		     const char *account)
{
	audit_text_string(record, "eventType", event_type);
	audit_text_raw(record, "managementEvent", "true");
	audit_text_string(record, "recipientAccountId", account);
	audit_text_string(record, "eventCategory", "Management");
}

static void add_version(struct audit_text *record)
{
	audit_text_string(record, "eventVersion", "1.08");
}

/* @source NULL: KMS. */
static void add_event(struct audit_text *record, const char *source,
		      const char *name, const char *region)
{
	add_time(record);
	audit_text_string(record, "eventSource",
			  source ? source : "kms.amazonaws.com");
	audit_text_string(record, "eventName", name);
	audit_text_string(record, "awsRegion", region);
}

int audit_call(struct audit *a, const struct call *c)
{
	char event_id[CRYPTO_UUID_BYTES];
	bool read_only = c->operation && c->operation->read_only;
	struct audit_text record = { NULL };
	int rc;

	rc = crypto_uuid(event_id);
	if (rc < 0)
		return rc;
	add_version(&record);
	add_identity(&record, &c->who);
	add_event(&record, c->source, c->target, c->who.region);
	audit_text_string(&record, "sourceIPAddress", c->source_address);
	add_user_agent(&record, c->user_agent);
	if (c->error != ERR_NONE)
		add_error(&record, c);
	audit_text_json(&record, "requestParameters",
			    request_parameters(c));
	audit_text_json(&record, "responseElements",
			    c->error == ERR_NONE ?
			    or_null(c->response_elements) : json_null());
	audit_text_string(&record, "requestID", c->request_id);
	audit_text_string(&record, "eventID", event_id);
	audit_text_raw(&record, "readOnly", read_only ? "true" : "false");
	if (c->additional)
		audit_text_json(&record, "additionalEventData",
				json_incref(c->additional));
	if (c->resources)
		audit_text_json(&record, "resources",
				json_incref(c->resources));
	add_tail(&record, "AwsApiCall", c->who.user.account);
	return write_record(a, &record);
}

int audit_service_event(struct audit *a, const char *name,
			const struct key_row *key)
{
	char event_id[CRYPTO_UUID_BYTES], arn[CALL_ARN_BYTES];
	struct audit_text record = { NULL };
	json_t *who;
	int rc;

	rc = crypto_uuid(event_id);
	if (rc < 0)
		return rc;
	call_key_arn(key, arn);
	who = json_pack("{s:s, s:s}", "accountId", key->account, "invokedBy",
			"AWS Internal");
	add_version(&record);
	audit_text_json(&record, "userIdentity", who);
	add_event(&record, NULL, name, key->region);
	audit_text_string(&record, "sourceIPAddress", "AWS Internal");
	audit_text_string(&record, "userAgent", "AWS Internal");
	audit_text_raw(&record, "requestParameters", "null");
	audit_text_raw(&record, "responseElements", "null");
	audit_text_string(&record, "eventID", event_id);
	audit_text_raw(&record, "readOnly", "false");
	audit_text_json(&record, "resources",
			    json_pack("[{s:s, s:s, s:s}]", "accountId",
				      key->account, "type", "AWS::KMS::Key",
				      "ARN", arn));
	audit_text_json(&record, "serviceEventDetails",
			    json_pack("{s:s}", "keyId", key->key_id));
	/* CloudTrail counts this one as a call. */
	add_tail(&record, strcmp(name, "SynchronizeMultiRegionKey") == 0 ?
		 "AwsApiCall" : "AwsServiceEvent", key->account);
	return write_record(a, &record);
}

/* {uid, loginUid}: who logged in, whoever he became by sudo. */
static json_t *invoking_user(void)
{
	FILE *in = fopen("/proc/self/loginuid", "re");
	unsigned int login = UINT_MAX;

	if (in) {
		if (fscanf(in, "%u", &login) != 1)
			login = UINT_MAX;
		fclose(in);
	}
	if (login == UINT_MAX)
		return json_pack("{s:I}", "uid", (json_int_t)getuid());
	return json_pack("{s:I, s:I}", "uid", (json_int_t)getuid(),
			 "loginUid", (json_int_t)login);
}

/* Nobody whom the server knows: who may write its directory. */
static json_t *local_identity(const char *account)
{
	const struct passwd *user = getpwuid(getuid());
	char id[32];

	snprintf(id, sizeof(id), "uid:%u", (unsigned int)getuid());
	return json_pack("{s:s, s:s, s:s, s:s}", "type", "Unknown",
			 "principalId", id, "accountId", account, "userName",
			 user ? user->pw_name : id);
}

int audit_change(struct audit *a, struct audit_change *change)
{
	char event_id[CRYPTO_UUID_BYTES];
	struct audit_text record = { NULL };
	int rc = crypto_uuid(event_id);

	if (rc == 0 && !change->request_id[0])
		rc = crypto_uuid(change->request_id);
	if (rc < 0)
		return rc;
	add_version(&record);
	audit_text_json(&record, "userIdentity",
			local_identity(change->account));
	add_event(&record, change->source ? change->source :
		  "iam.amazonaws.com", change->name, change->region);
	audit_text_string(&record, "sourceIPAddress", "localhost");
	audit_text_string(&record, "userAgent", "envelope-kms identity");
	if (change->failed)
		audit_text_string(&record, "errorCode", "ServiceFailure");
	audit_text_json(&record, "requestParameters",
			json_incref(change->parameters));
	audit_text_json(&record, "responseElements",
			or_null(change->response));
	audit_text_string(&record, "requestID", change->request_id);
	audit_text_string(&record, "eventID", event_id);
	audit_text_raw(&record, "readOnly", "false");
	audit_text_json(&record, "additionalEventData", invoking_user());
	add_tail(&record, "AwsApiCall", change->account);
	return write_record(a, &record);
}
