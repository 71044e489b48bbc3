// SPDX-License-Identifier: GPL-2.0-or-later
/* The life of one call: its parameters, and how it is answered. */
#include "call.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent_client.h"
#include "json.h"
#include "messages.h"
#include "status.h"

static int copy_caller(const struct caller *from, struct caller *to)
{
	size_t bytes = from->group_count * sizeof(gid_t);

	*to = *from;
	to->groups = malloc(bytes ? bytes : 1);
	if (!to->groups)
		return -ENOMEM;
	if (bytes)
		memcpy(to->groups, from->groups, bytes);
	return 0;
}

/* Absent is false. */
static int get_flag(const json_t *o, const char *name, bool *ret)
{
	int value = 0;
	int r = json_get_bool(o, name, &value);

	*ret = value;
	return r == -ENOENT ? 0 : r;
}

static void call_free(struct call *c)
{
	json_decref(c->message);
	free(c->who.groups);
	free(c);
}

int call_new(struct peer *p, json_t *message, struct call **ret)
{
	struct call *c = calloc(1, sizeof(*c));
	int r = c ? 0 : -ENOMEM;

	if (r == 0)
		r = copy_caller(&p->who, &c->who);
	if (r < 0) {
		free(c);
		json_decref(message);
		return r;
	}
	c->message = message;
	c->peer = p;
	if (json_get_string(message, "method", &c->method) < 0 ||
	    get_flag(message, "oneway", &c->oneway) < 0 ||
	    get_flag(message, "more", &c->more) < 0)
		r = -EBADMSG;
	if (r == 0 && json_get_object(message, "parameters",
				      &c->parameters) == -ENOENT &&
	    json_object_set_new(message, "parameters", json_object()) < 0)
		r = -ENOMEM;
	if (r == 0 &&
	    json_get_object(message, "parameters", &c->parameters) < 0)
		r = -EBADMSG;
	if (r < 0)
		call_free(c);
	else
		*ret = c;
	return r;
}

struct agent *call_agent(const struct call *c)
{
	return c->agent;
}

const struct caller *call_caller(const struct call *c)
{
	return &c->who;
}

const char *call_method(const struct call *c)
{
	return c->method;
}

json_t *call_parameters(const struct call *c)
{
	return c->parameters;
}

bool call_more(const struct call *c)
{
	return c->more;
}

int call_take_fd(struct call *c, size_t index)
{
	return c->peer ? varlink_take_fd(c->peer->link, index) : -EBADF;
}

bool call_abandoned(const struct call *c)
{
	return !c->peer;
}

void call_on_gone(struct call *c, void (*gone)(struct call *c, void *data),
		  void *data)
{
	c->gone = gone;
	c->gone_data = data;
}

void call_abandon(struct call *c)
{
	void (*gone)(struct call *c, void *data) = c->gone;

	c->peer = NULL;
	c->gone = NULL;
	if (gone)
		gone(c, c->gone_data);
}

static void send_answer(struct call *c, json_t *answer)
{
	if (c->peer && !c->oneway)
		peer_send(c->peer, answer);
	else
		json_decref(answer);
}

static void end(struct call *c)
{
	struct peer *p = c->peer;

	call_free(c);
	if (!p)
		return;
	p->call = NULL;
	peer_resume(p);
}

void call_reply(struct call *c, json_t *parameters)
{
	if (!parameters) {
		call_refuse(c, -ENOMEM, "out of memory");
		return;
	}
	send_answer(c, json_pack("{s:o}", "parameters", parameters));
	end(c);
}

void call_stream(struct call *c, json_t *parameters)
{
	send_answer(c, json_pack("{s:o, s:b}", "parameters", parameters,
				 "continues", 1));
	if (c->peer)
		peer_resume(c->peer);
}

void call_error(struct call *c, const char *name, json_t *parameters)
{
	send_answer(c, json_pack("{s:s, s:o}", "error", name, "parameters",
				 parameters));
	end(c);
}

static bool utf8_valid(const char *text)
{
	json_t *o = json_string(text);

	json_decref(o);
	return o != NULL;
}

static void fail(struct call *c, int r, const char *sentence)
{
	enum envelope_status status = status_from_errno(r);
	char name[64];

	if (status == STATUS_DONE)
		status = STATUS_FAILED;
	snprintf(name, sizeof(name), "%s.%s", AGENT_INTERFACE,
		 agent_error_name(status));
	/* A path in it need not be UTF-8, and JSON must be. */
	if (!utf8_valid(sentence))
		sentence = "the sentence that says why is no UTF-8: the agent's journal has it";
	call_error(c, name, json_pack("{s:s, s:i}", "message", sentence,
				      "status", (int)status));
}

void call_fail(struct call *c, int r)
{
	const char *sentence = messages_error();

	fail(c, r, sentence[0] ? sentence : strerror(-r));
}

void call_refuse(struct call *c, int r, const char *fmt, ...)
{
	char sentence[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(sentence, sizeof(sentence), fmt, args);
	va_end(args);
	fail(c, r, sentence);
}

static bool take(const struct param *p, const json_t *value)
{
	json_int_t n = json_integer_value(value);

	if (p->type == PARAM_TEXT && json_is_string(value))
		*(const char **)p->to = json_string_value(value);
	else if (p->type == PARAM_BOOL && json_is_boolean(value))
		*(bool *)p->to = json_is_true(value);
	else if (p->type == PARAM_INT && json_is_integer(value) && n >= 0 &&
		 n <= INT_MAX)
		*(int *)p->to = n;
	else if (p->type == PARAM_OBJECT && json_is_object(value))
		*(json_t **)p->to = (json_t *)value;
	else
		return false;
	return true;
}

static const struct param *find(const struct param *table, const char *name)
{
	for (; table->name; table++)
		if (strcmp(table->name, name) == 0)
			return table;
	return NULL;
}

int call_params(struct call *c, const struct param *table)
{
	const char *wrong = NULL;
	const struct param *p;
	const char *name;
	json_t *value;

	json_object_foreach(c->parameters, name, value) {
		p = find(table, name);
		if (!p || (!json_is_null(value) && !take(p, value)))
			wrong = name;
	}
	for (p = table; p->name && !wrong; p++) {
		value = json_object_get(c->parameters, p->name);
		if (p->must && (!value || json_is_null(value)))
			wrong = p->name;
	}
	if (!wrong)
		return 0;
	call_error(c, "org.varlink.service.InvalidParameter",
		   json_pack("{s:s}", "parameter", wrong));
	return -EINVAL;
}
