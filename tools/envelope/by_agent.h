/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whom a verb asks: the agent, or device mapper and the KMS by itself. */
#ifndef ENVELOPE_BY_AGENT_H
#define ENVELOPE_BY_AGENT_H

#include <jansson.h>
#include <stdbool.h>

#include "agent_client.h"
#include "cli.h"

#define BY_AGENT_SECONDS 300	/* for the agent's answer; it has its own time */

struct by_agent {
	bool direct;		/* --direct */
	const char *socket;	/* --socket */
	struct agent_client *client;
};

#define BY_AGENT_OPTIONS(b) \
	{ "direct", NULL, cli_set_true, &(b)->direct, \
	  "do it in this process, without the agent" }, \
	{ "socket", "PATH", cli_set_text, &(b)->socket, \
	  "of the agent (default " AGENT_SOCKET ")" }

/*
 * Connect, unless --direct is given. 1: do it directly, which root also does
 * where no agent's socket is there. 0: connected. Else as agent_connect(), all
 * printed.
 */
int by_agent_connect(struct by_agent *b);

/* As agent_call(), within BY_AGENT_SECONDS; parameters as there. */
int by_agent_call(struct by_agent *b, const char *method, json_t *parameters,
		  json_t **ret);

/*
 * The name of the volume @name, of which /dev/mapper/ may be the beginning: the
 * agent looks at no paths of others.
 */
const char *by_agent_name(const char *name);

void by_agent_close(struct by_agent *b);

/*
 * The whole of `envelope attach` by the agent: open the device and pass it, or
 * name it as a link where it cannot be opened. Prints its errors and warnings;
 * the answer's parameters go to *@ret.
 */
int by_agent_attach(struct by_agent *b, const struct volume_attach_options *o,
		    json_t **ret);

#endif
