/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One process at a time, for the moments in which two would be wrong. */
#ifndef ENVELOPE_LOCK_H
#define ENVELOPE_LOCK_H

/*
 * Wait until no other process has the lock file @path, which is made, and have
 * it. A descriptor for lock_drop(); -1 where there is no /run, as in an
 * initramfs or a rescue shell: nobody to race with. Not to be taken twice.
 */
int lock_take(const char *path);

/* Let the next one in; -1 is accepted. */
void lock_drop(int lock);

#endif
