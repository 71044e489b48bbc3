/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a new agent finds of the one before. */
#ifndef ENVELOPE_RESTORE_H
#define ENVELOPE_RESTORE_H

#include "agent.h"

/*
 * Compare what is remembered with the devices that are there. An attach that
 * was not answered is undone, a detach that began is finished; a volume whose
 * device is gone is forgotten, with its key. What cannot be undone, as the
 * device is in use, stays and is its owner's.
 *
 * -EIO and others of dm.h when the devices cannot be seen; prints.
 */
int restore(struct agent *agent);

#endif
