// SPDX-License-Identifier: GPL-2.0
/*
 * Locking and unlocking of targets, the registry of them, and the work that
 * looks once a second at what the kernel's key code tells nobody.
 */

#include <linux/err.h>
#include <linux/key.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/suspend.h>
#include <linux/timekeeping.h>
#include <crypto/algapi.h>

#include "compat.h"
#include "envelope.h"

static bool allow_hibernation;
module_param(allow_hibernation, bool, 0644);
MODULE_PARM_DESC(allow_hibernation,
		 "Allow hibernation, which writes loaded keys to disk (default: 0)");

/* Guards the list, and target->key of all that are in it. */
static DEFINE_MUTEX(envelope_registry_mutex);
static LIST_HEAD(targets);

static void poll_work_fn(struct work_struct *work);
static DECLARE_DELAYED_WORK(poll_work, poll_work_fn);
static struct workqueue_struct *poll_wq;

static void sections_drained(struct percpu_ref *ref)
{
	struct envelope_target *target =
		container_of(ref, struct envelope_target, sections);

	complete(&target->drained);
}

int envelope_sections_init(struct envelope_target *target)
{
	int r;

	init_completion(&target->drained);
	r = percpu_ref_init(&target->sections, sections_drained,
			    PERCPU_REF_ALLOW_REINIT, GFP_KERNEL);
	target->have_sections = !r;
	return r;
}

void envelope_sections_exit(struct envelope_target *target)
{
	if (target->have_sections)
		percpu_ref_exit(&target->sections);
}

/* No section starts any more, and none runs when this returns. */
static void sections_close(struct envelope_target *target)
{
	percpu_ref_kill(&target->sections);
	wait_for_completion(&target->drained);
}

static void sections_open(struct envelope_target *target)
{
	reinit_completion(&target->drained);
	/* the new schedule before the ref that admits sections to it */
	smp_wmb();
	percpu_ref_reinit(&target->sections);
}

/* Whether what waits must fail in this state. */
static bool set_state(struct envelope_target *target,
		      enum envelope_state state, enum envelope_reason reason)
{
	bool fail_held;

	spin_lock_irq(&target->hold_lock);
	/* the first reason stays, when the data path was first to see it */
	if (target->state != state || state != ENVELOPE_LOCKED) {
		WRITE_ONCE(target->state, state);
		target->reason = reason;
	}
	fail_held = state == ENVELOPE_LOCKED && target->fail_when_locked;
	spin_unlock_irq(&target->hold_lock);
	return fail_held;
}

/* Under registry mutex, or before the target is in the registry. */
static struct key *target_key(struct envelope_target *target)
{
	return rcu_dereference_protected(target->key, true);
}

static void drop_key(struct envelope_target *target)
{
	struct key *key = target_key(target);

	RCU_INIT_POINTER(target->key, NULL);
	key_put(key);
}

/*
 * Locks one target: waits for the cipher calls, never for the disk. Idempotent;
 * the first reason stays. Under the registry mutex.
 */
static void lock_target(struct envelope_target *target,
			enum envelope_reason reason)
{
	bool fail_held;

	mutex_lock(&target->mutex);
	if (target->scrubbed) {
		mutex_unlock(&target->mutex);
		return;
	}

	fail_held = set_state(target, ENVELOPE_LOCKED, reason);
	sections_close(target);
	drop_key(target);
	envelope_cipher_scrub(&target->cipher);
	target->scrubbed = true;
	mutex_unlock(&target->mutex);

	if (fail_held)
		envelope_end_held(target, BLK_STS_IOERR);
	dm_table_event(target->ti->table);
}

void envelope_lock_users(struct key *key, enum envelope_reason reason)
{
	struct envelope_target *target;

	mutex_lock(&envelope_registry_mutex);
	list_for_each_entry(target, &targets, node)
		if (target_key(target) == key)
			lock_target(target, reason);
	mutex_unlock(&envelope_registry_mutex);
}

static enum envelope_reason poll_target(struct envelope_target *target,
					struct key *key)
{
	enum envelope_reason reason = ENVELOPE_REASON_NONE;

	/* the data path saw it dead: final, even if it was extended since */
	spin_lock_irq(&target->hold_lock);
	if (target->state == ENVELOPE_LOCKED)
		reason = target->reason;
	spin_unlock_irq(&target->hold_lock);
	if (reason == ENVELOPE_REASON_NONE)
		reason = envelope_key_dead(key);
	if (reason != ENVELOPE_REASON_NONE)
		return reason;
	if (ktime_get_boottime_seconds() >= envelope_key_deadline(key))
		return ENVELOPE_REASON_EXPIRED;
	return ENVELOPE_REASON_NONE;
}

/* A counted reference to a key that is in use and dead, or NULL. */
static struct key *find_dead_key(enum envelope_reason *reason_ret)
{
	struct envelope_target *target;
	struct key *dead = NULL;

	mutex_lock(&envelope_registry_mutex);
	list_for_each_entry(target, &targets, node) {
		struct key *key = target_key(target);
		enum envelope_reason reason;

		if (!key)
			continue;
		reason = poll_target(target, key);
		if (reason != ENVELOPE_REASON_NONE) {
			dead = key_get(key);
			*reason_ret = reason;
			break;
		}
	}
	mutex_unlock(&envelope_registry_mutex);
	return dead;
}

static void poll_work_fn(struct work_struct *work)
{
	enum envelope_reason reason;
	struct key *key;

	/* outside of the registry mutex, because key->sem comes before it */
	while ((key = find_dead_key(&reason))) {
		envelope_key_kill(key, reason);
		key_put(key);
	}

	mutex_lock(&envelope_registry_mutex);
	if (!list_empty(&targets))
		queue_delayed_work(poll_wq, &poll_work, HZ);
	mutex_unlock(&envelope_registry_mutex);
}

void envelope_key_died(struct envelope_target *target, const struct key *key,
		       enum envelope_reason reason)
{
	unsigned long flags;

	spin_lock_irqsave(&target->hold_lock, flags);
	/* key set may just have given the target another key */
	if (target->state == ENVELOPE_ACTIVE &&
	    rcu_access_pointer(target->key) == key) {
		WRITE_ONCE(target->state, ENVELOPE_LOCKED);
		target->reason = reason;
	}
	spin_unlock_irqrestore(&target->hold_lock, flags);
	mod_delayed_work(poll_wq, &poll_work, 0);
}

/* Takes over the key's reference. Under the locks of target->key. */
static void adopt_key(struct envelope_target *target, struct key *key,
		      bool leased, const char *name)
{
	if (!leased) {
		key_put(key);
		key = NULL;
	}
	rcu_assign_pointer(target->key, key);
	/* its time on the clock since boot begins now */
	if (key)
		envelope_key_deadline(key);

	spin_lock_irq(&target->hold_lock);
	target->leased = leased;
	strscpy(target->key_name, name, sizeof(target->key_name));
	spin_unlock_irq(&target->hold_lock);
}

/*
 * A volume locked now is unlocked, not loaded again: its table would not be.
 * Under the registry mutex.
 */
static bool is_locked(struct mapped_device *md)
{
	struct envelope_target *target;

	list_for_each_entry(target, &targets, node)
		if (READ_ONCE(target->live) &&
		    dm_table_get_md(target->ti->table) == md &&
		    READ_ONCE(target->state) == ENVELOPE_LOCKED)
			return true;
	return false;
}

static char *key_sentence(int err)
{
	switch (err) {
	case -EKEYREVOKED:
	case -EKEYEXPIRED:
		return "Key revoked or expired: unlock first";
	case -EINVAL:
		return "Invalid key: it must have 64 bytes and two different halves";
	case -EACCES:
		return "Key may not be used: permission denied";
	case -ENOKEY:
	case -EAGAIN:
		return "Key not found in the session or user keyring";
	default:
		return "Key cannot be used: the error code says why";
	}
}

/*
 * Nobody polls a key that no target has: its time on the clock since boot may be
 * over. Under key->sem and the registry mutex, after envelope_key_check().
 */
static bool is_overdue(struct key *key, bool leased)
{
	return leased &&
	       ktime_get_boottime_seconds() >= envelope_key_deadline(key);
}

/* Takes the target into the registry, unless its volume is locked. */
static int add_target(struct envelope_target *target, struct key *key,
		      const char *name)
{
	int r = 0;

	mutex_lock(&envelope_registry_mutex);
	/* asked here, too: key wipe finds what it locks in the registry */
	if (is_locked(dm_table_get_md(target->ti->table))) {
		r = -EKEYREVOKED;
	} else if (is_overdue(key, target->leased)) {
		r = -EKEYEXPIRED;
	} else {
		adopt_key(target, key_get(key), target->leased, name);
		if (list_empty(&targets))
			queue_delayed_work(poll_wq, &poll_work, HZ);
		list_add_tail(&target->node, &targets);
	}
	mutex_unlock(&envelope_registry_mutex);
	return r;
}

static int register_key(struct envelope_target *target, struct key *key,
			const char *name)
{
	bool leased = target->leased;
	int r;

	r = envelope_key_check(key, leased);
	if (r)
		return r;
	r = envelope_key_apply(key, leased, &target->cipher);
	if (r)
		return r;
	envelope_key_digest(key, leased, target->digest);
	return add_target(target, key, name);
}

int envelope_register(struct envelope_target *target, const char *name)
{
	struct key *key;
	bool locked;
	int r;

	mutex_lock(&envelope_registry_mutex);
	locked = is_locked(dm_table_get_md(target->ti->table));
	mutex_unlock(&envelope_registry_mutex);
	if (locked) {
		target->ti->error = key_sentence(-EKEYREVOKED);
		return -EKEYREVOKED;
	}

	key = envelope_key_find(target->leased, name);
	if (IS_ERR(key)) {
		target->ti->error = key_sentence(PTR_ERR(key));
		return PTR_ERR(key);
	}
	/* a revocation waits for key->sem, and then finds the target */
	down_read(&key->sem);
	r = register_key(target, key, name);
	up_read(&key->sem);
	key_put(key);
	if (r)
		target->ti->error = key_sentence(r);
	return r;
}

void envelope_unregister(struct envelope_target *target)
{
	mutex_lock(&envelope_registry_mutex);
	list_del_init(&target->node);
	drop_key(target);
	mutex_unlock(&envelope_registry_mutex);
}

static void activate(struct envelope_target *target)
{
	sections_open(target);
	target->scrubbed = false;
	spin_lock_irq(&target->hold_lock);
	WRITE_ONCE(target->state, ENVELOPE_ACTIVE);
	target->reason = ENVELOPE_REASON_NONE;
	envelope_restart_held(target);
	spin_unlock_irq(&target->hold_lock);
}

/* Under key->sem (read) and the registry mutex; the key is this volume's. */
static int unlock_target(struct envelope_target *target, struct key *key,
			 bool leased, const char *name)
{
	bool fail_held = false;
	int r;

	mutex_lock(&target->mutex);
	if (!target->scrubbed) {
		/* new I/O waits meanwhile, whatever on_lock says */
		set_state(target, ENVELOPE_SWITCHING, ENVELOPE_REASON_NONE);
		sections_close(target);
		drop_key(target);
		target->scrubbed = true;
	}

	r = envelope_key_apply(key, leased, &target->cipher);
	if (r) {
		envelope_cipher_scrub(&target->cipher);
		fail_held = set_state(target, ENVELOPE_LOCKED,
				      ENVELOPE_REASON_WIPED);
	} else {
		adopt_key(target, key_get(key), leased, name);
		activate(target);
	}
	mutex_unlock(&target->mutex);

	if (fail_held)
		envelope_end_held(target, BLK_STS_IOERR);
	dm_table_event(target->ti->table);
	return r;
}

/* Loaded to take the target's place, with the same secret. */
static bool is_successor(struct envelope_target *other,
			 struct envelope_target *target)
{
	return !READ_ONCE(other->live) &&
	       dm_table_get_md(other->ti->table) ==
	       dm_table_get_md(target->ti->table) &&
	       !crypto_memneq(other->digest, target->digest,
			      sizeof(target->digest));
}

/* As unlock_target(), and so that the next resume does not undo it. */
static int unlock_with_successors(struct envelope_target *target,
				  struct key *key, bool leased,
				  const char *name)
{
	struct envelope_target *other;
	int r;

	r = unlock_target(target, key, leased, name);
	list_for_each_entry(other, &targets, node)
		if (!r && other->scrubbed && is_successor(other, target))
			r = unlock_target(other, key, leased, name);
	return r;
}

/* Under key->sem (read): a key that is not this volume's changes nothing. */
static int check_and_unlock(struct envelope_target *target, struct key *key,
			    bool leased, const char *name)
{
	u8 digest[SHA256_DIGEST_SIZE];
	int r;

	r = envelope_key_check(key, leased);
	if (r)
		return r;
	envelope_key_digest(key, leased, digest);
	if (crypto_memneq(digest, target->digest, sizeof(digest))) {
		DMERR("%s: key set: this key is not the key of the volume",
		      dm_table_device_name(target->ti->table));
		r = -EKEYREJECTED;
	} else {
		mutex_lock(&envelope_registry_mutex);
		r = is_overdue(key, leased) ? -EKEYEXPIRED :
			unlock_with_successors(target, key, leased, name);
		mutex_unlock(&envelope_registry_mutex);
	}
	memzero_explicit(digest, sizeof(digest));
	return r;
}

int envelope_message_set(struct envelope_target *target, bool leased,
			 const char *name)
{
	/* what could be written to free memory may wait behind this lock */
	unsigned int noio = memalloc_noio_save();
	struct key *key;
	int r;

	key = envelope_key_find(leased, name);
	if (IS_ERR(key)) {
		r = PTR_ERR(key);
	} else {
		down_read(&key->sem);
		r = check_and_unlock(target, key, leased, name);
		up_read(&key->sem);
		key_put(key);
	}
	memalloc_noio_restore(noio);
	return r;
}

int envelope_message_wipe(struct envelope_target *target)
{
	unsigned int noio = memalloc_noio_save();
	struct envelope_target *other;

	mutex_lock(&envelope_registry_mutex);
	lock_target(target, ENVELOPE_REASON_WIPED);
	/* or the next resume would undo it */
	list_for_each_entry(other, &targets, node)
		if (is_successor(other, target))
			lock_target(other, ENVELOPE_REASON_WIPED);
	mutex_unlock(&envelope_registry_mutex);
	memalloc_noio_restore(noio);
	return 0;
}

int envelope_message_on_lock(struct envelope_target *target, bool fail)
{
	bool locked;

	spin_lock_irq(&target->hold_lock);
	target->fail_when_locked = fail;
	locked = target->state == ENVELOPE_LOCKED;
	spin_unlock_irq(&target->hold_lock);
	if (fail && locked)
		envelope_end_held(target, BLK_STS_IOERR);
	return 0;
}

static bool any_unlocked(void)
{
	struct envelope_target *target;
	bool any = false;

	mutex_lock(&envelope_registry_mutex);
	list_for_each_entry(target, &targets, node)
		any |= READ_ONCE(target->state) != ENVELOPE_LOCKED;
	mutex_unlock(&envelope_registry_mutex);
	return any;
}

static int pm_event(struct notifier_block *block, unsigned long event,
		    void *unused)
{
	if (event != PM_HIBERNATION_PREPARE || READ_ONCE(allow_hibernation))
		return NOTIFY_DONE;
	if (!envelope_key_count() && !any_unlocked())
		return NOTIFY_DONE;
	DMERR("hibernation refused: it would write a loaded key to disk (allow_hibernation=1 overrides)");
	return notifier_from_errno(-EBUSY);
}

static struct notifier_block pm_block = {
	.notifier_call = pm_event,
};

int envelope_lock_init(void)
{
	int r;

	/* a lock must come also when memory is short */
	poll_wq = alloc_workqueue("envelope_lock", WQ_MEM_RECLAIM, 0);
	if (!poll_wq)
		return -ENOMEM;
	r = register_pm_notifier(&pm_block);
	if (r)
		destroy_workqueue(poll_wq);
	return r;
}

void envelope_lock_exit(void)
{
	unregister_pm_notifier(&pm_block);
	cancel_delayed_work_sync(&poll_work);
	destroy_workqueue(poll_wq);
}
