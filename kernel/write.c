// SPDX-License-Identifier: GPL-2.0
/*
 * Writes: encrypted by the submitter into bounce pages, which then go down in
 * a bio of their own.
 */

#include <linux/ktime.h>

#include "compat.h"
#include "envelope.h"

static void write_crypt(struct envelope_io *io, bool backlog);

static void bounce_free(struct envelope_io *io)
{
	struct envelope_target *target = io->target;

	envelope_pages_free(&target->pages, io->bounce);
	bio_put(io->bounce);
	io->bounce = NULL;
}

static void write_end_io(struct bio *bounce)
{
	struct envelope_io *io = bounce->bi_private;
	blk_status_t status = bounce->bi_status;

	bounce_free(io);
	envelope_finish(io, status);
}

static int bounce_fill(struct envelope_io *io, gfp_t gfp)
{
	struct envelope_target *target = io->target;
	struct bio *bio = io->bio, *bounce;
	unsigned int bytes = bio->bi_iter.bi_size;

	bounce = bio_alloc_bioset(target->dev->bdev,
				  DIV_ROUND_UP(bytes, PAGE_SIZE),
				  bio->bi_opf & ~(REQ_POLLED | REQ_DRV), gfp,
				  &target->bios);
	if (!bounce)
		return -ENOMEM;
	if (envelope_pages_alloc(&target->pages, bounce, bytes, gfp)) {
		bio_put(bounce);
		return -ENOMEM;
	}
	bounce->bi_iter.bi_sector = target->start_sectors + io->offset_sectors;
	bounce->bi_ioprio = bio->bi_ioprio;
	envelope_bio_copy_hint(bounce, bio);
	bounce->bi_end_io = write_end_io;
	bounce->bi_private = io;
	io->bounce = bounce;
	return 0;
}

/*
 * First without waiting. Then one writer at a time takes its whole set: two
 * that each hold half of the reserve would wait for each other for ever.
 */
static int bounce_alloc(struct envelope_io *io)
{
	struct envelope_target *target = io->target;
	int r;

	r = bounce_fill(io, GFP_NOWAIT | __GFP_NOWARN);
	if (likely(!r))
		return 0;
	if (io->bio->bi_opf & REQ_NOWAIT)
		return -EAGAIN;
	/* locked: it need not wait for pages, which only the disk gives back */
	if (!envelope_open(target))
		return -ENOKEY;
	mutex_lock(&target->page_mutex);
	r = bounce_fill(io, GFP_NOIO);
	mutex_unlock(&target->page_mutex);
	return r;
}

static void submit_work(struct work_struct *work)
{
	struct envelope_io *io = container_of(work, struct envelope_io, work);

	dm_submit_bio_remap(io->bio, io->bounce);
}

static void backlog_work(struct work_struct *work)
{
	write_crypt(container_of(work, struct envelope_io, work), true);
}

/* Out of the submitter's context: nobody is there to take an EAGAIN. */
static void queue_submit(struct envelope_io *io, work_func_t fn)
{
	io->bio->bi_opf &= ~REQ_NOWAIT;
	io->bounce->bi_opf &= ~REQ_NOWAIT;
	INIT_WORK(&io->work, fn);
	queue_work(io->target->submit_wq, &io->work);
}

/* atomic: called by the cipher, where nothing can be submitted */
static void write_crypt_end(struct envelope_io *io, int err, bool atomic)
{
	envelope_section_exit(io->target);
	if (unlikely(err == -ENOSPC)) {
		queue_submit(io, backlog_work);
	} else if (unlikely(err)) {
		bounce_free(io);
		envelope_finish(io, errno_to_blk_status(err));
	} else if (atomic || envelope_send_later(io->target, io->bounce)) {
		queue_submit(io, submit_work);
	} else {
		dm_submit_bio_remap(io->bio, io->bounce);
	}
}

static void write_crypt_done(struct envelope_crypt *crypt, int err)
{
	write_crypt_end(container_of(crypt, struct envelope_io, crypt), err,
			true);
}

static void write_init_crypt(struct envelope_io *io)
{
	struct envelope_target *target = io->target;

	io->crypt.cipher = &target->cipher;
	io->crypt.src_vec = io->bio->bi_io_vec;
	io->crypt.src = io->bio->bi_iter;
	io->crypt.dst_vec = io->bounce->bi_io_vec;
	io->crypt.dst = io->bounce->bi_iter;
	io->crypt.sector = target->iv_offset_sectors + io->offset_sectors;
	io->crypt.encrypt = true;
	io->crypt.holes = 0;
	io->crypt.done = write_crypt_done;
}

/*
 * Encrypts what is left. A volume that locks meanwhile takes the pages away:
 * the write starts over when it is restarted.
 */
static void write_crypt(struct envelope_io *io, bool backlog)
{
	int r;

	if (unlikely(!envelope_section_enter(io->target))) {
		bounce_free(io);
		/* still set: this is map, and nothing was submitted */
		if (io->bio->bi_opf & REQ_NOWAIT)
			envelope_wouldblock(io->bio);
		else
			envelope_hold(io);
		return;
	}
	/* the io belongs to the cipher once it has answered -EINPROGRESS */
	r = envelope_crypt_run(&io->crypt, backlog);
	if (r != -EINPROGRESS)
		write_crypt_end(io, r, false);
}

static void spread_work(struct work_struct *work)
{
	struct envelope_io *io = container_of(work, struct envelope_io, work);
	struct envelope_target *target = io->target;
	u64 queued_ns = io->queued_ns, began_ns = ktime_get_ns();

	write_crypt(io, false);
	envelope_spread_ended(target, queued_ns, began_ns);
}

/*
 * The gate is the section: a write that finds the volume locked gives its pages
 * back at once. Asking before, too, would cost every write for the sake of those
 * few.
 */
void envelope_write_start(struct envelope_io *io)
{
	int r = bounce_alloc(io);

	if (unlikely(r)) {
		if (r == -EAGAIN)
			envelope_wouldblock(io->bio);
		else if (r == -ENOKEY)
			envelope_hold(io);
		else
			envelope_finish(io, BLK_STS_RESOURCE);
		return;
	}
	write_init_crypt(io);
	if (unlikely(io->spread) && !envelope_spread_enough(io->target))
		envelope_queue_spread(io, spread_work);
	else
		write_crypt(io, false);
}

int envelope_write_map(struct envelope_io *io)
{
	struct bio *bio = io->bio;

	io->step = ENVELOPE_STEP_WRITE;
	envelope_spread(io);
	if (unlikely(bio->bi_iter.bi_size > ENVELOPE_WRITE_MAX_BYTES)) {
		/* a part could be written before a later one says EAGAIN */
		if (bio->bi_opf & REQ_NOWAIT)
			return envelope_wouldblock(bio);
		dm_accept_partial_bio(bio, ENVELOPE_WRITE_MAX_BYTES >>
				      SECTOR_SHIFT);
	}
	envelope_write_start(io);
	return DM_MAPIO_SUBMITTED;
}
