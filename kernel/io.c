// SPDX-License-Identifier: GPL-2.0
/*
 * The life of one bio that reads and writes have in common: the gate it
 * passes, the list it waits on while locked, the queues, and its end.
 */

#include <linux/blkdev.h>
#include <linux/cpumask.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/module.h>

#include "compat.h"
#include "envelope.h"

/*
 * To decrypt 128 KiB takes 250,000 instructions, and to have a worker do it
 * some 8,000 more (dm-crypt with and without its queues, in
 * tests/bench/RESULTS.md): 3 %, and 13 % with parts a quarter of the size.
 */
static unsigned int spread_bytes = ENVELOPE_SPREAD_BYTES;
module_param(spread_bytes, uint, 0644);
MODULE_PARM_DESC(spread_bytes,
		 "Larger requests are cut into parts of this size for several CPUs, 0: never (default: 131072)");

/* A part that waited for longer, and for longer than so many parts take, ... */
#define SPREAD_WAIT_NS		NSEC_PER_MSEC
#define SPREAD_WAIT_PARTS	16
/*
 * ... found no idle CPU: nothing is spread for so long. The submitter does what
 * workers do not get to, but cannot take back what they have been given: beside
 * a program that computes, each request would wait for its slice to end.
 */
#define SPREAD_PAUSE		(HZ / 10)
/*
 * Parts with the worker of each CPU but one, where the submitter works: the one
 * it does now, and the next, so that it need not wait until the submitter has
 * done its own.
 */
#define SPREAD_PARTS_A_CPU	2

/*
 * Decryption that left an interrupt, and what a full cipher queue sent back.
 * Its work neither allocates nor submits, so it always goes forward.
 */
static struct workqueue_struct *crypt_wq;

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
	if (io->end_io) {
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
	/* asked each time: an interrupted suspend takes nothing back any more */
	if (dm_noflush_suspending(target->ti)) {
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
		envelope_write_start(io);
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

bool envelope_below_splits(struct envelope_target *target, struct bio *bio)
{
	struct request_queue *queue = bdev_get_queue(target->dev->bdev);

	return queue_is_mq(queue) &&
	       bio_sectors(bio) > queue_max_sectors(queue);
}

/*
 * Not with NOWAIT: a part could be on its way before another one says EAGAIN.
 * Whether CPUs are idle is learned from what parts before this one have found.
 */
void envelope_spread_large(struct envelope_io *io)
{
	struct envelope_target *target = io->target;
	struct bio *bio = io->bio;
	unsigned int bytes = round_down(READ_ONCE(spread_bytes),
					ENVELOPE_BLOCK_MAX_BYTES);

	if (!bytes || bio->bi_iter.bi_size <= bytes || num_online_cpus() == 1 ||
	    (bio->bi_opf & REQ_NOWAIT) ||
	    time_before(jiffies, READ_ONCE(target->spread_after)))
		return;
	dm_accept_partial_bio(bio, bytes >> SECTOR_SHIFT);
	io->spread = true;
}

void envelope_queue_spread(struct envelope_io *io, work_func_t fn)
{
	/* once started again after a lock, it stays with that worker */
	io->spread = false;
	io->queued_ns = ktime_get_ns();
	/* a counter all CPUs share, but taken only for parts of this size */
	atomic_inc(&io->target->spread_parts);
	INIT_WORK(&io->work, fn);
	queue_work(io->target->spread_wq, &io->work);
}

bool envelope_spread_enough(struct envelope_target *target)
{
	int others = num_online_cpus() - 1;

	return atomic_read(&target->spread_parts) >=
	       SPREAD_PARTS_A_CPU * others;
}

bool envelope_spread_turn(struct envelope_target *target)
{
	unsigned int turn = atomic_inc_return(&target->spread_turn);

	return turn % num_online_cpus();
}

void envelope_spread_ended(struct envelope_target *target, u64 queued_ns,
			   u64 began_ns)
{
	u64 waited_ns = began_ns - queued_ns;
	u64 took_ns = ktime_get_ns() - began_ns;

	atomic_dec(&target->spread_parts);
	if (waited_ns > SPREAD_WAIT_NS + SPREAD_WAIT_PARTS * took_ns)
		WRITE_ONCE(target->spread_after, jiffies + SPREAD_PAUSE);
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
