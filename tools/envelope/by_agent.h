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

#define BY_AGENT_SOCKET_OPTION(b) \
	{ "socket", "PATH", cli_set_text, &(b)->socket, \
	  "of the agent (default " AGENT_SOCKET ")" }

#define BY_AGENT_OPTIONS(b) \
	{ "direct", NULL, cli_set_true, &(b)->direct, \
	  "do it in this process, without the agent" }, \
	BY_AGENT_SOCKET_OPTION(b)

/*
 * Connect, unless --direct is given. 1: do it directly, which root also does
 * where no agent's socket is there. 0: connected. Else as agent_connect(), all
 * printed.
 */
int by_agent_connect(struct by_agent *b);

/* The same for what asks a KMS: nothing but --direct does it directly. */
int by_agent_need(struct by_agent *b);

/* As agent_call(), within BY_AGENT_SECONDS; parameters as there. */
int by_agent_call(struct by_agent *b, const char *method, json_t *parameters,
		  json_t **ret);

/*
 * What decides by whom and how the KMS is asked is root's, in /etc: refuse what
 * @verb has for --direct alone. -EINVAL, printed.
 */
int by_agent_check(const char *verb, const struct volume_access *access);

/*
 * The name of the volume @name, of which /dev/mapper/ may be the beginning: the
 * agent looks at no paths of others.
 */
const char *by_agent_name(const char *name);

void by_agent_close(struct by_agent *b);

#define BY_AGENT_PATH_BYTES 4096

/* An attached volume, as the agent knows it and as this process can reach it. */
struct by_agent_volume {
	char name[DM_VOLUME_NAME_CHARS];
	char device[BY_AGENT_PATH_BYTES];	/* below it */
};

/*
 * Which volume of the agent's is @what: a device or file that is below it, or,
 * if there is none, a name as of by_agent_name(), or a volume id? 0: connected.
 * 1: none, or there is no agent, or --direct is given, or @what is NULL: do it
 * directly. -ENXIO: no name of a file either. Else as agent_connect(), printed.
 */
int by_agent_find(struct by_agent *b, const char *what,
		  struct by_agent_volume *ret);

/*
 * Call @method, about the slots of @v, which is as it shall be: the grant that
 * the agent asks for is signed for that header. The one at @header_path (NULL:
 * none) is passed for writing. @parameters: its reference is taken.
 */
int by_agent_change(struct by_agent *b, const char *method,
		    json_t *parameters, const char *header_path,
		    const struct volume *v, json_t **ret);

/*
 * The whole of `envelope attach` by the agent: open the device and pass it, or
 * name it as a link where it cannot be opened. Prints its errors and warnings;
 * the answer's parameters go to *@ret.
 */
int by_agent_attach(struct by_agent *b, const struct volume_attach_options *o,
		    json_t **ret);

/* The same of `envelope unlock`. */
int by_agent_unlock(struct by_agent *b, const struct volume_unlock_options *o,
		    json_t **ret);

#endif
