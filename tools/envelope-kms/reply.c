// SPDX-License-Identifier: GPL-2.0-or-later
/* Builds answer bodies, the secret ones in secret memory only. */
#include "reply.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "audit_text.h"
#include "base64.h"

static const char plaintext_name[] = "\"Plaintext\":\"";

/* @json with the plaintext, if any, as one more member. */
static struct secret *build(json_t *json, const struct secret *plaintext)
{
	struct audit_text text = { .data = NULL };
	size_t used, extra = plaintext ? sizeof(plaintext_name) + 3 +
		BASE64_TEXT_BYTES(secret_len(plaintext)) : 0;
	struct secret *body = NULL, *exact = NULL;
	char *p;

	audit_text_value(&text, json);
	used = text.used;
	body = text.no_memory ? NULL : secret_new(used + extra);
	if (!body)
		goto out;
	p = (char *)secret_bytes(body);
	memcpy(p, text.data, used);
	if (!plaintext) {
		exact = body;
		body = NULL;
		goto out;
	}
	/* Over the closing brace. */
	used--;
	if (json_object_size(json))
		p[used++] = ',';
	memcpy(p + used, plaintext_name, sizeof(plaintext_name) - 1);
	used += sizeof(plaintext_name) - 1;
	base64_encode(secret_cbytes(plaintext), secret_len(plaintext),
		      p + used);
	used += BASE64_TEXT_BYTES(secret_len(plaintext));
	p[used++] = '"';
	p[used++] = '}';
	exact = secret_new(used);
	if (exact)
		memcpy(secret_bytes(exact), p, used);
out:
	secret_free(body);
	audit_text_free(&text);
	return exact;
}

void reply_error(enum error e, const char *message, struct reply *ret)
{
	/* KMS spells this one with a capital, and clients know both. */
	const char *member = e == ERR_ACCESS_DENIED ? "Message" : "message";
	json_t *json = json_pack("{s:s}", "__type", error_code(e));

	ret->status = error_http_status(e);
	ret->xml = false;
	ret->body = NULL;
	if (json && message[0])
		json_object_set_new(json, member, json_string(message));
	if (json)
		ret->body = build(json, NULL);
	json_decref(json);
}

void reply_of_call(const struct call *c, struct reply *ret)
{
	if (c->error != ERR_NONE) {
		reply_error(c->error, c->message, ret);
		return;
	}
	ret->status = 200;
	ret->xml = false;
	ret->body = c->answer ? build(c->answer, c->plaintext) : NULL;
	if (c->answer && !ret->body)
		ret->status = 500;
}
