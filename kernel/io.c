// SPDX-License-Identifier: GPL-2.0
/*
 * The life of one bio that reads and writes have in common: the gate it
 * passes, the list it waits on while locked, the queues, and its end.
 */

#include "compat.h"
#include "envelope.h"

/*
 * Decryption that left an interrupt, and what a full cipher queue sent back.
 * Its work neither allocates nor submits, so it always goes forward.
 */
static struct workqueue_struct *crypt_wq;

bool envelope_open(struct envelope_target *target)
{
	enum envelope_reason reason = ENVELOPE_REASON_NONE;
	const struct key *key;

	if (unlikely(READ_ONCE(target->state) != ENVELOPE_ACTIVE))
		return false;

	rcu_read_lock();
	key = rcu_dereference(target->key);
	if (key)
		reason = envelope_key_dead(key);
	if (unlikely(reason != ENVELOPE_REASON_NONE))
		envelope_key_died(target, key, reason);
	rcu_read_unlock();
	return reason == ENVELOPE_REASON_NONE;
}

bool envelope_section_enter(struct envelope_target *target)
{
	if (unlikely(!percpu_ref_tryget_live(&target->sections)))
		return false;
	/* pairs with sections_open(): the schedule is that of this key */
	smp_rmb();
	if (likely(envelope_open(target)))
		return true;
	percpu_ref_put(&target->sections);
	return false;
}

void envelope_section_exit(struct envelope_target *target)
{
	percpu_ref_put(&target->sections);
}

void envelope_finish(struct envelope_io *io, blk_status_t status)
{
	struct envelope_target *target = io->target;
	struct bio *bio = io->bio;

	if (likely(!status)) {
		if (io->step == ENVELOPE_STEP_WRITE)
			this_cpu_inc(target->stats->writes);
		else if (io->step != ENVELOPE_STEP_PASS)
			this_cpu_inc(target->stats->reads);
	} else if (status != BLK_STS_AGAIN && status != BLK_STS_DM_REQUEUE) {
		this_cpu_inc(target->stats->errors);
	}

	bio->bi_status = status;
	if (io->hooked) {
		/* our hook ran in bio_endio(): go on where it left off */
		bio->bi_end_io = io->end_io;
		bio->bi_private = io->private;
		bio->bi_end_io(bio);
	} else {
		bio_endio(bio);
	}
}

int envelope_wouldblock(struct bio *bio)
{
	bio_wouldblock_error(bio);
	return DM_MAPIO_SUBMITTED;
}

void envelope_restart_held(struct envelope_target *target)
{
	bio_list_merge(&target->restarting, &target->held);
	bio_list_init(&target->held);
	queue_work(target->restart_wq, &target->restart_work);
}

void envelope_hold(struct envelope_io *io)
{
	struct envelope_target *target = io->target;
	struct bio *bio = io->bio;
	blk_status_t status = BLK_STS_OK;
	unsigned long flags;

	/* whoever polls or waits for EAGAIN is not there any more */
	bio->bi_opf &= ~(REQ_NOWAIT | REQ_POLLED);

	spin_lock_irqsave(&target->hold_lock, flags);
	if (target->requeue) {
		status = BLK_STS_DM_REQUEUE;
	} else if (target->state == ENVELOPE_LOCKED &&
		   (target->fail_when_locked || (bio->bi_opf & REQ_RAHEAD))) {
		status = BLK_STS_IOERR;
	} else {
		bio_list_add(&target->held, bio);
		/* unlocked since the caller looked: nobody else restarts it */
		if (target->state == ENVELOPE_ACTIVE)
			envelope_restart_held(target);
	}
	spin_unlock_irqrestore(&target->hold_lock, flags);

	if (status)
		envelope_finish(io, status);
}

static void restart(struct envelope_io *io)
{
	if (!envelope_open(io->target)) {
		envelope_hold(io);
		return;
	}

	switch (io->step) {
	case ENVELOPE_STEP_READ:
		envelope_read_submit(io);
		break;
	case ENVELOPE_STEP_DECRYPT:
		envelope_read_decrypt(io);
		break;
	case ENVELOPE_STEP_WRITE:
		envelope_write_restart(io);
		break;
	case ENVELOPE_STEP_PASS:
		dm_submit_bio_remap(io->bio, NULL);
		break;
	}
}

void envelope_restart_work(struct work_struct *work)
{
	struct envelope_target *target =
		container_of(work, struct envelope_target, restart_work);
	struct bio *bio;

	for (;;) {
		spin_lock_irq(&target->hold_lock);
		bio = bio_list_pop(&target->restarting);
		spin_unlock_irq(&target->hold_lock);
		if (!bio)
			return;
		restart(envelope_io_of(target, bio));
		cond_resched();
	}
}

void envelope_end_held(struct envelope_target *target, blk_status_t status)
{
	struct bio_list list;
	struct bio *bio;

	spin_lock_irq(&target->hold_lock);
	list = target->restarting;
	bio_list_init(&target->restarting);
	bio_list_merge(&list, &target->held);
	bio_list_init(&target->held);
	spin_unlock_irq(&target->hold_lock);

	while ((bio = bio_list_pop(&list)))
		envelope_finish(envelope_io_of(target, bio), status);
}

void envelope_queue_crypt(struct envelope_io *io, work_func_t fn)
{
	INIT_WORK(&io->work, fn);
	queue_work(crypt_wq, &io->work);
}

int envelope_io_init(void)
{
	int r;

	crypt_wq = alloc_workqueue("envelope_crypt",
				   WQ_HIGHPRI | WQ_MEM_RECLAIM, 0);
	if (!crypt_wq)
		return -ENOMEM;
	r = envelope_softirq_init();
	if (r)
		destroy_workqueue(crypt_wq);
	return r;
}

void envelope_io_exit(void)
{
	envelope_softirq_exit();
	destroy_workqueue(crypt_wq);
}
