// SPDX-License-Identifier: GPL-2.0-or-later
/* STS answers in XML, the secret key in secret memory only. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "secret.h"
#include "sts.h"

#define XMLNS "https://sts.amazonaws.com/doc/2011-06-15/"
#define REPLY_BYTES 16384 /* the largest has a token of 8192 characters */

/* The names of STS for what KMS calls otherwise. */
static const struct {
	enum error e;
	const char *code;
	unsigned int status;
} names[] = {
	{ ERR_ACCESS_DENIED, "AccessDenied", 403 },
	{ ERR_EXPIRED_TOKEN, "ExpiredToken", 403 },
	{ ERR_INTERNAL, "InternalFailure", 500 },
	{ ERR_INVALID_SIGNATURE, "SignatureDoesNotMatch", 403 },
	{ ERR_MALFORMED_POLICY, "MalformedPolicyDocument", 400 },
	{ ERR_SERIALIZATION, "MalformedInput", 400 },
	{ ERR_THROTTLING, "Throttling", 400 },
	{ ERR_UNKNOWN_OPERATION, "InvalidAction", 400 },
	{ ERR_UNRECOGNIZED_CLIENT, "InvalidClientTokenId", 403 },
	{ ERR_VALIDATION, "ValidationError", 400 },
};

struct writer {
	char *p, *end;
};

static void put_bytes(struct writer *w, const char *text, size_t bytes)
{
	if ((size_t)(w->end - w->p) <= bytes)
		bytes = 0;
	memcpy(w->p, text, bytes);
	w->p += bytes;
}

static void put(struct writer *w, const char *text)
{
	put_bytes(w, text, strlen(text));
}

static void put_escaped(struct writer *w, const char *text)
{
	for (; *text; text++) {
		if (*text == '<')
			put(w, "&lt;");
		else if (*text == '>')
			put(w, "&gt;");
		else if (*text == '&')
			put(w, "&amp;");
		else if (*text < 0 || *text >= ' ')
			put_bytes(w, text, 1);
	}
}

static void put_tag(struct writer *w, const char *open, const char *name)
{
	put(w, open);
	put(w, name);
	put(w, ">");
}

static void put_element(struct writer *w, const char *name, const char *text)
{
	put_tag(w, "<", name);
	put_escaped(w, text);
	put_tag(w, "</", name);
}

static void put_json(struct writer *w, json_t *object,
		     const struct secret *key)
{
	const char *name;
	json_t *value;

	json_object_foreach(object, name, value) {
		if (json_is_string(value)) {
			put_element(w, name, json_string_value(value));
			continue;
		}
		put_tag(w, "<", name);
		put_json(w, value, key);
		if (key && strcmp(name, "Credentials") == 0) {
			put(w, "<SecretAccessKey>");
			put_bytes(w, (const char *)secret_cbytes(key),
				  secret_len(key));
			put(w, "</SecretAccessKey>");
		}
		put_tag(w, "</", name);
	}
}

/* Cuts the page to what was written. */
static void finish(struct reply *ret, struct secret *page,
		   const struct writer *w)
{
	size_t bytes = (size_t)(w->p - (char *)secret_bytes(page));

	ret->xml = true;
	ret->body = secret_new(bytes);
	if (ret->body)
		memcpy(secret_bytes(ret->body), secret_cbytes(page), bytes);
	else
		ret->status = 500;
	secret_free(page);
}

static struct secret *begin(struct reply *ret, struct writer *w)
{
	struct secret *page = secret_new(REPLY_BYTES);

	ret->body = NULL;
	ret->status = 500;
	ret->xml = true;
	if (!page)
		return NULL;
	w->p = (char *)secret_bytes(page);
	w->end = w->p + REPLY_BYTES;
	return page;
}

void sts_reply_error(enum error e, const char *message,
		     const char *request_id, struct reply *ret)
{
	const char *code = error_code(e);
	unsigned int status = error_http_status(e);
	struct writer w;
	struct secret *page = begin(ret, &w);
	size_t i;

	if (!page)
		return;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (names[i].e == e) {
			code = names[i].code;
			status = names[i].status;
		}
	}
	ret->status = status;
	put(&w, "<ErrorResponse xmlns=\"" XMLNS "\"><Error>");
	put_element(&w, "Type", status < 500 ? "Sender" : "Receiver");
	put_element(&w, "Code", code);
	put_element(&w, "Message", message);
	put(&w, "</Error>");
	put_element(&w, "RequestId", request_id);
	put(&w, "</ErrorResponse>\n");
	finish(ret, page, &w);
}

void sts_reply_of_call(const struct call *c, struct reply *ret)
{
	struct writer w;
	struct secret *page;

	if (c->error != ERR_NONE) {
		sts_reply_error(c->error, c->message, c->request_id, ret);
		return;
	}
	page = begin(ret, &w);
	if (!page)
		return;
	ret->status = 200;
	put(&w, "<");
	put(&w, c->target);
	put(&w, "Response xmlns=\"" XMLNS "\"><");
	put(&w, c->target);
	put(&w, "Result>");
	put_json(&w, c->answer, c->plaintext);
	put(&w, "</");
	put(&w, c->target);
	put(&w, "Result><ResponseMetadata>");
	put_element(&w, "RequestId", c->request_id);
	put(&w, "</ResponseMetadata></");
	put(&w, c->target);
	put(&w, "Response>\n");
	finish(ret, page, &w);
}
