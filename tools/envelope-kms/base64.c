// SPDX-License-Identifier: GPL-2.0-or-later
/* Base64 without tables, so that its timing does not tell the plaintext. */
#include "base64.h"

#include <errno.h>
#include <string.h>

#include "secret.h"

/* 0xff where @a <= @x <= @b, else 0; all below 256. */
static unsigned int between(unsigned int x, unsigned int a, unsigned int b)
{
	return (((a - 1 - x) & (x - b - 1)) >> 8) & 0xff;
}

static char encode_digit(unsigned int d)
{
	return (char)((between(d, 0, 25) & ('A' + d)) |
		      (between(d, 26, 51) & ('a' + d - 26)) |
		      (between(d, 52, 61) & ('0' + d - 52)) |
		      (between(d, 62, 62) & '+') | (between(d, 63, 63) & '/'));
}

/* -1 where @a <= @c <= @b, else 0; all below 256. */
static int within(int c, int a, int b)
{
	return ((a - 1 - c) & (c - b - 1)) >> 8;
}

/* The value of a digit; -1: not a digit. */
static int decode_digit(unsigned char c)
{
	return -1 + (within(c, 'A', 'Z') & (c - 'A' + 1)) +
	       (within(c, 'a', 'z') & (c - 'a' + 27)) +
	       (within(c, '0', '9') & (c - '0' + 53)) +
	       (within(c, '+', '+') & 63) + (within(c, '/', '/') & 64);
}

void base64_encode(const uint8_t *data, size_t bytes, char *ret)
{
	size_t i;

	for (i = 0; i < bytes; i += 3) {
		size_t left = bytes - i;
		unsigned int v = (unsigned int)data[i] << 16;

		if (left > 1)
			v |= (unsigned int)data[i + 1] << 8;
		if (left > 2)
			v |= data[i + 2];
		*ret++ = encode_digit(v >> 18);
		*ret++ = encode_digit(v >> 12 & 63);
		*ret++ = left > 1 ? encode_digit(v >> 6 & 63) : '=';
		*ret++ = left > 2 ? encode_digit(v & 63) : '=';
	}
	*ret = '\0';
}

/* Three bytes of four digits. Negative: one of them is none. */
static int decode_group(const char *text, uint8_t ret[static 3])
{
	int a = decode_digit((unsigned char)text[0]);
	int b = decode_digit((unsigned char)text[1]);
	int c = decode_digit((unsigned char)text[2]);
	int d = decode_digit((unsigned char)text[3]);

	ret[0] = (uint8_t)((a & 63) << 2 | (b & 63) >> 4);
	ret[1] = (uint8_t)((b & 63) << 4 | (c & 63) >> 2);
	ret[2] = (uint8_t)((c & 63) << 6 | (d & 63));
	return a | b | c | d;
}

/*
 * The last group, with its padding. Bits behind the last byte must be zero,
 * or two texts mean the same bytes.
 */
static int decode_last(const char *text, size_t pad, uint8_t *ret)
{
	char padded[4];
	uint8_t all[3];
	int bad;

	memcpy(padded, text, sizeof(padded));
	memset(padded + 4 - pad, 'A', pad);
	bad = decode_group(padded, all);
	bad |= -(pad > 0 && all[2]) | -(pad > 1 && all[1]);
	memcpy(ret, all, 3 - pad);
	wipe(padded, sizeof(padded));
	wipe(all, sizeof(all));
	return bad;
}

long base64_decode(const char *text, size_t text_bytes, uint8_t *ret)
{
	size_t pad = 0, i;
	int bad = 0; /* negative: yes */

	if (text_bytes % 4)
		return -EINVAL;
	if (!text_bytes)
		return 0;
	while (pad < 2 && text[text_bytes - 1 - pad] == '=')
		pad++;
	for (i = 0; i < text_bytes - 4; i += 4) {
		bad |= decode_group(text + i, ret);
		ret += 3;
	}
	bad |= decode_last(text + i, pad, ret);
	return bad < 0 ? -EINVAL : (long)(text_bytes / 4 * 3 - pad);
}
