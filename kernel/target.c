// SPDX-License-Identifier: GPL-2.0
/*
 * dm-envelope: a device-mapper target that encrypts every block under one key
 * from the kernel's keyring, and locks at once when that key is revoked.
 *
 * The contents page: read it from the bottom up. uapi.h is the manual.
 */

#include <linux/blkdev.h>
#include <linux/cpumask.h>
#include <linux/init.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "compat.h"
#include "envelope.h"

#define MIN_IOS		64	/* bounce bios kept for times of short memory */

static unsigned int per_bio_bytes(struct envelope_target *target)
{
	return ALIGN(offsetof(struct envelope_io, crypt) +
		     target->cipher.crypt_bytes, ARCH_DMA_MINALIGN);
}

struct envelope_io *envelope_io_of(struct envelope_target *target,
				   struct bio *bio)
{
	return dm_per_bio_data(bio, target->ti->per_io_data_size);
}

static void envelope_dtr(struct dm_target *ti)
{
	struct envelope_target *target = ti->private;

	if (!target)
		return;

	envelope_unregister(target);
	if (target->restart_wq)
		destroy_workqueue(target->restart_wq);
	if (target->submit_wq)
		destroy_workqueue(target->submit_wq);
	if (target->spread_wq)
		destroy_workqueue(target->spread_wq);
	WARN_ON_ONCE(!bio_list_empty(&target->held) ||
		     !bio_list_empty(&target->restarting));

	envelope_cipher_exit(&target->cipher);
	envelope_sections_exit(target);
	bioset_exit(&target->bios);
	envelope_reserve_exit(&target->pages);
	free_percpu(target->stats);
	if (target->dev)
		dm_put_device(ti, target->dev);
	mutex_destroy(&target->page_mutex);
	mutex_destroy(&target->mutex);
	kfree_sensitive(target);
	ti->private = NULL;
}

/* A target that envelope_dtr() can take at any time from now on. */
static struct envelope_target *target_new(struct dm_target *ti,
					  const struct envelope_config *config)
{
	struct envelope_target *target = kzalloc(sizeof(*target), GFP_KERNEL);

	if (!target)
		return NULL;
	target->ti = ti;
	target->start_sectors = config->start_sectors;
	target->iv_offset_sectors = config->iv_offset_sectors;
	target->block_bytes = config->block_bytes;
	target->iv_large_sectors = config->iv_large_sectors;
	target->holes = config->holes;
	target->leased = config->leased;
	target->fail_when_locked = config->fail_when_locked;
	target->state = ENVELOPE_ACTIVE;
	target->spread_after = jiffies;

	INIT_LIST_HEAD(&target->node);
	spin_lock_init(&target->hold_lock);
	mutex_init(&target->mutex);
	mutex_init(&target->page_mutex);
	bio_list_init(&target->held);
	bio_list_init(&target->restarting);
	INIT_WORK(&target->restart_work, envelope_restart_work);
	ti->private = target;
	return target;
}

static int open_device(struct envelope_target *target, const char *path)
{
	struct dm_target *ti = target->ti;
	int r;

	r = dm_get_device(ti, path, dm_table_get_mode(ti->table),
			  &target->dev);
	if (r) {
		ti->error = "Device lookup failed";
		return r;
	}
	if (bdev_is_zoned(target->dev->bdev)) {
		ti->error = "Zoned devices are not supported";
		return -EINVAL;
	}
	return 0;
}

static int alloc_cipher(struct envelope_target *target)
{
	int r;

	r = envelope_cipher_init(&target->cipher, target->block_bytes,
				 target->iv_large_sectors, target->holes);
	if (r)
		target->ti->error = "Cipher xts(aes) is not available in this kernel";
	return r;
}

static int alloc_queues(struct envelope_target *target)
{
	const char *name = dm_table_device_name(target->ti->table);

	target->restart_wq = alloc_workqueue("envelope_restart-%s",
					     WQ_MEM_RECLAIM, 0, name);
	target->submit_wq = alloc_workqueue("envelope_submit-%s",
					    WQ_HIGHPRI | WQ_MEM_RECLAIM, 0,
					    name);
	/*
	 * A worker a CPU takes part after part, but for the CPU of the submitter
	 * or of the interrupt: more would be in their way.
	 */
	target->spread_wq = alloc_workqueue("envelope_spread-%s",
					    WQ_UNBOUND | WQ_MEM_RECLAIM,
					    max(num_online_cpus() - 1, 1U),
					    name);
	return target->restart_wq && target->submit_wq && target->spread_wq ?
		0 : -ENOMEM;
}

static int alloc_memory(struct envelope_target *target)
{
	int r;

	target->stats = alloc_percpu(struct envelope_stats);
	r = target->stats ? 0 : -ENOMEM;
	if (!r)
		r = envelope_sections_init(target);
	if (!r)
		r = bioset_init(&target->bios, MIN_IOS, 0, BIOSET_NEED_BVECS);
	if (!r)
		r = envelope_reserve_init(&target->pages);
	if (!r)
		r = alloc_queues(target);
	if (r)
		target->ti->error = "Cannot allocate memory for the target";
	return r;
}

static void set_features(struct dm_target *ti, bool allow_discards)
{
	ti->num_flush_bios = 1;
	ti->num_discard_bios = allow_discards;
	/*
	 * Not passed down: the kernel then writes zeros, which are encrypted,
	 * so that all that was ever written stays equal to dm-crypt.
	 */
	ti->num_write_zeroes_bios = 0;
	ti->limit_swap_bios = true;
	ti->accounts_remapped_io = true;
}

/* Table line: see uapi.h. */
static int envelope_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct envelope_config config;
	struct envelope_target *target;
	int r;

	r = envelope_table_parse(ti, argc, argv, &config);
	if (r)
		return r;
	target = target_new(ti, &config);
	if (!target) {
		ti->error = "Cannot allocate memory for the target";
		return -ENOMEM;
	}

	r = open_device(target, config.device);
	if (!r)
		r = alloc_cipher(target);
	if (!r)
		r = alloc_memory(target);
	if (r)
		goto bad;

	ti->per_io_data_size = per_bio_bytes(target);
	set_features(ti, config.allow_discards);
	/* last: from here on the target can be locked */
	r = envelope_register(target, config.key_name);
	if (r)
		goto bad;
	return 0;

bad:
	envelope_dtr(ti);
	return r;
}

static int map_pass(struct envelope_io *io)
{
	struct envelope_target *target = io->target;
	struct bio *bio = io->bio;

	io->step = ENVELOPE_STEP_PASS;
	bio_set_dev(bio, target->dev->bdev);
	bio->bi_iter.bi_sector = target->start_sectors + io->offset_sectors;
	if (unlikely(!envelope_open(target))) {
		if (bio->bi_opf & REQ_NOWAIT)
			return envelope_wouldblock(bio);
		envelope_hold(io);
		return DM_MAPIO_SUBMITTED;
	}
	return DM_MAPIO_REMAPPED;
}

static bool is_aligned(struct envelope_target *target, struct bio *bio)
{
	sector_t mask = (target->block_bytes >> SECTOR_SHIFT) - 1;

	return !((bio->bi_iter.bi_sector | bio_sectors(bio)) & mask);
}

static int envelope_map(struct dm_target *ti, struct bio *bio)
{
	struct envelope_target *target = ti->private;
	struct block_device *bdev = target->dev->bdev;
	struct envelope_io *io;

	/* an empty flush: nothing to encrypt, also while locked */
	if (bio->bi_opf & REQ_PREFLUSH) {
		bio_set_dev(bio, bdev);
		return DM_MAPIO_REMAPPED;
	}
	if (unlikely(!is_aligned(target, bio))) {
		this_cpu_inc(target->stats->errors);
		return DM_MAPIO_KILL;
	}
	/* sent again by a worker of dm: nobody is there to take an EAGAIN */
	if (unlikely((bio->bi_opf & REQ_NOWAIT) &&
		     (current->flags & PF_WQ_WORKER)))
		bio->bi_opf &= ~REQ_NOWAIT;
	/* EAGAIN can only be said here, before anything is submitted */
	if ((bio->bi_opf & REQ_NOWAIT) && !bdev_nowait(bdev))
		return envelope_wouldblock(bio);

	io = dm_per_bio_data(bio, ti->per_io_data_size);
	io->target = target;
	io->bio = bio;
	io->spread = false;
	io->end_io = NULL;
	io->offset_sectors = dm_target_offset(ti, bio->bi_iter.bi_sector);

	switch (bio_op(bio)) {
	case REQ_OP_READ:
		return envelope_read_map(io);
	case REQ_OP_WRITE:
		return envelope_write_map(io);
	case REQ_OP_DISCARD:
		return map_pass(io);
	default:
		return DM_MAPIO_KILL;
	}
}

/*
 * A suspend without flush takes back all that waits; what comes to wait later
 * goes back to dm as well, as long as dm says that it takes it. A suspend with
 * flush waits for it, and so for "key set" or "on_lock error".
 */
static void envelope_presuspend(struct dm_target *ti)
{
	if (dm_noflush_suspending(ti))
		envelope_end_held(ti->private, BLK_STS_DM_REQUEUE);
}

static void envelope_resume(struct dm_target *ti)
{
	struct envelope_target *target = ti->private;

	WRITE_ONCE(target->live, true);
}

static void envelope_status(struct dm_target *ti, status_type_t type,
			    unsigned int flags, char *result,
			    unsigned int maxlen)
{
	envelope_table_status(ti->private, type, result, maxlen);
}

static int message_key(struct envelope_target *target, unsigned int argc,
		       char **argv)
{
	const char *sentence, *name;
	bool leased;

	if (argc == 2 && !strcasecmp(argv[1], "wipe"))
		return envelope_message_wipe(target);
	/* whatever else is wrong: a raw key does not stay in the buffer */
	if (argc > 2 && argv[2][0] != ':')
		memzero_explicit(argv[2], strlen(argv[2]));
	if (argc != 3 || strcasecmp(argv[1], "set"))
		return -EINVAL;

	sentence = envelope_table_key(argv[2], &leased, &name);
	if (sentence) {
		DMERR("%s: key set: %s",
		      dm_table_device_name(target->ti->table), sentence);
		return -EINVAL;
	}
	return envelope_message_set(target, leased, name);
}

static int envelope_message(struct dm_target *ti, unsigned int argc,
			    char **argv, char *result, unsigned int maxlen)
{
	struct envelope_target *target = ti->private;
	int r = -EINVAL;

	if (!strcasecmp(argv[0], "key")) {
		r = message_key(target, argc, argv);
	} else if (!strcasecmp(argv[0], "on_lock") && argc == 2) {
		if (!strcasecmp(argv[1], "queue"))
			r = envelope_message_on_lock(target, false);
		else if (!strcasecmp(argv[1], "error"))
			r = envelope_message_on_lock(target, true);
	} else if (!strcasecmp(argv[0], "stats") && argc == 1) {
		r = envelope_table_stats(target, result, maxlen);
	}
	return r;
}

static int envelope_iterate_devices(struct dm_target *ti,
				    iterate_devices_callout_fn fn, void *data)
{
	struct envelope_target *target = ti->private;

	return fn(ti, target->dev, target->start_sectors, ti->len, data);
}

static void envelope_io_hints(struct dm_target *ti,
			      struct queue_limits *limits)
{
	struct envelope_target *target = ti->private;
	unsigned int bytes = target->block_bytes;

	limits->logical_block_size = max(limits->logical_block_size, bytes);
	limits->physical_block_size = max(limits->physical_block_size, bytes);
	limits->io_min = max(limits->io_min, bytes);
	limits->dma_alignment = limits->logical_block_size - 1;
	limits->discard_granularity = max(limits->discard_granularity, bytes);
	envelope_limits_features(limits);
}

static struct target_type envelope_target_type = {
	.name			= ENVELOPE_TARGET_NAME,
	.version		= { ENVELOPE_VERSION_MAJOR,
				    ENVELOPE_VERSION_MINOR,
				    ENVELOPE_VERSION_PATCH },
	.features		= DM_TARGET_NOWAIT,
	.module			= THIS_MODULE,
	.ctr			= envelope_ctr,
	.dtr			= envelope_dtr,
	.map			= envelope_map,
	.presuspend		= envelope_presuspend,
	.resume			= envelope_resume,
	.status			= envelope_status,
	.message		= envelope_message,
	.iterate_devices	= envelope_iterate_devices,
	.io_hints		= envelope_io_hints,
};

static int __init envelope_init(void)
{
	int r;

	r = envelope_pages_init();
	if (r)
		return r;
	r = envelope_io_init();
	if (r)
		goto out_pages;
	r = envelope_lock_init();
	if (r)
		goto out_io;
	r = envelope_key_init();
	if (r)
		goto out_lock;
	r = dm_register_target(&envelope_target_type);
	if (r)
		goto out_key;
	return 0;

out_key:
	envelope_key_exit();
out_lock:
	envelope_lock_exit();
out_io:
	envelope_io_exit();
out_pages:
	envelope_pages_exit();
	return r;
}

static void __exit envelope_exit(void)
{
	dm_unregister_target(&envelope_target_type);
	envelope_key_exit();
	envelope_lock_exit();
	envelope_io_exit();
	envelope_pages_exit();
	/* percpu_ref and the key code may still have callbacks into us */
	rcu_barrier();
}

module_init(envelope_init);
module_exit(envelope_exit);

MODULE_AUTHOR("The dm-envelope authors");
MODULE_DESCRIPTION(DM_NAME " target for envelope encryption under a KMS");
MODULE_VERSION(ENVELOPE_VERSION_TEXT);
MODULE_LICENSE("GPL");
MODULE_ALIAS("dm-" ENVELOPE_TARGET_NAME);
/* without it a kernel may settle for the generic cipher, five times slower */
MODULE_SOFTDEP("pre: aesni_intel xts");
