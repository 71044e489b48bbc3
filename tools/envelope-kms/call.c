// SPDX-License-Identifier: GPL-2.0-or-later
/* The life of one call: its error, its ARNs, what it owns. */
#include "call.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"

void call_init(struct call *c, struct server *server)
{
	memset(c, 0, offsetof(struct call, message));
	c->message[0] = '\0';
	c->violation_text[0] = '\0';
	c->server = server;
}

/* What has once been written begins where it stays. */
void call_wipe(struct call *c)
{
	wipe(c, c->message[0] || c->violation_text[0] ? sizeof(*c) :
	     offsetof(struct call, message));
}

void identity_free(struct identity *who)
{
	free(who->session_policy);
	who->session_policy = NULL;
	free(who->chain);
	who->chain = NULL;
}

void call_free(struct call *c)
{
	identity_free(&c->who);
	json_decref(c->params);
	json_decref(c->answer);
	json_decref(c->response_elements);
	json_decref(c->additional);
	json_decref(c->resources);
	secret_free(c->plaintext);
}

int call_fail(struct call *c, enum error e, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(c->message, sizeof(c->message), fmt, args);
	va_end(args);
	utf8_mend(c->message);
	c->error = e;
	return -EPROTO;
}

void call_key_arn(const struct key_row *key, char ret[static CALL_ARN_BYTES])
{
	const char *const parts[] = { "arn:aws:kms:", key->region, ":",
				      key->account, ":key/", key->key_id };
	char *p = ret;
	size_t i;

	/* Several times a request: not by printf(). */
	_Static_assert(sizeof(key->region) + sizeof(key->account) +
		       sizeof(key->key_id) + 18 < CALL_ARN_BYTES, "ARN");
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		p = stpcpy(p, parts[i]);
}

void call_alias_arn(const struct call *c, const char *name,
		    char ret[static CALL_ARN_BYTES])
{
	snprintf(ret, CALL_ARN_BYTES, "arn:aws:kms:%s:%s:%s",
		 c->who.region, c->who.user.account, name);
}

int call_put(json_t *object, const char *name, const char *text)
{
	return json_object_set_new(object, name, json_string(text)) < 0 ?
	       -ENOMEM : 0;
}

int call_touches(struct call *c, const char *arn)
{
	const char *owner = arn; /* arn:aws:kms:region:account:... */
	json_t *entry;
	int colons;

	for (colons = 0; *owner && colons < 4; owner++)
		colons += *owner == ':';
	if (!c->resources)
		c->resources = json_array();
	entry = json_object();
	if (json_object_set_new(entry, "accountId",
				json_stringn(owner, strcspn(owner, ":"))) < 0 ||
	    call_put(entry, "type", "AWS::KMS::Key") < 0 ||
	    call_put(entry, "ARN", arn) < 0) {
		json_decref(entry);
		return -ENOMEM;
	}
	return json_array_append_new(c->resources, entry) < 0 ? -ENOMEM : 0;
}
