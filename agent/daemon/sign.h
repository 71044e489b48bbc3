/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The grant that a caller signs before a KMS is asked for his volume's key. */
#ifndef ENVELOPE_SIGN_H
#define ENVELOPE_SIGN_H

#include "grants.h"
#include "server.h"
#include "worker.h"

/*
 * Have the caller of @c sign the grant for slot @slot of @h on @shown, if one is
 * needed, and @w send it; without one @w unwraps at once. The hold goes to
 * *@ret. Then comes sign_made(), from @w's event granted. As grants_offer();
 * -EACCES: @c was not called with `more`. Prints its own error.
 *
 * Who has gone takes the call along, with what on_gone frees.
 */
int sign_ask(struct call *c, struct worker *w, const struct header *h,
	     const char *shown, struct grant_hold **ret);

/* The same for slot @slot alone. */
int sign_ask_slot(struct call *c, struct worker *w, const struct header *h,
		  size_t slot, const char *shown, struct grant_hold **ret);

/*
 * The worker's event granted, for the slot @slot. As grant_journal.h, prints are
 * done.
 */
int sign_made(struct grant_hold *hold, struct worker *w, size_t slot,
	      const char *id);

#endif
