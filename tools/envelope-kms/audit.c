// SPDX-License-Identifier: GPL-2.0-or-later
/* Audit records in CloudTrail's shape, durable line by line. */
#include "audit.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "call.h"
#include "files.h"
#include "log.h"
#include "process.h"
#include "utf8.h"

#define ERROR_MESSAGE_BYTES 1024 /* as CloudTrail cuts them */
#define USER_AGENT_BYTES 1024
#define PARAMETER_CHARS 8192

struct audit {
	char *folder;
	char *path;           /* in the folder */
	int fd;               /* append only; negative: not open */
	pthread_mutex_t lock; /* the file: one whole record at a time */
};

/* A new trail's name lasts from here on, as each record in it will. */
static int open_file(const struct audit *a)
{
	int fd = open(a->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC,
		      0600);
	int rc = fd < 0 ? -errno : dir_sync(a->folder);

	if (rc == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return rc;
}

int audit_open(const char *dir, struct audit **ret)
{
	struct audit *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->fd = -1;
	a->folder = file_path(dir, FILE_AUDIT_DIR);
	a->path = file_path(dir, FILE_AUDIT);
	if (!a->folder || !a->path) {
		audit_close(a);
		return -ENOMEM;
	}
	pthread_mutex_init(&a->lock, NULL);
	a->fd = open_file(a);
	if (a->fd < 0)
		log_warn("%s: cannot open the audit trail, refusing all calls until that is mended: %s",
			 a->path, strerror(-a->fd));
	*ret = a;
	return 0;
}

void audit_close(struct audit *a)
{
	if (!a)
		return;
	if (a->fd >= 0)
		close(a->fd);
	free(a->folder);
	free(a->path);
	free(a);
}

static int write_all(int fd, const char *data, size_t bytes)
{
	while (bytes) {
		ssize_t n = write(fd, data, bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		bytes -= (size_t)n;
	}
	return 0;
}

/*
 * A trail that was removed while it is open would take records that nobody
 * can ever read: they go to a new one.
 */
static int find_file(struct audit *a, struct stat *ret)
{
	if (a->fd >= 0 && fstat(a->fd, ret) == 0 && ret->st_nlink > 0)
		return 0;
	if (a->fd >= 0) {
		log_warn("%s: the audit trail was removed, beginning another",
			 a->path);
		close(a->fd);
	}
	a->fd = open_file(a);
	if (a->fd < 0)
		return a->fd;
	return fstat(a->fd, ret) < 0 ? -errno : 0;
}

/*
 * A record that did not become durable is taken back, so that a full disk
 * leaves no torn line in front of the next record.
 */
static int append_durably(struct audit *a, const char *line, size_t bytes)
{
	struct stat st;
	int rc = find_file(a, &st);

	if (rc < 0)
		return rc;
	rc = write_all(a->fd, line, bytes);
	if (rc == 0 && fdatasync(a->fd) < 0)
		rc = -errno;
	if (rc < 0 && S_ISREG(st.st_mode) &&
	    ftruncate(a->fd, st.st_size) < 0)
		log_error("%s: cannot take back a torn record: %s", a->path,
			  strerror(errno));
	return rc;
}

static int append_line(struct audit *a, const char *line, size_t bytes)
{
	int rc;

	pthread_mutex_lock(&a->lock);
	rc = append_durably(a, line, bytes);
	pthread_mutex_unlock(&a->lock);
	if (rc < 0)
		log_error("%s: cannot write the audit trail, refusing the call: %s",
			  a->path, strerror(-rc));
	return rc;
}

static int write_record(struct audit *a, json_t *record)
{
	char *line = record ? json_dumps(record, JSON_COMPACT) : NULL;
	size_t bytes = line ? strlen(line) : 0;
	int rc = -ENOMEM;

	/* The NUL becomes the end of the line. */
	if (line) {
		line[bytes] = '\n';
		rc = append_line(a, line, bytes + 1);
	}
	wiping_free(line);
	json_decref(record);
	return rc;
}

/* Printable ASCII, so that a client cannot break the line or the terminal. */
static json_t *plain_text(const char *text, size_t max)
{
	char copy[USER_AGENT_BYTES];
	size_t i;

	for (i = 0; i < max - 1 && text[i]; i++)
		copy[i] = text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?';
	copy[i] = '\0';
	return json_string(copy);
}

static json_t *utc_time(void)
{
	time_t now = (time_t)(server_now_ms() / 1000);
	char text[32];
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_string(text);
}

static json_t *user_identity(const struct call *c)
{
	const struct user_row *user = &c->who.user;

	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}",
			 "type", "IAMUser", "principalId", user->user_id,
			 "arn", user->arn, "accountId", user->account,
			 "accessKeyId", c->who.access_key_id, "userName",
			 user->name);
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
		json_t *copy = shown(member);

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

	if (json_is_integer(value) || json_is_boolean(value))
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
 * Only the parameters that the operation names for the trail: a plaintext
 * cannot get in by being forgotten on a list of exceptions.
 */
static json_t *request_parameters(const struct call *c)
{
	const char *p = c->operation && c->operation->logged ?
			c->operation->logged : "";
	json_t *out = json_object();
	char name[64];
	int n;

	while (out && sscanf(p, " %63s%n", name, &n) == 1) {
		json_t *value = shown(json_object_get(c->params, name));

		p += n;
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

static void add_error(json_t *record, const struct call *c)
{
	char text[ERROR_MESSAGE_BYTES + 1];

	json_object_set_new(record, "errorCode",
			    json_string(error_code(c->error)));
	if (!c->message[0])
		return;
	snprintf(text, sizeof(text), "%.*s", ERROR_MESSAGE_BYTES, c->message);
	utf8_mend(text);
	json_object_set_new(record, "errorMessage", json_string(text));
}

static void add_tail(json_t *record, const char *event_type,
		     const char *account)
{
	json_object_set_new(record, "eventType", json_string(event_type));
	json_object_set_new(record, "managementEvent", json_true());
	json_object_set_new(record, "recipientAccountId",
			    json_string(account));
	json_object_set_new(record, "eventCategory",
			    json_string("Management"));
}

static json_t *new_record(json_t *identity, const char *name,
			  const char *region)
{
	return json_pack("{s:s, s:o, s:o, s:s, s:s, s:s}",
			 "eventVersion", "1.08", "userIdentity", identity,
			 "eventTime", utc_time(), "eventSource",
			 "kms.amazonaws.com", "eventName", name, "awsRegion",
			 region);
}

int audit_call(struct audit *a, const struct call *c)
{
	char event_id[CRYPTO_UUID_BYTES];
	bool read_only = c->operation && c->operation->read_only;
	json_t *record;
	int rc;

	rc = crypto_uuid(event_id);
	if (rc < 0)
		return rc;
	record = new_record(user_identity(c), c->target, c->who.region);
	if (!record)
		return -ENOMEM;
	json_object_set_new(record, "sourceIPAddress",
			    json_string(c->source_address));
	json_object_set_new(record, "userAgent",
			    plain_text(c->user_agent ? c->user_agent : "",
				       USER_AGENT_BYTES));
	if (c->error != ERR_NONE)
		add_error(record, c);
	json_object_set_new(record, "requestParameters",
			    request_parameters(c));
	json_object_set_new(record, "responseElements",
			    c->error == ERR_NONE ?
			    or_null(c->response_elements) : json_null());
	json_object_set_new(record, "requestID", json_string(c->request_id));
	json_object_set_new(record, "eventID", json_string(event_id));
	json_object_set_new(record, "readOnly", json_boolean(read_only));
	if (c->additional)
		json_object_set(record, "additionalEventData", c->additional);
	if (c->resources)
		json_object_set(record, "resources", c->resources);
	add_tail(record, "AwsApiCall", c->who.user.account);
	return write_record(a, record);
}

int audit_key_deleted(struct audit *a, const struct key_row *key)
{
	char event_id[CRYPTO_UUID_BYTES], arn[CALL_ARN_BYTES];
	json_t *record, *who;
	int rc;

	rc = crypto_uuid(event_id);
	if (rc < 0)
		return rc;
	call_key_arn(key, arn);
	who = json_pack("{s:s, s:s}", "accountId", key->account, "invokedBy",
			"AWS Internal");
	record = new_record(who, "DeleteKey", key->region);
	if (!record)
		return -ENOMEM;
	json_object_set_new(record, "sourceIPAddress",
			    json_string("AWS Internal"));
	json_object_set_new(record, "userAgent", json_string("AWS Internal"));
	json_object_set_new(record, "requestParameters", json_null());
	json_object_set_new(record, "responseElements", json_null());
	json_object_set_new(record, "eventID", json_string(event_id));
	json_object_set_new(record, "readOnly", json_false());
	json_object_set_new(record, "resources",
			    json_pack("[{s:s, s:s, s:s}]", "accountId",
				      key->account, "type", "AWS::KMS::Key",
				      "ARN", arn));
	json_object_set_new(record, "serviceEventDetails",
			    json_pack("{s:s}", "keyId", key->key_id));
	add_tail(record, "AwsServiceEvent", key->account);
	return write_record(a, record);
}
