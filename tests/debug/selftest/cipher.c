// SPDX-License-Identifier: GPL-2.0
/*
 * An "xts(aes)" that everybody prefers while this module is loaded, and that
 * fails when it is told to: the next calls of setkey, or of encrypt and decrypt.
 */

#include <linux/err.h>
#include <linux/module.h>
#include <crypto/aes.h>
#include <crypto/internal/skcipher.h>
#include <crypto/skcipher.h>

/* how many calls are still to fail */
static int fail_setkey;
module_param(fail_setkey, int, 0600);
MODULE_PARM_DESC(fail_setkey, "How many calls of setkey fail");
static int fail_crypt;
module_param(fail_crypt, int, 0600);
MODULE_PARM_DESC(fail_crypt, "How many calls of encrypt or decrypt fail");

struct context {
	struct crypto_skcipher *real;
};

static bool is_due(int *left)
{
	if (READ_ONCE(*left) <= 0)
		return false;
	WRITE_ONCE(*left, *left - 1);
	return true;
}

static int cipher_setkey(struct crypto_skcipher *tfm, const u8 *key,
			 unsigned int bytes)
{
	struct context *context = crypto_skcipher_ctx(tfm);

	if (is_due(&fail_setkey))
		return -EIO;
	crypto_skcipher_clear_flags(context->real, CRYPTO_TFM_REQ_MASK);
	crypto_skcipher_set_flags(context->real, crypto_skcipher_get_flags(tfm) &
				  CRYPTO_TFM_REQ_MASK);
	return crypto_skcipher_setkey(context->real, key, bytes);
}

static int run(struct skcipher_request *req,
	       int (*crypt)(struct skcipher_request *req))
{
	struct crypto_skcipher *tfm = crypto_skcipher_reqtfm(req);
	struct context *context = crypto_skcipher_ctx(tfm);
	struct skcipher_request *real = skcipher_request_ctx(req);

	if (is_due(&fail_crypt))
		return -EIO;
	skcipher_request_set_tfm(real, context->real);
	skcipher_request_set_callback(real, req->base.flags,
				      req->base.complete, req->base.data);
	skcipher_request_set_crypt(real, req->src, req->dst, req->cryptlen,
				   req->iv);
	return crypt(real);
}

static int cipher_encrypt(struct skcipher_request *req)
{
	return run(req, crypto_skcipher_encrypt);
}

static int cipher_decrypt(struct skcipher_request *req)
{
	return run(req, crypto_skcipher_decrypt);
}

static int cipher_init(struct crypto_skcipher *tfm)
{
	struct context *context = crypto_skcipher_ctx(tfm);
	struct crypto_skcipher *real;

	real = crypto_alloc_skcipher("xts(ecb(aes-generic))", 0,
				     CRYPTO_ALG_ASYNC);
	if (IS_ERR(real))
		return PTR_ERR(real);
	context->real = real;
	crypto_skcipher_set_reqsize(tfm, sizeof(struct skcipher_request) +
				    crypto_skcipher_reqsize(real));
	return 0;
}

static void cipher_exit(struct crypto_skcipher *tfm)
{
	struct context *context = crypto_skcipher_ctx(tfm);

	crypto_free_skcipher(context->real);
}

static struct skcipher_alg cipher = {
	.base.cra_name		= "xts(aes)",
	.base.cra_driver_name	= "selftest-xts",
	.base.cra_priority	= 100000,
	.base.cra_blocksize	= AES_BLOCK_SIZE,
	.base.cra_ctxsize	= sizeof(struct context),
	.base.cra_module	= THIS_MODULE,
	.init			= cipher_init,
	.exit			= cipher_exit,
	.min_keysize		= 2 * AES_MIN_KEY_SIZE,
	.max_keysize		= 2 * AES_MAX_KEY_SIZE,
	.ivsize			= AES_BLOCK_SIZE,
	.setkey			= cipher_setkey,
	.encrypt		= cipher_encrypt,
	.decrypt		= cipher_decrypt,
};

static int __init selftest_cipher_init(void)
{
	return crypto_register_skcipher(&cipher);
}

static void __exit selftest_cipher_exit(void)
{
	crypto_unregister_skcipher(&cipher);
}

module_init(selftest_cipher_init);
module_exit(selftest_cipher_exit);

MODULE_DESCRIPTION("A cipher that fails on demand");
MODULE_LICENSE("GPL");
