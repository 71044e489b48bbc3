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
	unsigned int align = crypto_skcipher_alignmask(crypt->cipher->tfm) + 1;

	align = max_t(unsigned int, align, sizeof(u64));
	return PTR_ALIGN((void *)crypt + crypt->cipher->iv_offset, align);
}

/* A block may lie in several pieces: kernel memory need not be aligned. */
static int fill_sg_pieces(struct scatterlist *sg, unsigned int max,
			  const struct bio_vec *vec, struct bvec_iter iter,
			  unsigned int bytes)
{
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
	return -EIO;
}

static int fill_sg(struct scatterlist *sg, unsigned int max,
		   const struct bio_vec *vec, struct bvec_iter iter,
		   unsigned int bytes)
{
	struct bio_vec bv = bvec_iter_bvec(vec, iter);

	if (unlikely(bv.bv_len < bytes))
		return fill_sg_pieces(sg, max, vec, iter, bytes);
	sg_init_table(sg, 1);
	sg_set_page(sg, bv.bv_page, bytes, bv.bv_offset);
	return 0;
}

/* Nearly every block is settled by its first word. */
static bool piece_is_zero(const void *p, unsigned int bytes)
{
	if (bytes >= sizeof(u64) && *(const u64 *)p)
		return false;
	return !memchr_inv(p, 0, bytes);
}

static bool is_hole(const struct bio_vec *vec, struct bvec_iter iter,
		    unsigned int bytes)
{
	while (bytes) {
		struct bio_vec bv = bvec_iter_bvec(vec, iter);
		unsigned int len = min(bv.bv_len, bytes);
		void *p = bvec_kmap_local(&bv);
		bool zero = piece_is_zero(p, len);

		kunmap_local(p);
		if (!zero)
			return false;
		bytes -= len;
		bvec_iter_advance(vec, &iter, len);
	}
	return true;
}

static void block_done(struct envelope_crypt *crypt)
{
	unsigned int bytes = crypt->cipher->block_bytes;

	bvec_iter_advance(crypt->src_vec, &crypt->src, bytes);
	if (crypt->dst_vec != crypt->src_vec)
		bvec_iter_advance(crypt->dst_vec, &crypt->dst, bytes);
	crypt->sector += bytes >> SECTOR_SHIFT;
}

static int run_block(struct envelope_crypt *crypt, struct skcipher_request *req)
{
	struct envelope_cipher *cipher = crypt->cipher;
	unsigned int bytes = cipher->block_bytes;
	struct scatterlist *dst = crypt->sg_src;
	__le64 *iv = iv_of(crypt);
	int r;

	r = fill_sg(crypt->sg_src, ENVELOPE_SG_MAX, crypt->src_vec, crypt->src,
		    bytes);
	if (!r && crypt->dst_vec != crypt->src_vec) {
		dst = &crypt->sg_dst;
		r = fill_sg(dst, 1, crypt->dst_vec, crypt->dst, bytes);
	}
	if (r) {
		DMERR_LIMIT("block in more than %d pieces of memory",
			    ENVELOPE_SG_MAX);
		return r;
	}

	/* plain64: IEEE 1619's data unit number, little-endian */
	iv[0] = cpu_to_le64(crypt->sector >> cipher->iv_shift);
	iv[1] = 0;
	skcipher_request_set_crypt(req, crypt->sg_src, dst, bytes, iv);
	return crypt->encrypt ? crypto_skcipher_encrypt(req) :
				crypto_skcipher_decrypt(req);
}

static void block_done_async(envelope_crypto_arg_t *arg, int err)
{
	struct envelope_crypt *crypt = envelope_crypto_data(arg);

	/* from the backlog into the queue: the real end is still to come */
	if (err == -EINPROGRESS)
		return;
	if (!err) {
		block_done(crypt);
		err = envelope_crypt_run(crypt, false);
		if (err == -EINPROGRESS)
			return;
	}
	crypt->done(crypt, err);
}

int envelope_crypt_run(struct envelope_crypt *crypt, bool backlog)
{
	struct envelope_cipher *cipher = crypt->cipher;
	struct skcipher_request *req = request_of(crypt);

	skcipher_request_set_tfm(req, cipher->tfm);
	skcipher_request_set_callback(req,
				      backlog ? CRYPTO_TFM_REQ_MAY_BACKLOG : 0,
				      block_done_async, crypt);
	while (crypt->src.bi_size) {
		int r;

		if (cipher->holes && !crypt->encrypt &&
		    is_hole(crypt->src_vec, crypt->src, cipher->block_bytes)) {
			crypt->holes++;
			block_done(crypt);
			continue;
		}
		r = run_block(crypt, req);
		if (r == -EBUSY)	/* queued all the same */
			return -EINPROGRESS;
		if (r)
			return r;
		block_done(crypt);
	}
	return 0;
}
