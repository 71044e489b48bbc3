/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ends keys whose deletion date has passed: at start, every minute, and when
 * somebody asks for such a key. The material is overwritten in the database
 * and brought out of its log.
 */
#ifndef KMS_REAPER_H
#define KMS_REAPER_H

struct reaper;
struct server;

/*
 * The first round runs before reaper_start() returns. @s must outlive it.
 * 0; -ENOMEM; -EAGAIN (no thread). NULL is accepted by the others.
 */
int reaper_start(struct server *s, struct reaper **ret);
void reaper_stop(struct reaper *r);

/* Asks for a round now; does not wait for it. */
void reaper_wake(struct reaper *r);

#endif
