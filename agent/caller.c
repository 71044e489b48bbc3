// SPDX-License-Identifier: GPL-2.0-or-later
/* GetCallerIdentity (AWS query protocol, API 2011-06-15). */
#include "caller.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "kms_provider.h"
#include "log.h"

#define FORM "Action=GetCallerIdentity&Version=2011-06-15"
#define ARN_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:/+=,.@_-"

/* The text of the only element @name; "" where it is not there. */
static void cut(const char *body, const char *name, char *ret, size_t bytes)
{
	char tag[32];
	const char *at;
	size_t len;

	ret[0] = '\0';
	snprintf(tag, sizeof(tag), "<%s>", name);
	at = strstr(body, tag);
	if (!at)
		return;
	at += strlen(tag);
	len = strspn(at, ARN_CHARS);
	if (at[len] == '<' && len < bytes)
		snprintf(ret, bytes, "%.*s", (int)len, at);
}

/* Of an answer with the error @code: would a later one be another? */
static bool passes(long status, const char *code)
{
	return status >= 500 || status == 429 ||
	       kms_meaning_of(code, "", status)->retry;
}

static int take(const struct conf_region *region,
		const struct credentials *credentials,
		const struct http_answer *answer, char *ret)
{
	const char *body = (const char *)secret_cbytes(answer->body);
	char found[CALLER_BYTES];

	cut(body, answer->status == 200 ? "Arn" : "Code", found,
	    sizeof(found));
	if (answer->status == 200 && strncmp(found, "arn:", 4) == 0) {
		snprintf(ret, CALLER_BYTES, "%s", found);
		return 0;
	}
	if (answer->status == 200 || !found[0]) {
		log_error("STS %s answers GetCallerIdentity with garbage (HTTP status %ld); check sts-endpoint of region %s",
			  region->sts_endpoint, answer->status, region->name);
		return -EHOSTUNREACH;
	}
	if (passes(answer->status, found)) {
		log_error("STS %s cannot answer GetCallerIdentity now (%s, HTTP status %ld); try again later",
			  region->sts_endpoint, found, answer->status);
		return -EHOSTUNREACH;
	}
	log_error("STS %s refuses the credentials from %s (%s); check that they are the right ones, and this host's clock",
		  region->sts_endpoint, credentials->source, found);
	return -EACCES;
}

int caller_identity(struct http *http, const struct conf_region *region,
		    const struct credentials *credentials,
		    char ret[static CALLER_BYTES])
{
	const struct http_request request = {
		.endpoint = region->sts_endpoint,
		.ca_file = region->ca_file,
		.proxy = region->proxy,
		.region = region->name,
		.service = "sts",
		.credentials = credentials,
		.content_type = "application/x-www-form-urlencoded; charset=utf-8",
		.body = FORM,
		.body_bytes = strlen(FORM),
	};
	struct http_answer answer = { 0 };
	enum http_failure why = HTTP_OK;
	int r = http_send(http, &request, &answer, &why);

	if (r == -EHOSTUNREACH)
		log_error("STS %s does not answer (%s); check sts-endpoint of region %s",
			  region->sts_endpoint, http_detail(http),
			  region->name);
	else if (r == 0)
		r = take(region, credentials, &answer, ret);
	http_answer_wipe(&answer);
	return r;
}

/* arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION is arn:aws:iam::...:role/ROLE */
void caller_principal(const char *arn, char ret[static CALLER_BYTES])
{
	static const char sts[] = ":sts::", role[] = ":assumed-role/";
	const char *service = strstr(arn, sts);
	const char *at = strstr(arn, role);

	if (!service || !at || at < service) {
		snprintf(ret, CALLER_BYTES, "%s", arn);
		return;
	}
	service += strlen(sts);
	snprintf(ret, CALLER_BYTES, "%.*s:iam::%.*s:role/%.*s",
		 (int)(strstr(arn, sts) - arn), arn, (int)(at - service),
		 service, (int)strcspn(at + strlen(role), "/"),
		 at + strlen(role));
}
