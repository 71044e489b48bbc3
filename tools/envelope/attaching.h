/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One attach, for the verbs that make one. */
#ifndef ENVELOPE_ATTACHING_H
#define ENVELOPE_ATTACHING_H

#include "by_agent.h"

/*
 * Attach as @o says: in this process where @b->direct, else by the agent, whose
 * connection is closed again. The answer goes to *@ret, a new reference and the
 * same from both; errors are printed, and are those of volume_attach() and
 * by_agent_attach().
 */
int attaching_run(struct by_agent *b, const struct volume_attach_options *o,
		  json_t **ret);

/* Print the answer @r, whose reference is taken. The exit status. */
int attaching_print(const struct volume_attach_options *o, json_t *r,
		    bool direct, bool json);

#endif
