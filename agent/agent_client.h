/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Asking envelope-agent: one question, one answer, and its errors as ours. */
#ifndef ENVELOPE_AGENT_CLIENT_H
#define ENVELOPE_AGENT_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "status.h"

#define AGENT_SOCKET "/run/envelope/agent.sock"
#define AGENT_INTERFACE "io.envelope.Agent"
#define AGENT_MAX_MESSAGE_BYTES 65536	/* of a client */

struct agent_client;

/*
 * Connect to the agent at @socket (NULL: AGENT_SOCKET).
 *
 * -ENOENT: no agent is there; prints nothing, see agent_explain_missing().
 * -EHOSTUNREACH, -EACCES (the socket's mode), with a sentence. -ENOMEM.
 */
int agent_connect(const char *socket, struct agent_client **ret);

/* NULL is accepted. */
void agent_disconnect(struct agent_client *c);

/* Prints that no agent is there and what to do. Always -EHOSTUNREACH. */
int agent_explain_missing(const char *socket);

/*
 * Call io.envelope.Agent.@method with @parameters (its reference is taken;
 * NULL: none) and @count descriptors, and wait for the answer, @timeout_ms at
 * most. Its parameters go to *@ret, a new reference.
 *
 * An error of the agent is printed, and is the -errno that its name stands
 * for. -EHOSTUNREACH: no answer in time, or the connection ended.
 */
int agent_call(struct agent_client *c, const char *method, json_t *parameters,
	       const int *fds, size_t count, unsigned int timeout_ms,
	       json_t **ret);

/* As a time-out: none. */
#define AGENT_FOREVER 0u

/*
 * The same with `more`: every answer but the last goes to @each (its parameters
 * are borrowed, an object), which ends the call by returning -errno: that is
 * the result then, and nothing more can be called.
 */
int agent_call_more(struct agent_client *c, const char *method,
		    json_t *parameters, const int *fds, size_t count,
		    unsigned int timeout_ms,
		    int (*each)(void *user, const json_t *parameters),
		    void *user, json_t **ret);

/*
 * The names of the agent's errors, one for each exit status but
 * STATUS_DONE, without the interface. NULL: no such status.
 */
const char *agent_error_name(enum envelope_status status);

/* The -errno that status_from_errno() turns into @status. */
int agent_errno(enum envelope_status status);

#endif
