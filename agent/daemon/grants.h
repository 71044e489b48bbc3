/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The grants of the agent: each attach holds one, each attached volume keeps
 * its own (attachment.more has its name), the journal has all of them, and
 * what neither holds nor keeps is retired.
 */
#ifndef ENVELOPE_GRANTS_H
#define ENVELOPE_GRANTS_H

#include <jansson.h>
#include <stdbool.h>

#include "agent.h"
#include "attachments.h"
#include "header.h"

/* The name, in attachment.more. */
#define GRANTS_MORE "grant"

struct grant_hold;

/*
 * What the caller is to sign before the volume of @header, on @device, may be
 * opened, to *@ret; NULL: nothing, as the key's region has no host-principal.
 * As grant_offer() and conf_load(), prints are done.
 */
int grants_offer(struct agent *agent, const struct header *header,
		 const char *device, struct grant_hold **ret);

/* The interface's type Grant; new reference, NULL: no memory. */
json_t *grants_describe(const struct grant_hold *hold);

/* Does @hold wait for the signature called @nonce? */
bool grants_awaits(const struct grant_hold *hold, const char *nonce);

/*
 * It is signed: write it down, before anything is sent. The worker's request,
 * with @signature in it, whose reference it takes, goes to *@ret. As
 * grant_journal.h.
 */
int grants_signed(struct grant_hold *hold, json_t *signature, json_t **ret);

/* Is @hold with the worker, signed? NULL is not. */
bool grants_sent(const struct grant_hold *hold);

/* It is made, with the id @id: write that down before it is used. */
int grants_made(struct grant_hold *hold, const char *id);

/* It was refused, and is not there. */
void grants_refused(struct grant_hold *hold);

/*
 * Was @slot opened by the grant @hold (NULL: there is none), or does its key
 * need none? The header's writer, who may know other keys that this host may
 * use by others' grants, decides which slots there are. As conf_allow_key().
 */
int grants_cover(struct agent *agent, const struct header *header,
		 size_t slot, const struct grant_hold *hold,
		 const char *device);

/* @a keeps it from now on; attachments_save() is the caller's. -ENOMEM. */
int grants_keep(const struct grant_hold *hold, struct attachment *a);

/*
 * The attach is over: retire what nobody keeps. NULL is accepted.
 */
void grants_release(struct agent *agent, struct grant_hold *hold);

/*
 * Retire, in a while, what nobody holds or keeps: at the start, and when
 * something was detached. Tried again until it is done.
 */
void grants_tidy(struct agent *agent);

/* Forget what is under way. */
void grants_stop(void);

#endif
