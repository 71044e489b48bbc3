/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What happens to volumes, to the journal and to those who subscribe. */
#ifndef ENVELOPE_EVENTS_H
#define ENVELOPE_EVENTS_H

#include <sys/types.h>

#include "event.h"

/* Beside those of event.h. */
#define EVENT_DETACH "detachVolume"
#define EVENT_RENEW "renewLease"

/*
 * Tell the journal, and of those who subscribe root and the user @uid, whose
 * volume it is. A connection may end by it, and its calls.
 */
void events_tell(const struct event *e, uid_t uid);

#endif
