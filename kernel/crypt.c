// SPDX-License-Identifier: GPL-2.0
/*
 * Block encryption with AES-256-XTS: the transform, the IV, and the loop that
 * takes one block after the other through a possibly asynchronous cipher.
 */

#include <linux/bvec.h>
#include <linux/highmem.h>
#include <linux/log2.h>
#include <linux/random.h>
#include <linux/string.h>

#include "compat.h"
#include "envelope.h"

/*
 * Layout of struct envelope_crypt and what follows it: the skcipher request,
 * padding, and the IV at the alignment the cipher asks for. Neither may be on
 * the stack: an asynchronous cipher uses them after the call has returned.
 */
static void set_layout(struct envelope_cipher *cipher)
{
	unsigned int align = crypto_skcipher_alignmask(cipher->tfm) + 1;

	align = max_t(unsigned int, align, sizeof(u64));
	cipher->request_offset = ALIGN(sizeof(struct envelope_crypt),
				       CRYPTO_MINALIGN);
	cipher->iv_offset = cipher->request_offset +
			    sizeof(struct skcipher_request) +
			    crypto_skcipher_reqsize(cipher->tfm);
	cipher->iv_align = align;
	cipher->crypt_bytes = cipher->iv_offset + align - 1 +
			      ENVELOPE_IV_BYTES;
}

int envelope_cipher_init(struct envelope_cipher *cipher,
			 unsigned int block_bytes, bool iv_large_sectors,
			 bool holes)
{
	struct crypto_skcipher *tfm;

	/*
	 * Asynchronous ciphers must not be masked out: the SIMD drivers are
	 * registered as such, and the generic C cipher is five times slower.
	 */
	tfm = crypto_alloc_skcipher("xts(aes)", 0,
				    CRYPTO_ALG_ALLOCATES_MEMORY);
	if (IS_ERR(tfm))
		return PTR_ERR(tfm);

	cipher->tfm = tfm;
	cipher->block_bytes = block_bytes;
	strscpy(cipher->driver,
		crypto_tfm_alg_driver_name(crypto_skcipher_tfm(tfm)),
		sizeof(cipher->driver));
	cipher->holes = holes;
	if (iv_large_sectors)
		cipher->iv_shift = ilog2(block_bytes >> SECTOR_SHIFT);
	if (WARN_ON_ONCE(crypto_skcipher_ivsize(tfm) != ENVELOPE_IV_BYTES))
		return -EINVAL;
	set_layout(cipher);
	return 0;
}

void envelope_cipher_exit(struct envelope_cipher *cipher)
{
	if (cipher->tfm)
		crypto_free_skcipher(cipher->tfm);
	cipher->tfm = NULL;
}

int envelope_cipher_set(struct envelope_cipher *cipher,
			const u8 secret[ENVELOPE_SECRET_BYTES])
{
	if (!cipher->tfm)
		return -ENODEV;
	return crypto_skcipher_setkey(cipher->tfm, secret,
				      ENVELOPE_SECRET_BYTES);
}

/*
 * Overwrites the key schedule with that of a random key nobody knows. The
 * transform is kept, because unlocking must not allocate one: the unlocker may
 * need pages that wait behind the lock.
 */
void envelope_cipher_scrub(struct envelope_cipher *cipher)
{
	u8 noise[ENVELOPE_SECRET_BYTES] __aligned(CRYPTO_MINALIGN);

	get_random_bytes(noise, sizeof(noise));
	if (cipher->tfm && envelope_cipher_set(cipher, noise)) {
		DMERR("cipher refused to forget its key: freeing it");
		envelope_cipher_exit(cipher);
	}
	memzero_explicit(noise, sizeof(noise));
}

static struct skcipher_request *request_of(struct envelope_crypt *crypt)
{
	return (void *)crypt + crypt->cipher->request_offset;
}

static __le64 *iv_of(struct envelope_crypt *crypt)
{
	const struct envelope_cipher *cipher = crypt->cipher;

	return PTR_ALIGN((void *)crypt + cipher->iv_offset, cipher->iv_align);
}

/* A block may lie in several pieces: kernel memory need not be aligned. */
static noinline int fill_sg_pieces(struct scatterlist *sg, unsigned int max,
				   const struct bio_vec *vec,
				   const struct bvec_iter *from,
				   unsigned int bytes)
{
	struct bvec_iter iter = *from;
	unsigned int n;

	sg_init_table(sg, max);
	for (n = 0; n < max; n++) {
		struct bio_vec bv = bvec_iter_bvec(vec, iter);
		unsigned int len = min(bv.bv_len, bytes);

		sg_set_page(&sg[n], bv.bv_page, len, bv.bv_offset);
		bytes -= len;
		if (!bytes) {
			sg_mark_end(&sg[n]);
			return 0;
		}
		bvec_iter_advance(vec, &iter, len);
	}
	DMERR_LIMIT("block in more than %u pieces of memory", max);
	return -EIO;
}

/* One piece, whatever the block before has left here. */
static void fill_sg(struct scatterlist *sg, const struct bio_vec *bv,
		    unsigned int bytes)
{
	sg->page_link = SG_END;
	sg_set_page(sg, bv->bv_page, bytes, bv->bv_offset);
}

static noinline bool is_hole(const struct bio_vec *vec, struct bvec_iter iter,
			     unsigned int bytes)
{
	while (bytes) {
		struct bio_vec bv = bvec_iter_bvec(vec, iter);
		unsigned int len = min(bv.bv_len, bytes);
		void *p = bvec_kmap_local(&bv);
		bool zero = !memchr_inv(p, 0, len);

		kunmap_local(p);
		if (!zero)
			return false;
		bytes -= len;
		bvec_iter_advance(vec, &iter, len);
	}
	return true;
}

/* All but one block in 256 are settled by their first byte. */
static bool may_be_hole(const struct bio_vec *bv)
{
	u8 *p = kmap_local_page(bv->bv_page) + bv->bv_offset;
	bool zero = !*p;

	kunmap_local(p);
	return zero;
}

static void block_done(struct envelope_crypt *crypt)
{
	unsigned int bytes = crypt->cipher->block_bytes;

	bvec_iter_advance(crypt->src_vec, &crypt->src, bytes);
	if (crypt->dst_vec != crypt->src_vec)
		bvec_iter_advance(crypt->dst_vec, &crypt->dst, bytes);
	crypt->sector += bytes >> SECTOR_SHIFT;
}

/* The same for a block in one piece of memory, as nearly all are. */
static void whole_block_done(struct envelope_crypt *crypt, unsigned int bytes)
{
	bvec_iter_advance_single(crypt->src_vec, &crypt->src, bytes);
	if (crypt->dst_vec != crypt->src_vec)
		bvec_iter_advance_single(crypt->dst_vec, &crypt->dst, bytes);
	crypt->sector += bytes >> SECTOR_SHIFT;
}

/* from: what is at crypt->src, up to the end of its page. */
static int fill_lists(struct envelope_crypt *crypt, const struct bio_vec *from,
		      unsigned int bytes, struct scatterlist **dst_ret)
{
	struct bio_vec to;
	int r;

	if (likely(from->bv_len >= bytes)) {
		fill_sg(crypt->sg_src, from, bytes);
	} else {
		r = fill_sg_pieces(crypt->sg_src, ENVELOPE_SG_MAX,
				   crypt->src_vec, &crypt->src, bytes);
		if (r)
			return r;
	}
	*dst_ret = crypt->sg_src;
	if (crypt->dst_vec != crypt->src_vec) {
		/* bounce pages are full of whole blocks */
		to = bvec_iter_bvec(crypt->dst_vec, crypt->dst);
		fill_sg(&crypt->sg_dst, &to, bytes);
		*dst_ret = &crypt->sg_dst;
	}
	return 0;
}

static int run_block(struct envelope_crypt *crypt, struct skcipher_request *req,
		     const struct bio_vec *bv, unsigned int bytes, __le64 *iv)
{
	struct scatterlist *dst;
	int r;

	r = fill_lists(crypt, bv, bytes, &dst);
	if (unlikely(r))
		return r;
	/* plain64: IEEE 1619's data unit number, little-endian */
	iv[0] = cpu_to_le64(crypt->sector >> crypt->cipher->iv_shift);
	iv[1] = 0;
	skcipher_request_set_crypt(req, crypt->sg_src, dst, bytes, iv);
	return crypt->encrypt ? crypto_skcipher_encrypt(req) :
				crypto_skcipher_decrypt(req);
}

/* Goes on until stop bytes are left: -ENOSPC says that there are some. */
static int run_blocks(struct envelope_crypt *crypt,
		      struct skcipher_request *req, unsigned int stop)
{
	unsigned int bytes = crypt->cipher->block_bytes;
	__le64 *iv = iv_of(crypt);

	while (crypt->src.bi_size > stop) {
		struct bio_vec bv = bvec_iter_bvec(crypt->src_vec, crypt->src);
		int r;

		if (!crypt->encrypt && unlikely(may_be_hole(&bv)) &&
		    crypt->cipher->holes &&
		    is_hole(crypt->src_vec, crypt->src, bytes)) {
			crypt->holes++;
			block_done(crypt);
			continue;
		}
		r = run_block(crypt, req, &bv, bytes, iv);
		if (unlikely(r))
			return r == -EBUSY ? -EINPROGRESS : r;
		if (crypt->src.bi_size == bytes) {
			/* nobody asks where the last one was */
			crypt->src.bi_size = 0;
			return 0;
		}
		if (likely(bv.bv_len >= bytes))
			whole_block_done(crypt, bytes);
		else
			block_done(crypt);
	}
	return crypt->src.bi_size ? -ENOSPC : 0;
}

/*
 * Bottom halves are off here, also when the driver falls back to a daemon for
 * one block only, and the blocks after it are done at once. So no more than
 * fits a softirq; the rest goes the way of a full queue.
 */
static void block_done_async(envelope_crypto_arg_t *arg, int err)
{
	struct envelope_crypt *crypt = envelope_crypto_data(arg);
	struct skcipher_request *req = request_of(crypt);
	unsigned int left;

	/* from the backlog into the queue: the real end is still to come */
	if (err == -EINPROGRESS)
		return;
	if (!err) {
		block_done(crypt);
		left = crypt->src.bi_size;
		left -= min_t(unsigned int, left, ENVELOPE_SOFTIRQ_MAX_BYTES);
		/* no backlog from here on */
		skcipher_request_set_callback(req, 0, block_done_async, crypt);
		err = run_blocks(crypt, req, left);
		if (err == -EINPROGRESS)
			return;
	}
	crypt->done(crypt, err);
}

/* DMA fields of the lists, which drivers fill in, must not be noise. */
static void init_lists(struct envelope_crypt *crypt)
{
	crypt->sg_src[0] = (struct scatterlist){};
	if (crypt->dst_vec != crypt->src_vec)
		crypt->sg_dst = (struct scatterlist){};
}

int envelope_crypt_run(struct envelope_crypt *crypt, bool backlog)
{
	struct skcipher_request *req = request_of(crypt);
	unsigned int left = crypt->src.bi_size;

	left -= min_t(unsigned int, left, ENVELOPE_SECTION_MAX_BYTES);

	skcipher_request_set_tfm(req, crypt->cipher->tfm);
	skcipher_request_set_callback(req,
				      backlog ? CRYPTO_TFM_REQ_MAY_BACKLOG : 0,
				      block_done_async, crypt);
	init_lists(crypt);
	return run_blocks(crypt, req, left);
}
