/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The private structures of dm-envelope and the prototypes its files share,
 * each under the name of the file that has it.
 *
 * Lock order: key->sem, envelope_registry_mutex, target->mutex,
 * target->hold_lock. The data path takes only the last.
 */

#ifndef ENVELOPE_H
#define ENVELOPE_H

#include <linux/bio.h>
#include <linux/completion.h>
#include <linux/device-mapper.h>
#include <linux/key.h>
#include <linux/llist.h>
#include <linux/mempool.h>
#include <linux/mutex.h>
#include <linux/percpu-refcount.h>
#include <linux/percpu_counter.h>
#include <linux/scatterlist.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>
#include <crypto/sha2.h>
#include <crypto/skcipher.h>

#include "uapi.h"

#define DM_MSG_PREFIX			"envelope"

/*
 * Decrypted at most in one go where nothing else can run meanwhile: four
 * blocks of the largest size, a few microseconds with SIMD.
 */
#define ENVELOPE_SOFTIRQ_MAX_BYTES	16384

/*
 * Decrypted at most in one section: locking waits for its end, and others
 * wait for the CPU.
 */
#define ENVELOPE_SECTION_MAX_BYTES	(1024 * 1024)

/* pieces a block may be scattered over: 512-byte memory alignment, unaligned */
#define ENVELOPE_SG_MAX			9

#define ENVELOPE_IV_BYTES		16

enum envelope_state {
	ENVELOPE_ACTIVE,
	ENVELOPE_SWITCHING,	/* active, but the key is being exchanged */
	ENVELOPE_LOCKED,
};

enum envelope_reason {
	ENVELOPE_REASON_NONE,
	ENVELOPE_REASON_REVOKED,
	ENVELOPE_REASON_INVALIDATED,
	ENVELOPE_REASON_EXPIRED,
	ENVELOPE_REASON_WIPED,
};

/* A table line, parsed. Pointers are into the arguments of ctr. */
struct envelope_config {
	bool leased;			/* key type envelope, not logon */
	const char *key_name;
	u64 iv_offset_sectors;
	const char *device;
	u64 start_sectors;
	unsigned int block_bytes;
	bool iv_large_sectors;
	bool allow_discards;
	bool holes;
	bool fail_when_locked;		/* on_lock:error */
};

/* The cipher of one target: written by lock and unlock, read in sections. */
struct envelope_cipher {
	struct crypto_skcipher *tfm;	/* NULL: lost on locking */
	char driver[CRYPTO_MAX_ALG_NAME];	/* its implementation */
	unsigned int block_bytes;
	unsigned int iv_shift;		/* log2(sectors per IV step) */
	bool holes;			/* zero blocks stay zero on decryption */
	unsigned int request_offset;	/* of the request, bytes from crypt */
	unsigned int iv_offset;		/* of the IV before aligning, bytes */
	unsigned int iv_align;		/* bytes */
	unsigned int crypt_bytes;	/* struct envelope_crypt + request + IV */
};

/*
 * One run over a range of blocks, one after the other. The skcipher request
 * and the IV follow this struct; see envelope_cipher.
 */
struct envelope_crypt {
	struct envelope_cipher *cipher;
	const struct bio_vec *src_vec;
	const struct bio_vec *dst_vec;	/* == src_vec: in place */
	struct bvec_iter src;		/* first block not done yet */
	struct bvec_iter dst;
	u64 sector;			/* of that block, with iv_offset */
	bool encrypt;
	unsigned int holes;		/* blocks found to be holes so far */
	/* ends a run that envelope_crypt_run() answered -EINPROGRESS */
	void (*done)(struct envelope_crypt *crypt, int err);
	struct scatterlist sg_src[ENVELOPE_SG_MAX];
	struct scatterlist sg_dst;	/* bounce pages are in one piece */
};

struct envelope_stats {
	u64 reads;			/* requests completed */
	u64 writes;
	u64 holes;			/* blocks */
	u64 errors;			/* requests failed */
};

/* The bounce pages of one target. */
struct envelope_pages {
	mempool_t pool;			/* the reserve */
	struct percpu_counter held;	/* pages in the pool and under writes */
	s64 limit;			/* of held */
};

struct envelope_target {
	struct dm_target *ti;
	struct dm_dev *dev;
	u64 start_sectors;		/* on dev */
	u64 iv_offset_sectors;
	unsigned int block_bytes;
	bool iv_large_sectors;
	bool holes;
	bool live;			/* resumed at least once */
	struct envelope_cipher cipher;

	/*
	 * Crypto sections: the cipher calls of one bio. Dead while locked;
	 * drained is completed when the last section has ended.
	 */
	struct percpu_ref sections;
	struct completion drained;
	bool have_sections;

	/*
	 * Key: written under the registry mutex and, once in the registry, the
	 * target mutex, no section running; read there, in sections, and under
	 * RCU (keys outlive a grace period after their last reference). NULL:
	 * logon, or locked.
	 */
	struct key __rcu *key;
	char key_name[ENVELOPE_KEY_NAME_MAX + 1];
	u8 digest[SHA256_DIGEST_SIZE];	/* of label and secret */
	bool scrubbed;			/* secret and schedule are gone */
	struct mutex mutex;		/* one lock or unlock at a time */
	struct list_head node;		/* in the registry */

	spinlock_t hold_lock;		/* guards the next six fields */
	enum envelope_state state;
	enum envelope_reason reason;
	bool leased;			/* changes with key set */
	bool fail_when_locked;
	struct bio_list held;		/* dm's clones, waiting for unlock */
	struct bio_list restarting;	/* unlocked, not yet started again */

	/*
	 * Several queues, because a restart may wait for pages that only a
	 * submission queued behind it would give back.
	 */
	struct workqueue_struct *restart_wq;
	struct workqueue_struct *submit_wq;
	/* parts of large requests, on whatever CPU is idle */
	struct workqueue_struct *spread_wq;
	unsigned long spread_after;	/* jiffies; until then nobody was idle */
	atomic_t spread_parts;		/* with workers, not done yet */
	atomic_t spread_turn;		/* of parts that interrupts bring */
	struct work_struct restart_work;

	struct bio_set bios;		/* bounce bios */
	struct envelope_pages pages;
	struct mutex page_mutex;	/* one set taken from the reserve at a time */
	struct envelope_stats __percpu *stats;
};

/* What a bio is waiting for when it is held. */
enum envelope_step {
	ENVELOPE_STEP_READ,		/* to be read from the device */
	ENVELOPE_STEP_DECRYPT,		/* read, rest of it to be decrypted */
	ENVELOPE_STEP_WRITE,		/* to be encrypted from its start */
	ENVELOPE_STEP_PASS,		/* to be sent down as it is */
};

/* Per-bio data of dm's clone. */
struct envelope_io {
	struct envelope_target *target;
	struct bio *bio;		/* dm's clone */
	struct bio *bounce;		/* its ciphertext on the way down */
	enum envelope_step step;
	bool spread;			/* part of a large request: see io.c */
	bio_end_io_t *end_io;		/* saved, if not NULL: bi_end_io is ours */
	void *private;
	u64 offset_sectors;		/* in the target */
	u64 queued_ns;			/* on spread_wq since, monotonic */
	union {
		struct work_struct work;
		struct llist_node node;
	};
	struct envelope_crypt crypt;	/* last: more follows it */
};

/* target.c */
struct envelope_io *envelope_io_of(struct envelope_target *target,
				   struct bio *bio);

/* table.c: the only parser and the only printer of the table line */

/*
 * Parses a table line into *ret. On failure returns -EINVAL with ti->error
 * set; a raw key in argv is overwritten.
 */
int envelope_table_parse(struct dm_target *ti, unsigned int argc, char **argv,
			 struct envelope_config *ret);
/*
 * Splits ":64:TYPE:NAME". *name_ret points into reference. NULL, or the
 * sentence that says what is wrong.
 */
const char *envelope_table_key(const char *reference, bool *leased_ret,
			       const char **name_ret);
void envelope_table_status(struct envelope_target *target, status_type_t type,
			   char *result, unsigned int maxlen);
/* The text of message "stats"; 1, as dm wants it. */
int envelope_table_stats(struct envelope_target *target, char *result,
			 unsigned int maxlen);
bool envelope_name_valid(const char *name);

/* io.c: the life of one bio, common to reads and writes */

int envelope_io_init(void);
void envelope_io_exit(void);
/*
 * Takes over an io that may not run now: it waits, fails, or goes back to dm.
 * Started again at io->step by a worker. Any context but hard interrupts.
 */
void envelope_hold(struct envelope_io *io);
/* Ends an io: counts it and completes dm's clone. io is gone afterwards. */
void envelope_finish(struct envelope_io *io, blk_status_t status);
/* Ends with EAGAIN what was not submitted yet; for map only. */
int envelope_wouldblock(struct bio *bio);
/* Runs fn(&io->work) in process context where it may not allocate. */
void envelope_queue_crypt(struct envelope_io *io, work_func_t fn);
/*
 * Cuts a request that is worth several CPUs, if there are idle ones, and marks
 * what is left of it for envelope_queue_spread(). For map only, by
 * envelope_spread().
 */
void envelope_spread_large(struct envelope_io *io);
/*
 * Runs fn(&io->work) in process context on some CPU, and sets io->queued_ns.
 * fn hands that and the time it began itself to envelope_spread_ended().
 */
void envelope_queue_spread(struct envelope_io *io, work_func_t fn);
/*
 * Workers have enough parts: a submitter that may be preempted does this one
 * itself, instead of waiting for them with nothing to do.
 */
bool envelope_spread_enough(struct envelope_target *target);
/*
 * Deals parts out in turn: false for the share of the CPU that asks. Any
 * context.
 */
bool envelope_spread_turn(struct envelope_target *target);
/*
 * Once for each part queued, after its work: learns from how long it waited
 * whether CPUs are idle. target->spread_wq keeps target until then.
 */
void envelope_spread_ended(struct envelope_target *target, u64 queued_ns,
			   u64 began_ns);
/*
 * A queue of requests below would have to split this bio, which may wait for
 * memory: with NOWAIT it answers EAGAIN instead. For envelope_send_later().
 */
bool envelope_below_splits(struct envelope_target *target, struct bio *bio);
/* Starts again what waits; under target->hold_lock. */
void envelope_restart_held(struct envelope_target *target);
void envelope_restart_work(struct work_struct *work);
/* Ends all that waits with this status. Process context. */
void envelope_end_held(struct envelope_target *target, blk_status_t status);

/* softirq_bh.c or softirq_tasklet.c: Kbuild takes what the kernel has */

int envelope_softirq_init(void);
void envelope_softirq_exit(void);
/* Runs envelope_read_decrypt() in softirq context. Any context. */
void envelope_queue_softirq(struct envelope_io *io);

/* read.c */

int envelope_read_map(struct envelope_io *io);
void envelope_read_submit(struct envelope_io *io);
void envelope_read_decrypt(struct envelope_io *io);

/* write.c */

int envelope_write_map(struct envelope_io *io);
void envelope_write_start(struct envelope_io *io);

/* pages.c: bounce pages, recycled per CPU because the kernel zeroes fresh ones */

int envelope_pages_init(void);
void envelope_pages_exit(void);
/* On failure, too, the caller calls envelope_reserve_exit(). */
int envelope_reserve_init(struct envelope_pages *pages);
void envelope_reserve_exit(struct envelope_pages *pages);
/* Pages in the reserve and under writes. */
u64 envelope_reserve_held(struct envelope_pages *pages);
/*
 * Fills bio with pages for bytes; all or nothing. GFP_NOWAIT: may fail with
 * -ENOMEM. GFP_NOIO: sleeps, never fails; one caller a reserve at a time.
 */
int envelope_pages_alloc(struct envelope_pages *pages, struct bio *bio,
			 unsigned int bytes, gfp_t gfp);
/* Gives the pages of bio back. Any context. */
void envelope_pages_free(struct envelope_pages *pages, struct bio *bio);

/* crypt.c: knows blocks, not bios; never sleeps or allocates in a run */

int envelope_cipher_init(struct envelope_cipher *cipher,
			 unsigned int block_bytes, bool iv_large_sectors,
			 bool holes);
void envelope_cipher_exit(struct envelope_cipher *cipher);
/* Both sleep; no run may be on. */
int envelope_cipher_set(struct envelope_cipher *cipher,
			const u8 secret[ENVELOPE_SECRET_BYTES]);
void envelope_cipher_scrub(struct envelope_cipher *cipher);
/*
 * Encrypts or decrypts what is left of the run. 0: all done. -EINPROGRESS:
 * crypt->done() will be called, and may have been already: crypt is out of
 * bounds. -ENOSPC, also to crypt->done(): the cipher's queue is full, or what
 * is left is too much for one go; call again with backlog from process
 * context. Else an error. backlog: let the cipher queue us when full;
 * process context only.
 */
int envelope_crypt_run(struct envelope_crypt *crypt, bool backlog);

/* key.c: the key type and how a key is found; the only file that sees secrets */

int envelope_key_init(void);
void envelope_key_exit(void);
/*
 * Finds a key by type and name. A counted key, or an ERR_PTR: -ENOKEY,
 * -EKEYREVOKED, -EKEYEXPIRED, -EACCES. Sleeps.
 */
struct key *envelope_key_find(bool leased, const char *name);
/*
 * Under key->sem: checks the payload. 0, -EKEYREVOKED, -EKEYEXPIRED, -EINVAL.
 */
int envelope_key_check(struct key *key, bool leased);
/* Under key->sem, after envelope_key_check(): */
void envelope_key_digest(struct key *key, bool leased,
			 u8 digest_ret[SHA256_DIGEST_SIZE]);
int envelope_key_apply(struct key *key, bool leased,
		       struct envelope_cipher *cipher);
/* Locks the users of a dead key, and wipes it. Sleeps; takes key->sem. */
void envelope_key_kill(struct key *key, enum envelope_reason reason);
/*
 * When a key ends by the clock since boot: seconds, TIME64_MAX for never. It is
 * taken when that expiry is first seen on that key, by whichever target: so
 * with the wall clock set back neither waiting nor "key set" nor another table
 * extends anything. Under the registry mutex, for the key of a target or, under
 * key->sem, one that envelope_key_check() accepts.
 */
time64_t envelope_key_deadline(struct key *key);
/* Why a key may no longer be used, by the wall clock. Any context. */
enum envelope_reason envelope_key_reason(const struct key *key);

/* The same, for every bio: mostly a key without an expiry that is well. */
static inline enum envelope_reason envelope_key_dead(const struct key *key)
{
	time64_t expiry = READ_ONCE(key->expiry);

	/* 0 and TIME64_MAX mean never */
	if (likely((!expiry || expiry == TIME64_MAX) &&
		   !(READ_ONCE(key->flags) & (BIT(KEY_FLAG_REVOKED) |
					      BIT(KEY_FLAG_INVALIDATED)))))
		return ENVELOPE_REASON_NONE;
	return envelope_key_reason(key);
}

/* Number of secrets in payloads. */
unsigned int envelope_key_count(void);

/* lock.c: the registry of targets; locking, unlocking, polling */

int envelope_lock_init(void);
void envelope_lock_exit(void);
/* Allocates what locking needs; drained and live afterwards. */
int envelope_sections_init(struct envelope_target *target);
void envelope_sections_exit(struct envelope_target *target);
/* First key of a target, for ctr. ti->error is set on failure. */
int envelope_register(struct envelope_target *target, const char *name);
void envelope_unregister(struct envelope_target *target);
/* Locks all targets that use key. Under key->sem (write). */
void envelope_lock_users(struct key *key, enum envelope_reason reason);
/* The messages. Sleep. */
int envelope_message_set(struct envelope_target *target, bool leased,
			 const char *name);
int envelope_message_wipe(struct envelope_target *target);
int envelope_message_on_lock(struct envelope_target *target, bool fail);
/* Data path, under RCU: this target's key was seen dead. Any context. */
void envelope_key_died(struct envelope_target *target, const struct key *key,
		       enum envelope_reason reason);

/* Whether a bio may start now; a dead key locks. Any context. */
static inline bool envelope_open(struct envelope_target *target)
{
	enum envelope_reason reason = ENVELOPE_REASON_NONE;
	const struct key *key;

	if (unlikely(READ_ONCE(target->state) != ENVELOPE_ACTIVE))
		return false;

	/* a grace period waits for this, too, and it needs no function calls */
	rcu_read_lock_sched();
	key = rcu_dereference_sched(target->key);
	if (key)
		reason = envelope_key_dead(key);
	if (likely(reason == ENVELOPE_REASON_NONE)) {
		rcu_read_unlock_sched();
		return true;
	}

	/* from one to the other: a spinlock sleeps on a real-time kernel */
	rcu_read_lock();
	rcu_read_unlock_sched();
	envelope_key_died(target, key, reason);
	rcu_read_unlock();
	return false;
}

/* Parts have one block of the largest size at least. */
static inline void envelope_spread(struct envelope_io *io)
{
	if (unlikely(io->bio->bi_iter.bi_size > ENVELOPE_BLOCK_MAX_BYTES))
		envelope_spread_large(io);
}

/*
 * Whether a worker has to send a bio, because its submitter may not wait. To say
 * EAGAIN were to have all done twice, and a write encrypted in vain.
 */
static inline bool envelope_send_later(struct envelope_target *target,
				       struct bio *bio)
{
	return (bio->bi_opf & REQ_NOWAIT) &&
	       unlikely(bio->bi_iter.bi_size > PAGE_SIZE) &&
	       envelope_below_splits(target, bio);
}

/* A section holds off locking; false: the volume is not open. Any context. */
static inline bool envelope_section_enter(struct envelope_target *target)
{
	enum envelope_reason reason = ENVELOPE_REASON_NONE;
	const struct key *key;

	if (unlikely(!percpu_ref_tryget_live(&target->sections)))
		return false;
	/* pairs with sections_open(): the schedule is that of this key */
	smp_rmb();
	/* no section runs while it is exchanged */
	key = rcu_dereference_protected(target->key, true);
	if (key)
		reason = envelope_key_dead(key);
	if (likely(reason == ENVELOPE_REASON_NONE &&
		   READ_ONCE(target->state) == ENVELOPE_ACTIVE))
		return true;
	if (reason != ENVELOPE_REASON_NONE)
		envelope_key_died(target, key, reason);
	percpu_ref_put(&target->sections);
	return false;
}

static inline void envelope_section_exit(struct envelope_target *target)
{
	percpu_ref_put(&target->sections);
}

#endif
