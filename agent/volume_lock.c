// SPDX-License-Identifier: GPL-2.0-or-later
/* Locking an attached volume by hand, and unlocking it by the KMS. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "audit.h"
#include "event.h"
#include "keyring.h"
#include "log.h"
#include "seal.h"
#include "volume_private.h"

#define DROP_CACHES "/proc/sys/vm/drop_caches"

/* @what: 1 for pages, 3 for directory entries and inodes, too. */
static int drop_caches(const char *what)
{
	int fd = open(DROP_CACHES, O_WRONLY | O_CLOEXEC);
	int r = 0;

	if (fd < 0 || write(fd, what, 1) != 1) {
		r = -errno;
		log_error("cannot drop caches: %s: %s", DROP_CACHES,
			  strerror(errno));
	}
	if (fd >= 0)
		close(fd);
	return r;
}

static int check_lockable(const struct volume_lock_options *o,
			  const struct dm_volume_status *s)
{
	const char *needed;
	bool swap = false;

	if (s->volume.target != DM_TARGET_ENVELOPE || !s->revocable) {
		log_error("'%s' cannot be locked: its target does not lock when its key ends; detach it",
			  s->volume.name);
		return -EOPNOTSUPP;
	}
	needed = self_needs(s, &swap);
	if (!needed || (o->force && !swap))
		return 0;
	log_error("'%s' holds %s: if it were locked, nobody might be able to unlock it%s",
		  s->volume.name, needed,
		  swap ? "; swapoff first" : ": --force does it nevertheless");
	return -EBUSY;
}

/* A key that is gone by other means has no name; the target has its copy. */
int volume_end_key(const struct dm_volume_status *s,
		   struct dm_volume_status *ret)
{
	int r = keyring_drop_dek(s->volume.volume_id);

	if (r == 0)
		r = dm_volume_status_get(s->volume.name, ret);
	if (r == 0 && ret->state == DM_STATE_ACTIVE)
		r = dm_volume_message(s->volume.name, "key wipe");
	return r == 0 ? dm_volume_status_get(s->volume.name, ret) : r;
}

/* Before the lock, inodes, too: later they might need I/O, which waits. */
int volume_drop_caches(bool before)
{
	if (before)
		sync();
	return drop_caches(before ? "3" : "1");
}

int volume_lock(const struct volume_lock_options *o,
		struct dm_volume_status *ret)
{
	struct dm_volume_status s = { 0 };
	struct dm_volume_status after = { 0 };
	bool active;
	int r;

	r = volume_find(o->name, &s);
	if (r == 0)
		r = check_lockable(o, &s);
	if (r < 0)
		return r;
	active = s.state == DM_STATE_ACTIVE;
	/* Behind the lock, what is dirty could not be written any more. */
	if (o->drop_caches && active)
		r = volume_drop_caches(true);
	if (r == 0)
		r = volume_end_key(&s, &after);
	/* What was read since. */
	if (r == 0 && o->drop_caches)
		r = volume_drop_caches(false);
	if (r == 0)
		*ret = after;
	return r;
}

/*
 * The target locks by a clock that nobody sets; to the keyring, whose clock was
 * set back, the same key may be alive.
 */
static int drop_expired(const struct dm_volume *live)
{
	struct dm_volume_status s;
	int r = dm_volume_status_get(live->name, &s);

	if (r == 0 && s.state == DM_STATE_LOCKED &&
	    strcmp(s.reason, "expired") == 0)
		r = keyring_drop_dek(live->volume_id);
	return r;
}

int volume_keep_seal(const struct dm_volume *v, const struct secret *dek)
{
	uint8_t uuid[HEADER_UUID_BYTES];
	struct seal *seal = NULL;
	int r;

	r = header_uuid_parse(v->uuid, uuid);
	if (r < 0) {
		log_error("'%s': its dm uuid names no volume", v->name);
		return r;
	}
	r = seal_from_id(dek, v->volume_id, uuid, &seal);
	if (r == 0)
		r = seal_keep(seal, v->volume_id);
	seal_free(seal);
	return r;
}

int volume_give_key(const struct dm_volume *live, const struct secret *dek,
		    const struct lease_terms *terms, uint64_t asked_ms)
{
	char message[64 + HEADER_VOLUME_ID_CHARS];
	int32_t serial;
	int r;

	r = drop_expired(live);
	if (r == 0)
		r = keyring_add_dek(live->volume_id, dek, &serial);
	/* The key that is there already is another's. */
	if (r < 0)
		return r;
	r = volume_keep_seal(live, dek);
	if (r == 0)
		r = lease_start(live->volume_id, terms, asked_ms);
	snprintf(message, sizeof(message), "key set :%d:%s:%s", HEADER_DEK_BYTES,
		 KEYRING_TYPE, live->volume_id);
	if (r == 0)
		r = dm_volume_message(live->name, message);
	if (r < 0)
		keyring_drop_dek(live->volume_id);
	return r;
}

int volume_unlock(const struct volume_unlock_options *o,
		  struct dm_volume_status *ret)
{
	struct volume v = VOLUME_CLOSED;
	struct dm_volume_status s = { 0 };
	struct secret *dek = NULL;
	struct lease_terms terms;
	uint64_t asked_ms = volume_clock_ms();
	bool holds_audit;
	int r;

	r = volume_find(o->name, &s);
	if (r == 0)
		r = volume_check_id(s.volume.name, s.volume.volume_id,
				    o->volume_id);
	if (r == 0 && s.state == DM_STATE_ACTIVE)
		goto out;
	holds_audit = r == 0 && volume_holds_audit(&s);
	if (r == 0)
		r = volume_open_below(&s.volume, o->header_path, &v);
	if (r == 0)
		r = lease_for(header_core(v.header), &o->lease,
			      s.volume.target, &terms);
	if (r == 0)
		r = lease_refuse_recovery(header_core(v.header), &o->access,
					  &terms);
	v.event = EVENT_REATTACH;
	if (r == 0)
		r = volume_unwrap(&v, &o->access, &dek);
	/* Recorded first: what cannot be recorded is not given out. */
	if (r == 0 && !holds_audit)
		r = audit_verb("unlock", s.volume.name, s.volume.volume_id);
	if (r == 0)
		r = volume_give_key(&s.volume, dek, &terms, asked_ms);
	if (r == 0) {
		r = volume_race_leave(&v, s.volume.name);
		if (r < 0)
			keyring_drop_dek(s.volume.volume_id);
	}
	if (r == 0)
		r = dm_volume_status_get(s.volume.name, &s);
	if (r < 0 || holds_audit)
		volume_verb_ended("unlock", s.volume.name[0] ? s.volume.name :
				  o->name, s.volume.volume_id, r);
out:
	secret_free(dek);
	volume_close(&v);
	if (r == 0)
		*ret = s;
	return r;
}
