/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every difference between the kernels we build for; nothing else in kernel/
 * may know one. Kbuild probes the headers and defines ENVELOPE_HAVE_*.
 */

#ifndef ENVELOPE_COMPAT_H
#define ENVELOPE_COMPAT_H

#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/crypto.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "dm-envelope needs Linux 6.1 or newer"
#endif

/*
 * What a crypto completion callback is given: since 6.3 the pointer passed to
 * skcipher_request_set_callback(), before it the request that holds it.
 */
#ifdef ENVELOPE_HAVE_CRYPTO_DONE_DATA
#define envelope_crypto_arg_t	void

static inline void *envelope_crypto_data(envelope_crypto_arg_t *arg)
{
	return arg;
}
#else
#define envelope_crypto_arg_t	struct crypto_async_request

static inline void *envelope_crypto_data(envelope_crypto_arg_t *arg)
{
	return arg->data;
}
#endif

/*
 * Queue limits learned feature flags in 6.11. Before it dm core works out
 * NOWAIT and polling from the devices below, and a target has no say.
 */
static inline void envelope_limits_features(struct queue_limits *limits)
{
#ifdef ENVELOPE_HAVE_LIMIT_FEATURES
	/*
	 * NOWAIT stays on whatever is below: files that are open keep
	 * FMODE_NOWAIT over a table swap, and map answers EAGAIN by itself.
	 */
	limits->features |= BLK_FEAT_NOWAIT;
	/* a polled bounce bio would wait for an interrupt that never comes */
	limits->features &= ~BLK_FEAT_POLL;
#endif
}

/* Bios carry the write hint again since 6.9. */
static inline void envelope_bio_copy_hint(struct bio *to,
					  const struct bio *from)
{
#ifdef ENVELOPE_HAVE_BIO_WRITE_HINT
	to->bi_write_hint = from->bi_write_hint;
#endif
}

#endif
