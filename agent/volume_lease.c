// SPDX-License-Identifier: GPL-2.0-or-later
/* What a lease does to a volume: its first time, and each time it is renewed. */
#include <errno.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "key_name.h"
#include "keyring.h"
#include "kms_check.h"
#include "log.h"
#include "volume_private.h"

uint64_t volume_clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

uint32_t volume_random(void)
{
	uint32_t random = 0;

	/* Without it, volumes ask together: no reason to fail. */
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
		random = 0;
	return random;
}

int lease_for(const struct header_core *core, const struct lease_wish *wish,
	      enum dm_target target, struct lease_terms *ret)
{
	struct lease_terms terms = lease_terms_choose(&core->lease, wish);
	const char *wrong = lease_terms_wrong(&terms);

	if (wrong) {
		log_error("this lease cannot be kept: %s", wrong);
		return -EINVAL;
	}
	if (terms.lease_ms && target == DM_TARGET_CRYPT) {
		log_error("volume %s has a lease, which dm-crypt cannot keep, since it never locks: attach it by --target envelope%s",
			  core->volume_id,
			  wish->lease_given ? "" : ", or with --lease 0");
		return -EINVAL;
	}
	*ret = terms;
	return 0;
}

int lease_refuse_recovery(const struct header_core *core,
			  const struct volume_access *access,
			  const struct lease_terms *terms)
{
	if (!access->recovery || terms->lease_ms == 0)
		return 0;
	log_error("volume %s has a lease, which a recovery key cannot keep: --lease 0 attaches or unlocks it without one",
		  core->volume_id);
	return -EACCES;
}

int lease_start(const char *volume_id, const struct lease_terms *terms,
		uint64_t asked_ms)
{
	struct lease_actions actions;
	struct lease l;
	int r;

	if (terms->lease_ms == 0)
		return 0;
	actions = lease_begin(&l, terms, asked_ms, volume_clock_ms(), 0);
	r = keyring_set_timeout(volume_id, actions.timeout_ms);
	/* A key that would never end is not what was asked for. */
	if (r < 0)
		keyring_drop_dek(volume_id);
	return r;
}

/* Does /etc/fstab want @device for the root, or what is behind it? */
static bool fstab_needs(const char *device)
{
	static const char *const needed[] = { "/", "/usr", "/etc", "/var" };
	FILE *f = setmntent("/etc/fstab", "re");
	struct mntent *m;
	bool found = false;
	size_t i;

	while (f && !found && (m = getmntent(f)))
		for (i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
			found |= strcmp(m->mnt_fsname, device) == 0 &&
				 strcmp(m->mnt_dir, needed[i]) == 0;
	if (f)
		endmntent(f);
	return found;
}

int lease_refuse_needed(const char *name, bool force)
{
	char path[32 + DM_VOLUME_NAME_CHARS];
	char signature[DEVICE_SIGNATURE_CHARS] = "";
	struct device d = DEVICE_CLOSED;
	int r;

	snprintf(path, sizeof(path), "/dev/mapper/%s", name);
	r = device_open(path, 0, &d);
	if (r == 0)
		r = device_signature(&d, signature);
	device_close(&d);
	if (r < 0)
		return r;
	if (strstr(signature, "swap")) {
		log_error("'%s' holds swap space, which must not be locked: attach it with --lease 0",
			  name);
		return -EBUSY;
	}
	if (force || !fstab_needs(path))
		return 0;
	log_error("'%s' holds what this system runs from, by /etc/fstab: if it were locked, nobody might be able to unlock it; --lease 0, or --force",
		  name);
	return -EBUSY;
}

static enum lease_answer check_slot(struct volume *v, struct volume_kms *k,
				    size_t index)
{
	struct header_slot slot = header_slot_get(v->header, index);
	enum lease_answer answer = LEASE_UNREACHABLE;
	json_t *context = NULL;

	if (volume_permit_slot(v, k, index, &context) == 0)
		answer = kms_check(k->kms, slot.key_id, context,
				   slot.ciphertext, slot.ciphertext_bytes);
	json_decref(context);
	return answer;
}

enum lease_answer volume_check_with(struct volume *v, struct volume_kms *k)
{
	enum lease_answer worst = LEASE_UNREACHABLE;
	size_t i;

	for (i = 0; i < header_slot_count(v->header); i++) {
		enum lease_answer answer;
		enum key_kind kind;

		if (key_provider_find(header_slot_get(v->header, i).provider,
				      &kind) < 0)
			continue;
		answer = check_slot(v, k, i);

		if (answer == LEASE_ALARM)
			worst = answer;
		if (answer == LEASE_ALARM || answer == LEASE_UNREACHABLE)
			continue;
		worst = answer;
		break;
	}
	return worst;
}

static enum lease_answer check(struct volume *v,
			       const struct volume_access *access)
{
	enum lease_answer answer;
	struct volume_kms k = { 0 };

	if (volume_kms_open(access, &k) < 0)
		return LEASE_UNREACHABLE;
	answer = volume_check_with(v, &k);
	volume_kms_close(&k);
	return answer;
}

static void wait_until(uint64_t ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	while (clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &t, NULL) ==
	       EINTR)
		;
}

/* One question, and another where the answer has to be confirmed. */
static struct lease_actions ask(struct volume *v, struct lease *l,
				const struct volume_access *access)
{
	struct lease_actions actions;
	enum lease_answer answer;

	do {
		if (!l->asking) {
			wait_until(lease_wake_ms(l));
			lease_tick(l, volume_clock_ms());
		}
		answer = check(v, access);
		actions = lease_answered(l, answer, volume_clock_ms(),
					 volume_random());
	} while (actions.ask || actions.event == LEASE_EVENT_DENIED);
	return actions;
}

static int obey(const struct dm_volume *live,
		const struct lease_actions *actions)
{
	int r;

	switch (actions->event) {
	case LEASE_EVENT_RENEWED:
		return keyring_set_timeout(live->volume_id,
					   actions->timeout_ms);
	case LEASE_EVENT_REVOKED:
		r = keyring_drop_dek(live->volume_id);
		if (r < 0)
			return r;
		log_error("'%s' is locked: the KMS denies its key, asked twice",
			  live->name);
		return -EACCES;
	default:
		log_warn("'%s': the lease is not renewed; the key's time runs on",
			 live->name);
		return -EHOSTUNREACH;
	}
}

static int find_leased(const struct volume_renew_options *o, struct volume *v,
		       struct volume_renew_result *result)
{
	struct dm_volume_status *s = &result->status;
	int r;

	r = volume_find(o->name, s);
	if (r == 0 && s->state == DM_STATE_LOCKED) {
		log_error("'%s' is locked (%s): unlock it first",
			  s->volume.name, s->reason);
		return -EKEYREVOKED;
	}
	if (r == 0)
		r = volume_open_below(&s->volume, o->header_path, v);
	if (r == 0)
		r = lease_for(header_core(v->header), &o->lease,
			      s->volume.target, &result->lease);
	if (r == 0 && result->lease.lease_ms == 0) {
		log_error("'%s' has no lease to renew: --lease gives it one",
			  s->volume.name);
		r = -EINVAL;
	}
	return r;
}

int volume_renew(const struct volume_renew_options *o,
		 struct volume_renew_result *ret)
{
	struct volume_renew_result result = { 0 };
	struct volume v = VOLUME_CLOSED;
	struct lease_actions actions;
	struct lease l;
	int r;

	r = find_leased(o, &v, &result);
	if (r < 0)
		goto out;
	/* Only the kernel knows when the key ends: it has the last word. */
	lease_resume(&l, &result.lease, UINT64_MAX, volume_clock_ms());
	actions = ask(&v, &l, &o->access);
	r = obey(&result.status.volume, &actions);
	volume_verb_ended("renew", result.status.volume.name,
			  result.status.volume.volume_id, r);
	if (r == 0)
		*ret = result;
out:
	volume_close(&v);
	return r;
}
