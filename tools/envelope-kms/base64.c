// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Base64 without tables, so that its timing does not tell the plaintext: eight
 * digits at a time, each a byte of one word.
 */
#include "base64.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "secret.h"

#define DIGITS 8 /* of a word */
#define RAW 6    /* bytes that they are */
#define EACH(n) (UINT64_C(0x0101010101010101) * (n))

/*
 * 0x80 in each byte of @x with @a <= it <= @b, else 0. All of them are below
 * 128, so that none carries into its neighbour.
 */
static uint64_t within(uint64_t x, unsigned int a, unsigned int b)
{
	return (x + EACH(0x80 - a)) & ~(x + EACH(0x7f - b)) & EACH(0x80);
}

/* @n in each byte that @mask has 0x80 in, else 0. */
static uint64_t where(uint64_t mask, int n)
{
	return (mask >> 7) * (uint8_t)n;
}

/* The sums of bytes, without what each of them carries. */
static uint64_t add(uint64_t x, uint64_t y)
{
	return ((x & EACH(0x7f)) + (y & EACH(0x7f))) ^ ((x ^ y) & EACH(0x80));
}

static void encode_word(const uint8_t raw[static RAW],
			char ret[static DIGITS])
{
	uint64_t v = 0;

	memcpy(&v, raw, RAW);
	v = be64toh(v) >> 16;
	/* one half of it in each half of the word, and so on */
	v = (v & 0xffffff000000) << 8 | (v & 0xffffff);
	v = (v & 0x00fff00000fff000) << 4 | (v & 0x00000fff00000fff);
	v = (v & 0x0fc00fc00fc00fc0) << 2 | (v & 0x003f003f003f003f);
	v = add(v, where(within(v, 0, 25), 'A') |
		   where(within(v, 26, 51), 'a' - 26) |
		   where(within(v, 52, 61), '0' - 52) |
		   where(within(v, 62, 62), '+' - 62) |
		   where(within(v, 63, 63), '/' - 63));
	v = htobe64(v);
	memcpy(ret, &v, DIGITS);
}

/* Other than 0: one of @text is no digit. */
static uint64_t decode_word(const char text[static DIGITS],
			    uint8_t ret[static RAW])
{
	uint64_t x, v, upper, lower, number, plus, slash, bad;

	memcpy(&x, text, DIGITS);
	bad = x & EACH(0x80);
	x = be64toh(x) & EACH(0x7f);
	upper = within(x, 'A', 'Z');
	lower = within(x, 'a', 'z');
	number = within(x, '0', '9');
	plus = within(x, '+', '+');
	slash = within(x, '/', '/');
	bad |= EACH(0x80) & ~(upper | lower | number | plus | slash);
	v = add(x, where(upper, -'A') | where(lower, 26 - 'a') |
		   where(number, 52 - '0') | where(plus, 62 - '+') |
		   where(slash, 63 - '/'));
	v = (v & 0x3f003f003f003f00) >> 2 | (v & 0x003f003f003f003f);
	v = (v & 0x0fff00000fff0000) >> 4 | (v & 0x00000fff00000fff);
	v = (v & 0x00ffffff00000000) >> 8 | (v & 0x0000000000ffffff);
	v = htobe64(v << 16);
	memcpy(ret, &v, RAW);
	return bad;
}

void base64_encode(const uint8_t *data, size_t bytes, char *ret)
{
	uint8_t last[RAW] = { 0 };
	char digits[DIGITS];
	size_t chars;

	for (; bytes >= RAW; bytes -= RAW) {
		encode_word(data, ret);
		data += RAW;
		ret += DIGITS;
	}
	chars = BASE64_TEXT_BYTES(bytes);
	memcpy(last, data, bytes);
	encode_word(last, digits);
	memset(ret, '=', chars);
	/* Three bytes are four digits, one is two, two are three. */
	memcpy(ret, digits, bytes + (bytes + 2) / 3);
	ret[chars] = '\0';
	wipe(last, sizeof(last));
	wipe(digits, sizeof(digits));
}

/*
 * The last @chars digits, one group or two, with their padding. Bits behind
 * the last byte must be zero, or two texts mean the same bytes.
 */
static uint64_t decode_last(const char *text, size_t chars, size_t pad,
			    uint8_t *ret)
{
	size_t bytes = chars / 4 * 3 - pad, i;
	char padded[DIGITS];
	uint8_t all[RAW];
	uint64_t bad;

	memset(padded, 'A', sizeof(padded)); /* zero bits */
	memcpy(padded, text, chars - pad);
	bad = decode_word(padded, all);
	for (i = bytes; i < sizeof(all); i++)
		bad |= all[i];
	memcpy(ret, all, bytes);
	wipe(padded, sizeof(padded));
	wipe(all, sizeof(all));
	return bad;
}

long base64_decode(const char *text, size_t text_bytes, uint8_t *ret)
{
	size_t pad = 0, last = text_bytes % DIGITS ? 4 : DIGITS, i;
	uint64_t bad = 0;

	if (text_bytes % 4)
		return -EINVAL;
	if (!text_bytes)
		return 0;
	while (pad < 2 && text[text_bytes - 1 - pad] == '=')
		pad++;
	for (i = 0; i < text_bytes - last; i += DIGITS) {
		bad |= decode_word(text + i, ret);
		ret += RAW;
	}
	bad |= decode_last(text + i, last, pad, ret);
	return bad ? -EINVAL : (long)(text_bytes / 4 * 3 - pad);
}
