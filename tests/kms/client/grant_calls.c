// SPDX-License-Identifier: GPL-2.0-or-later
/* The two sides of a grant, a process each. */
#include "grant_calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "grant_send.h"
#include "volume.h"

static const char *text_of(const json_t *o, const char *name)
{
	return json_string_value(json_object_get(o, name));
}

static void put(struct call *c, const char *name, const char *text)
{
	json_object_set_new(c->out, name, json_string(text));
}

int call_offer(struct call *c)
{
	struct volume v = VOLUME_CLOSED;
	struct grant_entry entry;
	char *body = NULL;
	int r = volume_open(c->args[0], NULL, 0, &v);

	if (r == 0)
		r = grant_offer(c->conf, c->args[1], v.header, 0, &entry,
				&body);
	if (r == 0) {
		put(c, "name", entry.name);
		put(c, "key_arn", entry.key_arn);
		put(c, "volume_id", entry.volume_id);
		put(c, "body", body);
	}
	free(body);
	volume_close(&v);
	return r;
}

int call_answer(struct call *c)
{
	struct volume v = VOLUME_CLOSED;
	json_t *signature = NULL;
	int r = volume_open(c->args[0], NULL, 0, &v);

	if (r == 0)
		r = grant_answer(c->conf, c->args[0], v.header,
				 strtoul(c->args[2], NULL, 10), c->args[1],
				 &signature);
	if (r == 0)
		json_object_set_new(c->out, "signature", signature);
	volume_close(&v);
	return r;
}

int call_send(struct call *c)
{
	json_t *offer = json_loads(c->args[0], 0, NULL);
	json_t *signature = json_loads(c->args[1], 0, NULL);
	struct grant_entry entry = { .id = "" };
	struct kms_grant grant = { .token = NULL };
	bool sent = false;
	int r;

	snprintf(entry.name, sizeof(entry.name), "%s", text_of(offer, "name"));
	snprintf(entry.key_arn, sizeof(entry.key_arn), "%s",
		 text_of(offer, "key_arn"));
	r = grant_send(c->kms, &entry, text_of(offer, "body"), signature,
		       &grant, &sent);
	if (r == 0) {
		put(c, "id", grant.id);
		put(c, "token", grant.token);
	}
	json_object_set_new(c->out, "sent", json_boolean(sent));
	kms_grant_free(&grant);
	json_decref(signature);
	json_decref(offer);
	return r;
}

int call_sweep(struct call *c)
{
	struct grant_entry *list = NULL;
	size_t count = 0, i;
	int r;

	r = grant_list(c->kms, c->args[0], c->args[1], c->args[2], &list,
		       &count);
	for (i = 0; i < count && r == 0; i++)
		if (strcmp(list[i].name, c->args[3]) != 0)
			r = kms_retire_grant(c->kms, list[i].key_arn,
					     list[i].id);
	free(list);
	return r;
}
