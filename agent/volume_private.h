/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of volume_*.c share among themselves. */
#ifndef ENVELOPE_VOLUME_PRIVATE_H
#define ENVELOPE_VOLUME_PRIVATE_H

#include "volume.h"

/*
 * volume_rehearse.c
 *
 * What volume_format() hands to the process that rehearses: both are the same
 * program, so a struct is the whole protocol. No secrets. Empty texts: not
 * given.
 */
#define REHEARSAL_MAGIC 0x72656865u
#define REHEARSAL_TEXT_CHARS 1024

struct rehearsal {
	uint32_t magic;
	int32_t header_fd;		/* inherited */
	int32_t wipe_fd;		/* inherited; -1: wipe no signatures */
	uint32_t timeout_ms;
	struct header_core core;
	char header_name[4096];
	char wipe_name[4096];
	char config[REHEARSAL_TEXT_CHARS];
	char endpoint[REHEARSAL_TEXT_CHARS];
	char ca_file[REHEARSAL_TEXT_CHARS];
	char profile[REHEARSAL_TEXT_CHARS];
	char region[REHEARSAL_TEXT_CHARS];
	char key_arn[ARN_TEXT_BYTES];
	char context[16384];		/* JSON of the extra pairs */
	uint8_t wrapped[KMS_WRAPPED_MAX_BYTES];
	uint32_t wrapped_bytes;
};

/*
 * Run @request in a new process of this program, and wait for it.
 * The -errno that its exit status stands for; it has printed why.
 */
int rehearsal_run(const struct rehearsal *request);

/*
 * volume_format.c
 *
 * -EEXIST with a sentence, unless @force: @d has somebody's data on it, or
 * another volume, that @doing would destroy.
 */
int volume_check_blank(const struct device *d, const char *doing, bool force);

/*
 * volume_race.c
 */
/* Are there several slots to ask? */
bool volume_race_wanted(const struct volume *v);

/*
 * As volume_unwrap(). Those that have not answered then are in @v->race, and
 * end with volume_close().
 */
int volume_race(struct volume *v, const struct conf *conf,
		unsigned int timeout_ms, struct secret **dek_ret);

/* Ends what has not answered. NULL is accepted. */
void volume_race_end(struct volume_race *race);

/*
 * The key of the volume is in the kernel, under the device @name: a KMS that
 * denies it from now on locks it, also when this process has ended. -EACCES:
 * one has denied it meanwhile, and has said so.
 */
int volume_race_leave(struct volume *v, const char *name);

/*
 * volume_late.c
 *
 * What is to be locked when its KMS denies it: attached, or unlocked.
 */
struct late_order {
	char volume_id[HEADER_VOLUME_ID_CHARS];
	char name[DM_VOLUME_NAME_CHARS];
};

/*
 * The KMS that was asked last has denied the volume, as @why says: lock it,
 * unless it was detached or locked meanwhile. The journal is told, and the
 * audit, also where it cannot be locked at the second try, either.
 */
void volume_lock_late(const struct late_order *order, const char *why);

/*
 * volume_find.c
 *
 * Open the header of the attached @live; -EBADMSG: another volume's.
 */
int volume_open_below(const struct dm_volume *live, const char *header_path,
		      struct volume *ret);

/*
 * volume_lock.c
 *
 * Leave the seal of @v beside its DEK, which has no timeout yet. As seal_keep().
 */
int volume_keep_seal(const struct dm_volume *v, const struct secret *dek);

/*
 * volume_lease.c
 *
 * What applies to @core under @wish, to be attached by @target. -EINVAL with a
 * sentence: terms that cannot be kept, or a target that never locks.
 */
int lease_for(const struct header_core *core, const struct lease_wish *wish,
	      enum dm_target target, struct lease_terms *ret);

/*
 * Nobody could ask a KMS whether what a recovery key has opened may stay:
 * -EACCES with a sentence, where @access has one and @terms are a lease.
 */
int lease_refuse_recovery(const struct header_core *core,
			  const struct volume_access *access,
			  const struct lease_terms *terms);

/* Give the key of @volume_id the time that @terms leave since @asked_ms. */
int lease_start(const char *volume_id, const struct lease_terms *terms,
		uint64_t asked_ms);

/*
 * Does the new volume @name hold what cannot be locked: swap space, or, without
 * @force, the root of this system? -EBUSY with a sentence.
 */
int lease_refuse_needed(const char *name, bool force);

/*
 * volume_module.c
 *
 * Is the target of @target there? Tries modprobe(8) for it.
 * -ENOPKG with a sentence that says what to do. Else as dm.h.
 */
int module_require(enum dm_target target);

/*
 * volume_self.c
 *
 * -EINVAL with a sentence: a CA file of @conf is not there, and /etc/fstab says
 * that it is on @name itself.
 */
int self_check_fstab(const struct conf *conf, const char *name);

/*
 * What speaks against the lock of @s, for people: what unlocks may need pages
 * that are behind the lock. NULL: nothing. *@swap_ret: it is swap space, and
 * the whole system would wait.
 */
const char *self_needs(const struct dm_volume_status *s, bool *swap_ret);

#endif
