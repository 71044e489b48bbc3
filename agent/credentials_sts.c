// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The security token service on the wire: a form in a POST, XML back (AWS
 * query protocol, API 2011-06-15).
 */
#include <errno.h>
#include <expat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "credentials_private.h"
#include "log.h"
#include "process.h"

#define MAX_DEPTH 8
#define ELEMENT_BYTES 32
#define UNRESERVED "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"
#define SESSION_NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+=,.@-"
#define SESSION_NAME_BYTES 65

/* What is taken out of an answer, by the element and the one around it. */
enum { KEY_ID, SECRET, TOKEN, EXPIRATION, CODE, WANTED };

static const char *const wanted[WANTED][2] = {
	[KEY_ID] = { "Credentials", "AccessKeyId" },
	[SECRET] = { "Credentials", "SecretAccessKey" },
	[TOKEN] = { "Credentials", "SessionToken" },
	[EXPIRATION] = { "Credentials", "Expiration" },
	[CODE] = { "Error", "Code" },
};

struct answer {
	struct secret *text;		/* room for all of the answer */
	size_t used;
	struct slice found[WANTED];	/* point into @text */
	char path[MAX_DEPTH][ELEMENT_BYTES];
	size_t depth;
	int open;			/* index in @found, -1: none */
	XML_Parser parser;
};

static void start_element(void *user, const char *name, const char **attributes)
{
	struct answer *a = user;
	int i;

	(void)attributes;
	a->open = -1;
	if (a->depth == MAX_DEPTH) {
		XML_StopParser(a->parser, XML_FALSE);
		return;
	}
	snprintf(a->path[a->depth++], ELEMENT_BYTES, "%s", name);
	for (i = 0; a->depth > 1 && i < WANTED; i++) {
		if (strcmp(a->path[a->depth - 2], wanted[i][0]) != 0 ||
		    strcmp(name, wanted[i][1]) != 0)
			continue;
		/* A second one would be glued to the first. */
		if (a->found[i].at)
			XML_StopParser(a->parser, XML_FALSE);
		a->found[i].at = (const char *)secret_cbytes(a->text) +
				 a->used;
		a->open = i;
	}
}

static void end_element(void *user, const char *name)
{
	struct answer *a = user;

	(void)name;
	a->depth--;
	a->open = -1;
}

/* Text comes in pieces; entities make none longer than it was. */
static void take_text(void *user, const char *text, int bytes)
{
	struct answer *a = user;

	if (a->open < 0)
		return;
	if (a->used + bytes > secret_len(a->text)) {
		XML_StopParser(a->parser, XML_FALSE);
		return;
	}
	memcpy(secret_bytes(a->text) + a->used, text, bytes);
	a->used += bytes;
	a->found[a->open].len += bytes;
}

/* A document type may define entities, which nobody here has use for. */
static void refuse_doctype(void *user, const char *name, const char *system,
			   const char *public, int internal)
{
	struct answer *a = user;

	(void)name;
	(void)system;
	(void)public;
	(void)internal;
	XML_StopParser(a->parser, XML_FALSE);
}

static void answer_free(struct answer *a)
{
	secret_free(a->text);
	a->text = NULL;
}

/* 0 with @a for answer_free(); -EBADMSG (no XML); -ENOMEM. */
static int answer_parse(const char *body, size_t bytes, struct answer *a)
{
	static const XML_Memory_Handling_Suite wiping = {
		wiping_malloc, wiping_realloc, wiping_free,
	};
	int r = -ENOMEM;

	*a = (struct answer){ .open = -1 };
	a->text = secret_new(bytes + 1);
	a->parser = XML_ParserCreate_MM("UTF-8", &wiping, NULL);
	if (!a->text || !a->parser)
		goto out;
	XML_SetUserData(a->parser, a);
	XML_SetElementHandler(a->parser, start_element, end_element);
	XML_SetCharacterDataHandler(a->parser, take_text);
	XML_SetStartDoctypeDeclHandler(a->parser, refuse_doctype);
	r = XML_Parse(a->parser, body, bytes, 1) == XML_STATUS_OK ?
	    0 : -EBADMSG;
out:
	if (a->parser)
		XML_ParserFree(a->parser);
	a->parser = NULL;
	if (r < 0)
		answer_free(a);
	return r;
}

static const struct {
	const char *code, *cause, *advice;
	bool retry;
} meanings[] = {
	{ "AccessDenied", "these credentials may not assume it",
	  "ask the role's owner to trust them, and allow them sts:AssumeRole",
	  false },
	{ "InvalidClientTokenId", "the access key is unknown there",
	  "check that it is the right one for this STS", false },
	{ "SignatureDoesNotMatch",
	  "the secret access key is not that of the access key",
	  "check that they are the right ones, and this host's clock", false },
	{ "ExpiredToken", "the credentials to ask with have expired",
	  "get fresh ones", false },
	{ "ExpiredTokenException", "the token has expired",
	  "have it renewed", false },
	{ "InvalidIdentityToken", "the web identity token is not accepted",
	  "check the token file and the identity provider", false },
	{ "IDPRejectedClaim", "the identity provider refuses the token",
	  "check the token file and the role's conditions", false },
	{ "IDPCommunicationError", "the identity provider does not answer it",
	  "try again later", true },
	{ "RegionDisabledException", "it is switched off in that region",
	  "have it activated or set sts-endpoint", false },
	{ "RequestExpired", "the clocks are more than 5 minutes apart",
	  "set this host's clock", false },
	{ "ValidationError", "it does not take the request",
	  "check role_arn, role_session_name, external_id and duration_seconds",
	  false },
	{ "Throttling", "it gets too many requests", "try again later", true },
	{ "ThrottlingException", "it gets too many requests",
	  "try again later", true },
};

#define MEANINGS (sizeof(meanings) / sizeof(meanings[0]))

static size_t meaning_of(struct slice code)
{
	size_t i;

	for (i = 0; i < MEANINGS; i++)
		if (strlen(meanings[i].code) == code.len &&
		    memcmp(meanings[i].code, code.at, code.len) == 0)
			break;
	return i;
}

static bool retryable(long status, const char *body, size_t bytes)
{
	struct answer a;
	bool again = false;
	size_t i;

	if (status < 400 || answer_parse(body, bytes, &a) < 0)
		return false;
	i = meaning_of(a.found[CODE]);
	again = i < MEANINGS && meanings[i].retry;
	answer_free(&a);
	return again;
}

static int refused(const struct credentials_run *run,
		   const struct sts_question *q, long status,
		   const struct answer *a)
{
	size_t i = meaning_of(a->found[CODE]);

	if (i < MEANINGS)
		log_error("role %s of profile '%s': STS %s refuses %s: %s (%s); %s",
			  q->role, q->profile, run->query->sts_endpoint,
			  q->action, meanings[i].cause, meanings[i].code,
			  meanings[i].advice);
	else
		log_error("role %s of profile '%s': STS %s refuses %s: its reason is %.*s (HTTP status %ld); look that up in its manual",
			  q->role, q->profile, run->query->sts_endpoint,
			  q->action, a->found[CODE].len > 64 ? 64 :
			  (int)a->found[CODE].len,
			  a->found[CODE].len ? a->found[CODE].at : "", status);
	return -EHOSTUNREACH;
}

static int garbage(const struct credentials_run *run,
		   const struct sts_question *q, long status)
{
	log_error("role %s of profile '%s': STS %s answers %s with garbage (HTTP status %ld); check sts-endpoint of region %s",
		  q->role, q->profile, run->query->sts_endpoint, q->action,
		  status, run->query->region);
	return -EHOSTUNREACH;
}

static int take_answer(struct credentials_run *run,
		       const struct sts_question *q,
		       const struct http_answer *http,
		       struct credentials **ret)
{
	struct credentials_parts parts;
	struct answer a;
	char *source;
	int r;

	r = answer_parse((const char *)secret_cbytes(http->body),
			 http->body_bytes, &a);
	if (r < 0)
		return r == -EBADMSG ? garbage(run, q, http->status) : r;
	parts = (struct credentials_parts){
		a.found[KEY_ID], a.found[SECRET], a.found[TOKEN],
		a.found[EXPIRATION],
	};
	if (http->status != 200 && a.found[CODE].len > 0) {
		r = refused(run, q, http->status, &a);
	} else if (http->status != 200 || parts.access_key_id.len == 0 ||
		   parts.secret_key.len == 0 || parts.session_token.len == 0 ||
		   parts.expiration.len == 0) {
		r = garbage(run, q, http->status);
	} else if (asprintf(&source, "role %s of profile '%s'", q->role,
			    q->profile) < 0) {
		r = -ENOMEM;
	} else {
		r = credentials_make(&parts, source, ret);
		free(source);
	}
	answer_free(&a);
	return r;
}

static size_t escape(const char *text, char *to)
{
	size_t n = 0;

	for (; *text; text++) {
		if (strchr(UNRESERVED, *text))
			to[n++] = *text;
		else
			n += sprintf(to + n, "%%%02X", (unsigned char)*text);
	}
	to[n] = '\0';
	return n;
}

/* The form; a web identity token in it is a secret. NULL: no memory. */
static struct secret *make_form(const struct sts_question *q)
{
	size_t bytes = 64 + strlen(q->action);
	const struct sts_field *f;
	struct secret *form;
	char *to;

	for (f = q->fields; f->name; f++)
		if (f->value)
			bytes += strlen(f->name) + 2 + 3 * strlen(f->value);
	form = secret_new(bytes);
	if (!form)
		return NULL;
	to = (char *)secret_bytes(form);
	to += sprintf(to, "Action=%s&Version=2011-06-15", q->action);
	for (f = q->fields; f->name; f++) {
		if (!f->value)
			continue;
		to += sprintf(to, "&%s=", f->name);
		to += escape(f->value, to);
	}
	return form;
}

int credentials_ask_sts(struct credentials_run *run,
			const struct sts_question *q,
			struct credentials **ret)
{
	const struct credentials_query *query = run->query;
	struct secret *form = make_form(q);
	struct http_answer answer = { 0 };
	enum http_failure why = HTTP_OK;
	struct http_request request = {
		.endpoint = query->sts_endpoint,
		.ca_file = query->ca_file,
		.proxy = query->proxy,
		.region = query->region,
		.service = "sts",
		.credentials = q->by,
		.content_type = "application/x-www-form-urlencoded; charset=utf-8",
		.retryable = retryable,
	};
	char source[128];
	int r = -ENOMEM;

	if (!form)
		goto out;
	request.body = secret_cbytes(form);
	request.body_bytes = strlen(request.body);
	r = http_send(run->http, &request, &answer, &why);
	if (r == -EHOSTUNREACH) {
		snprintf(source, sizeof(source), "%s for profile '%s'",
			 q->action, q->profile);
		r = credentials_no_answer(run, why, source,
					  query->sts_endpoint);
	} else if (r == 0) {
		r = take_answer(run, q, &answer, ret);
	}
out:
	http_answer_wipe(&answer);
	secret_free(form);
	return r;
}

char *credentials_session_name(struct slice name)
{
	char text[SESSION_NAME_BYTES] = "envelope-";
	size_t used = strlen(text);

	if (name.len > 0)
		return strndup(name.at, name.len);
	if (gethostname(text + used, sizeof(text) - used) < 0)
		strcpy(text + used, "host");
	text[sizeof(text) - 1] = '\0';
	for (; text[used]; used++)
		if (!strchr(SESSION_NAME_CHARS, text[used]))
			text[used] = '-';
	return strdup(text);
}
