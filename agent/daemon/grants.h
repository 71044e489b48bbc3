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
struct worker;

/*
 * What the caller is to sign before the volume of @header, on @device, may be
 * opened, to *@ret; NULL: nothing, as the key's region has no host-principal.
 * As grant_offer() and conf_load(), prints are done.
 */
int grants_offer(struct agent *agent, const struct header *header,
		 const char *device, struct grant_hold **ret);

/* The same for slot @slot, which may need none: NULL then, too. */
int grants_offer_slot(struct agent *agent, const struct header *header,
		      size_t slot, const char *device,
		      struct grant_hold **ret);

/* The interface's type Grant; new reference, NULL: no memory. */
json_t *grants_describe(const struct grant_hold *hold);

/* The user @uid is asked to sign @hold, which @w then sends. */
void grants_wait(struct grant_hold *hold, uid_t uid, struct worker *w);

/*
 * Which one waits for the signature @nonce of the user @uid? NULL: none; else
 * who sends it goes to *@ret.
 */
struct grant_hold *grants_unsigned(const char *nonce, uid_t uid,
				   struct worker **ret);

/*
 * It is signed: write it down, before anything is sent. The worker's request,
 * with @signature in it, whose reference it takes, goes to *@ret. As
 * grant_journal.h.
 */
int grants_signed(struct grant_hold *hold, json_t *signature, json_t **ret);

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
 * The slots of @a are those of @header now: it keeps @hold (NULL: none was
 * made), and of those before what the key of another slot needs. As
 * grant_journal.h; attachments_save() is the caller's.
 */
int grants_change(const struct grant_hold *hold, const struct header *header,
		  struct attachment *a);

/*
 * Of the slots of @header that LEASES_MORE_HEADER of @a has, if it has any, keep
 * those that the grants @a keeps are for, and those whose keys need none: a
 * check of the lease by another key, whose use nobody has granted, would be a
 * denial. As grant_journal.h and conf_load().
 */
int grants_narrow(struct agent *agent, const struct header *header,
		  struct attachment *a);

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
