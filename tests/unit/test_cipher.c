// SPDX-License-Identifier: GPL-2.0-or-later
/* aes-xts-plain64 against IEEE 1619-2007 and against another implementation. */
#include "cipher.h"
#include "header_fixture.h"

#define KEY \
	"2718281828459045235360287471352662497757247093699959574966967627" \
	"3141592653589793238462643383279502884197169399375105820974944592"

/*
 * IEEE 1619-2007, annex B, the XTS-AES-256 vectors: key KEY, plaintext the
 * bytes 0 to 255 twice, data unit number = sector.
 */
static const struct {
	const char *name;
	uint64_t sector;
	const char *head;	/* bytes 0 to 31 */
	const char *tail;	/* bytes 480 to 511 */
} ieee1619[] = {
	{ "vector 10", 0xff,
	  "1c3b3a102f770386e4836c99e370cf9bea00803f5e482357a4ae12d414a3e63b",
	  "773dad38014bd2092fa755c824bb5e54c4f36ffda9fcea70b9c6e693e148c151" },
	{ "vector 11", 0xffff,
	  "77a31251618a15e6b92d1d66dffe7b50b50bad552305ba0217a610688eff7e11",
	  "54fbff89eeaeea791f4a7ab1f9868294a4f9e27b42af8100cb9d59cef9645803" },
	{ "vector 12", 0xffffff,
	  "e387aaa58ba483afa7e8eb469778317ecf4cf573aa9d4eac23f2cdf914e4e200",
	  "ed242c8900dd1fa965bc950dfce09b132263a1eef52dd6888c309f5a7d712826" },
	{ "vector 13", 0xffffffff,
	  "bf53d2dade78e822a4d949a9bc6766b01b06a8ef70d26748c6a7fc36d80ae4c5",
	  "f6516139420fcff3b7361d86322c4bd84c82f335abb152c4a93411373aaa8220" },
	{ "vector 14", 0xffffffffff,
	  "64497e5a831e4a932c09be3e5393376daa599548b816031d224bbf50a818ed23",
	  "6975be5e0b4efce51cd3e70c25a1fbbbd609d273ad5b0d59631c531f6a0a57b9" },
};

/*
 * 8192 bytes, (7 * i + i / 256) mod 256, from sector 24 on: made with Python's
 * cryptography package, one call a block, IV by the rule in cipher.h.
 */
static const struct {
	uint32_t sector_size;
	bool iv_large;
	const char *sha256;
} sizes[] = {
	{ 512, false,
	  "305fe3069da514c54b02b58a898d3a5b3f94936f4099bf3ecc6879de51615276" },
	{ 512, true,
	  "305fe3069da514c54b02b58a898d3a5b3f94936f4099bf3ecc6879de51615276" },
	{ 1024, false,
	  "913d4c577947ffb5dfcbdee9b8fe1ce0ea4208d3361ee048b220f0b9104c02f5" },
	{ 1024, true,
	  "423250ac8048ef1f891fa4d2a2775674d351b6b40a1112553cfe9f2894a1bf12" },
	{ 2048, false,
	  "ad3ff5f072e5ecb87ba1db61f4f50e245c7fa1241b4ee2ed045801a7f1a3b85a" },
	{ 2048, true,
	  "6cacb90a667c02871c4b2efab767d118c46a283732111463e6808eb9ad40edda" },
	{ 4096, false,
	  "eb27a33d59fbbfcb49f1806fe1fe2a624a7c09461e13b28afa7212b03835cdf3" },
	{ 4096, true,
	  "22046eb19246859c82854b72f3954077defbe4ee78fa4ce58d3de1a07694638c" },
};

static void unhex(const char *hex, uint8_t *ret, size_t bytes)
{
	unsigned int v;
	size_t i;

	for (i = 0; i < bytes; i++) {
		assert_int_equal(sscanf(hex + 2 * i, "%2x", &v), 1);
		ret[i] = v;
	}
}

static struct secret *test_key(void)
{
	struct secret *dek = secret_new(64);

	assert_non_null(dek);
	unhex(KEY, secret_bytes(dek), 64);
	return dek;
}

static void ieee_1619_xts_aes_256(void **state)
{
	struct secret *dek = test_key();
	uint8_t plain[512], out[512], want[32];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(plain); i++)
		plain[i] = i;
	for (i = 0; i < sizeof(ieee1619) / sizeof(ieee1619[0]); i++) {
		assert_int_equal(cipher_xts(true, dek, 512, false,
					    ieee1619[i].sector, plain, out,
					    512), 0);
		unhex(ieee1619[i].head, want, 32);
		assert_memory_equal(out, want, 32);
		unhex(ieee1619[i].tail, want, 32);
		assert_memory_equal(out + 480, want, 32);
		/* In place, and back. */
		assert_int_equal(cipher_xts(false, dek, 512, false,
					    ieee1619[i].sector, out, out, 512),
				 0);
		assert_memory_equal(out, plain, 512);
	}
	secret_free(dek);
}

static void sector_sizes_and_iv_modes(void **state)
{
	struct secret *dek = test_key();
	uint8_t plain[8192], out[8192], digest[32], want[32];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(plain); i++)
		plain[i] = 7 * i + i / 256;
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		assert_int_equal(cipher_xts(true, dek, sizes[i].sector_size,
					    sizes[i].iv_large, 24, plain, out,
					    sizeof(plain)), 0);
		unhex(sizes[i].sha256, want, 32);
		SHA256(out, sizeof(out), digest);
		assert_memory_equal(digest, want, 32);
		assert_int_equal(cipher_xts(false, dek, sizes[i].sector_size,
					    sizes[i].iv_large, 24, out, out,
					    sizeof(plain)), 0);
		assert_memory_equal(out, plain, sizeof(plain));
	}
	secret_free(dek);
}

static void wrong_arguments_refused(void **state)
{
	struct secret *dek = test_key(), *halves = test_key();
	struct secret *shorter = secret_new(32);
	uint8_t b[8192] = { 0 };

	(void)state;
	memcpy(secret_bytes(halves) + 32, secret_bytes(halves), 32);
	assert_int_equal(cipher_xts(true, dek, 256, false, 0, b, b, 512),
			 -EINVAL);
	assert_int_equal(cipher_xts(true, dek, 8192, false, 0, b, b, 8192),
			 -EINVAL);
	assert_int_equal(cipher_xts(true, dek, 1536, false, 0, b, b, 1536),
			 -EINVAL);
	assert_int_equal(cipher_xts(true, dek, 4096, false, 0, b, b, 512),
			 -EINVAL);
	assert_int_equal(cipher_xts(true, dek, 4096, true, 1, b, b, 4096),
			 -EINVAL);
	assert_int_equal(cipher_xts(true, shorter, 512, false, 0, b, b, 512),
			 -EINVAL);
	assert_int_equal(cipher_xts(true, halves, 512, false, 0, b, b, 512),
			 -EIO);
	secret_free(dek);
	secret_free(halves);
	secret_free(shorter);
}

static void holes_are_told(void **state)
{
	uint8_t block[4096] = { 0 };

	(void)state;
	assert_true(cipher_all_zero(block, 4096));
	assert_true(cipher_all_zero(block, 1));
	assert_true(cipher_all_zero(block, 0));
	block[0] = 1;
	assert_false(cipher_all_zero(block, 4096));
	block[0] = 0;
	block[4095] = 1;
	assert_false(cipher_all_zero(block, 4096));
	assert_true(cipher_all_zero(block, 4095));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ieee_1619_xts_aes_256),
		cmocka_unit_test(sector_sizes_and_iv_modes),
		cmocka_unit_test(wrong_arguments_refused),
		cmocka_unit_test(holes_are_told),
	};

	return cmocka_run_group_tests_name("cipher", tests, NULL, NULL);
}
