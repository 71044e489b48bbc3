/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Connections of clients, and the life of one call. */
#ifndef ENVELOPE_SERVER_H
#define ENVELOPE_SERVER_H

#include <jansson.h>

#include "agent.h"

/*
 * Serve on the listening socket @fd, which it owns from now on.
 * -ENOMEM and others of sd-event; prints its own error.
 */
int server_new(struct agent *agent, int fd, struct server **ret);

/* Ends every connection. NULL is accepted. */
void server_free(struct server *s);

/*
 * A call that has come in. It lives until it is answered; when its client
 * goes away earlier, answers are dropped.
 */
struct call;

struct agent *call_agent(const struct call *c);
const struct caller *call_caller(const struct call *c);

/* "io.envelope.Agent.List" */
const char *call_method(const struct call *c);

/* Borrowed; an object. */
json_t *call_parameters(const struct call *c);

/* Does the client want more than one answer? */
bool call_more(const struct call *c);

/* As varlink_take_fd(), valid until the method returns. */
int call_take_fd(struct call *c, size_t index);

/* Is the client gone? */
bool call_abandoned(const struct call *c);

/*
 * Called once, with @data, when the client goes before the call is answered;
 * the call must then be ended as if it were answered. NULL: not any more.
 */
void call_on_gone(struct call *c, void (*gone)(struct call *c, void *data),
		  void *data);

/*
 * Answer, and end the call: @c is gone afterwards. @parameters: its reference
 * is taken; NULL answers Failed, for want of memory.
 */
void call_reply(struct call *c, json_t *parameters);

/* One of several answers to a call with `more`; the call goes on. */
void call_stream(struct call *c, json_t *parameters);

/* End the call with error @name, in full. */
void call_error(struct call *c, const char *name, json_t *parameters);

/*
 * End the call with the error for @r (-errno as status.h lists), and the last
 * sentence that was logged since the call came in or messages_clear().
 */
void call_fail(struct call *c, int r);

/* The same with a sentence of its own, which is not logged. */
void call_refuse(struct call *c, int r, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

enum param_type { PARAM_TEXT, PARAM_INT, PARAM_BOOL, PARAM_OBJECT };

/* One parameter; *to stays as it is when it is absent or null. */
struct param {
	const char *name;	/* NULL ends the table */
	enum param_type type;
	bool must;
	void *to;		/* const char **, int * (0 to INT_MAX), bool *,
				 * json_t ** (borrowed) */
};

/*
 * Take the parameters of @c apart. -EINVAL: one is missing, of another type or
 * unknown; the call has been answered with InvalidParameter, and is gone.
 */
int call_params(struct call *c, const struct param *table);

#endif
