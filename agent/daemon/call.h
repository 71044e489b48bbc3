/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Private to the server: a call, as connections and answers share it. */
#ifndef ENVELOPE_CALL_H
#define ENVELOPE_CALL_H

#include "server.h"
#include "varlink.h"

/* One connection. */
struct peer {
	struct server *server;
	struct varlink *link;
	struct caller who;
	sd_event_source *io;
	sd_event_source *later;	/* to serve it from the loop */
	struct call *call;	/* being answered; the next one waits */
	bool serving;		/* further up on the stack */
	bool ended;		/* nothing more comes in */
	bool broken;		/* nothing more goes out */
	struct peer *next;
	struct peer **link_at;	/* what points to this one */
};

struct call {
	struct agent *agent;
	struct peer *peer;	/* NULL: gone */
	struct caller who;	/* of its own: peers go */
	json_t *message;
	const char *method;	/* in @message */
	json_t *parameters;
	bool oneway;
	bool more;
	void (*gone)(struct call *c, void *data);
	void *gone_data;
};

/*
 * Make the call that @message (its reference is taken) asks @p for.
 * -EBADMSG: it is none. -ENOMEM.
 */
int call_new(struct peer *p, json_t *message, struct call **ret);

/* The client of @c goes: tell who answers it. */
void call_abandon(struct call *c);

/* Send @o, whose reference it takes, to @p. */
void peer_send(struct peer *p, json_t *o);

/* Have the loop send what waits, and serve the next call if there is none. */
void peer_resume(struct peer *p);

/* methods.c: run @c, which ends sooner or later. */
void methods_run(struct call *c);

#endif
