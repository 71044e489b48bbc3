// SPDX-License-Identifier: GPL-2.0-or-later
/* Speaks the journal's native protocol over its datagram socket. */
#include "audit_journal.h"

#include <endian.h>
#include <errno.h>
#include <jansson.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"
#include "server.h"

#define SOCKET "/run/systemd/journal/socket"
#define REPORT_MS 10000

struct audit_journal {
	int fd;
	atomic_ullong lost;       /* records since the last report */
	atomic_llong reported_ms;
};

int audit_journal_open(struct audit_journal **ret)
{
	struct audit_journal *j = calloc(1, sizeof(*j));

	if (!j)
		return -ENOMEM;
	j->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (j->fd < 0) {
		free(j);
		return -errno;
	}
	*ret = j;
	return 0;
}

void audit_journal_close(struct audit_journal *j)
{
	if (!j)
		return;
	close(j->fd);
	free(j);
}

/* With its length in front, so that no value can begin a field. */
static void put(FILE *out, const char *name, const char *value, size_t bytes)
{
	uint64_t length = htole64(bytes);

	fprintf(out, "%s\n", name);
	fwrite(&length, sizeof(length), 1, out);
	fwrite(value, bytes, 1, out);
	fputc('\n', out);
}

static void put_text(FILE *out, const char *name, json_t *value)
{
	const char *text = json_string_value(value);

	if (text)
		put(out, name, text, strlen(text));
}

static void put_message(FILE *out, json_t *record)
{
	json_t *who = json_object_get(record, "userIdentity");
	json_t *error = json_object_get(record, "errorCode");
	const char *name = json_string_value(
		json_object_get(record, "eventName"));
	const char *arn = json_string_value(json_object_get(who, "arn"));
	char text[512];

	snprintf(text, sizeof(text), "%s by %s%s%s", name ? name : "Unknown",
		 arn ? arn : "the server", error ? ": " : "",
		 error ? json_string_value(error) : "");
	put(out, "MESSAGE", text, strlen(text));
	/* warning or info, as syslog(3) numbers them */
	put(out, "PRIORITY", error ? "4" : "6", 1);
}

static void put_fields(FILE *out, json_t *record)
{
	static const char *const fields[][2] = {
		{ "eventName", "ENVELOPE_KMS_EVENT" },
		{ "eventID", "ENVELOPE_KMS_EVENT_ID" },
		{ "requestID", "ENVELOPE_KMS_REQUEST_ID" },
		{ "errorCode", "ENVELOPE_KMS_ERROR" },
		{ "awsRegion", "ENVELOPE_KMS_REGION" },
		{ "sourceIPAddress", "ENVELOPE_KMS_SOURCE" },
		{ "recipientAccountId", "ENVELOPE_KMS_ACCOUNT" },
	};
	json_t *resource = json_array_get(
		json_object_get(record, "resources"), 0);
	size_t i;

	put(out, "SYSLOG_IDENTIFIER", "envelope-kms", 12);
	put_message(out, record);
	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		put_text(out, fields[i][1],
			 json_object_get(record, fields[i][0]));
	put_text(out, "ENVELOPE_KMS_PRINCIPAL",
		 json_object_get(json_object_get(record, "userIdentity"),
				 "arn"));
	put_text(out, "ENVELOPE_KMS_RESOURCE",
		 json_object_get(resource, "ARN"));
}

static int send_text(const struct audit_journal *j, const char *text,
		     size_t bytes)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX,
				  .sun_path = SOCKET };

	return sendto(j->fd, text, bytes, MSG_NOSIGNAL | MSG_DONTWAIT,
		      (struct sockaddr *)&sa, sizeof(sa)) < 0 ? -errno : 0;
}

static void count_lost(struct audit_journal *j, int rc)
{
	unsigned long long lost = atomic_fetch_add(&j->lost, 1) + 1;
	long long now = server_wall_ms();
	long long last = atomic_load(&j->reported_ms);

	if (now - last < REPORT_MS ||
	    !atomic_compare_exchange_strong(&j->reported_ms, &last, now))
		return;
	atomic_fetch_sub(&j->lost, lost);
	log_warn("records that the journal did not take: %llu, ignoring: %s",
		 lost, strerror(-rc));
}

void audit_journal_send(struct audit_journal *j, const char *line,
			size_t bytes)
{
	json_t *record = json_loadb(line, bytes, 0, NULL);
	char *text = NULL;
	size_t used = 0, short_bytes = 0;
	FILE *out = record ? open_memstream(&text, &used) : NULL;
	int rc = -ENOMEM;

	if (out) {
		put_fields(out, record);
		fflush(out);
		short_bytes = used;
		put(out, "ENVELOPE_KMS_RECORD", line, bytes - 1);
		rc = fclose(out) == 0 ? send_text(j, text, used) : -ENOMEM;
	}
	/* A record that is too large for the socket goes without itself. */
	if (rc == -EMSGSIZE)
		rc = send_text(j, text, short_bytes);
	if (rc < 0)
		count_lost(j, rc);
	free(text);
	json_decref(record);
}
