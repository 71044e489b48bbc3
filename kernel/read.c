// SPDX-License-Identifier: GPL-2.0
/*
 * Reads: dm's own clone goes down with our completion hooked in, and is
 * decrypted in place when it comes back.
 */

#include <linux/hardirq.h>
#include <linux/ktime.h>
#include <linux/preempt.h>

#include "compat.h"
#include "envelope.h"

static void continue_work(struct work_struct *work);

static inline void decrypt_end(struct envelope_io *io, int err)
{
	struct envelope_target *target = io->target;

	if (unlikely(io->crypt.holes)) {
		this_cpu_add(target->stats->holes, io->crypt.holes);
		io->crypt.holes = 0;
	}
	envelope_section_exit(target);
	if (likely(!err))
		envelope_finish(io, BLK_STS_OK);
	else if (err == -ENOSPC)
		envelope_queue_crypt(io, continue_work);
	else
		envelope_finish(io, errno_to_blk_status(err));
}

static void decrypt_done(struct envelope_crypt *crypt, int err)
{
	decrypt_end(container_of(crypt, struct envelope_io, crypt), err);
}

/* Goes on at the first block that is not decrypted yet. */
static void decrypt(struct envelope_io *io, bool backlog)
{
	int r;

	if (unlikely(!envelope_section_enter(io->target))) {
		envelope_hold(io);
		return;
	}
	r = envelope_crypt_run(&io->crypt, backlog);
	if (r != -EINPROGRESS)
		decrypt_end(io, r);
}

static void continue_work(struct work_struct *work)
{
	decrypt(container_of(work, struct envelope_io, work), true);
}

static void decrypt_work(struct work_struct *work)
{
	decrypt(container_of(work, struct envelope_io, work), false);
}

static void spread_work(struct work_struct *work)
{
	struct envelope_io *io = container_of(work, struct envelope_io, work);
	struct envelope_target *target = io->target;
	u64 queued_ns = io->queued_ns, began_ns = ktime_get_ns();

	decrypt(io, false);
	envelope_spread_ended(target, queued_ns, began_ns);
}

void envelope_read_decrypt(struct envelope_io *io)
{
	decrypt(io, false);
}

/* Before the device below moves bi_iter on. */
static void read_init_crypt(struct envelope_io *io)
{
	struct envelope_target *target = io->target;

	io->crypt.cipher = &target->cipher;
	io->crypt.src_vec = io->bio->bi_io_vec;
	io->crypt.dst_vec = io->bio->bi_io_vec;
	io->crypt.src = io->bio->bi_iter;
	io->crypt.sector = target->iv_offset_sectors + io->offset_sectors;
	io->crypt.encrypt = false;
	io->crypt.holes = 0;
	io->crypt.done = decrypt_done;
}

/*
 * A submitter that completes its own parts does what workers do not get to. An
 * interrupt may bring all parts at once, before any worker has begun: it deals
 * them out, and one in so many stays with the worker of its own CPU.
 */
static bool to_spread(struct envelope_target *target)
{
	if (preemptible())
		return !envelope_spread_enough(target);
	return envelope_spread_turn(target);
}

/*
 * The cipher cannot run in a hard interrupt or with interrupts off. A softirq
 * takes small reads only, so that it keeps nobody waiting for long; a large
 * one is decrypted here if it can be preempted.
 */
static void read_end_io(struct bio *bio)
{
	struct envelope_io *io = bio->bi_private;
	bool small = io->crypt.src.bi_size <= ENVELOPE_SOFTIRQ_MAX_BYTES;
	bool here;

	if (unlikely(bio->bi_status)) {
		envelope_finish(io, bio->bi_status);
		return;
	}

	io->step = ENVELOPE_STEP_DECRYPT;
	here = small ? !in_hardirq() && !irqs_disabled() : preemptible();
	if (unlikely(io->spread) && to_spread(io->target))
		envelope_queue_spread(io, spread_work);
	else if (here)
		envelope_read_decrypt(io);
	else if (small)
		envelope_queue_softirq(io);
	else
		envelope_queue_crypt(io, decrypt_work);
}

static inline void read_hook(struct envelope_io *io)
{
	struct envelope_target *target = io->target;
	struct bio *bio = io->bio;

	read_init_crypt(io);
	io->end_io = bio->bi_end_io;
	io->private = bio->bi_private;
	bio->bi_end_io = read_end_io;
	bio->bi_private = io;
	bio_set_dev(bio, target->dev->bdev);
	bio->bi_iter.bi_sector = target->start_sectors + io->offset_sectors;
	/* dm's mark of what is polled, too: below it means something else */
	bio->bi_opf &= ~(REQ_POLLED | REQ_DRV);
}

void envelope_read_submit(struct envelope_io *io)
{
	read_hook(io);
	dm_submit_bio_remap(io->bio, NULL);
}

static void submit_work(struct work_struct *work)
{
	envelope_read_submit(container_of(work, struct envelope_io, work));
}

int envelope_read_map(struct envelope_io *io)
{
	io->step = ENVELOPE_STEP_READ;
	if (unlikely(!envelope_open(io->target))) {
		if (io->bio->bi_opf & REQ_NOWAIT)
			return envelope_wouldblock(io->bio);
		envelope_hold(io);
		return DM_MAPIO_SUBMITTED;
	}
	envelope_spread(io);
	if (unlikely(envelope_send_later(io->target, io->bio))) {
		/* a worker may wait, and nobody takes its EAGAIN */
		io->bio->bi_opf &= ~REQ_NOWAIT;
		INIT_WORK(&io->work, submit_work);
		queue_work(io->target->submit_wq, &io->work);
		return DM_MAPIO_SUBMITTED;
	}
	read_hook(io);
	return DM_MAPIO_REMAPPED;
}
