// SPDX-License-Identifier: GPL-2.0-or-later
/* Base64 without tables, so that its timing does not tell the plaintext. */
#include "base64.h"

#include <errno.h>

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

long base64_decode(const char *text, size_t text_bytes, uint8_t *ret)
{
	size_t pad = 0, bytes = 0, i;
	int bad = 0; /* negative: yes */

	if (text_bytes % 4)
		return -EINVAL;
	while (pad < 2 && pad < text_bytes &&
	       text[text_bytes - 1 - pad] == '=')
		pad++;
	for (i = 0; i < text_bytes; i += 4) {
		size_t skip = i + 4 == text_bytes ? pad : 0;
		unsigned int v = 0;
		size_t k;

		for (k = 0; k < 4; k++) {
			int d = k < 4 - skip ?
				decode_digit((unsigned char)text[i + k]) : 0;

			bad |= d;
			v = v << 6 | (d & 63);
		}
		/* Bits behind the last byte must be zero, or two texts mean
		 * the same bytes.
		 */
		bad |= -(skip && (v & (skip == 1 ? 0xff : 0xffff)));
		ret[bytes++] = (uint8_t)(v >> 16);
		if (skip < 2)
			ret[bytes++] = (uint8_t)(v >> 8);
		if (skip < 1)
			ret[bytes++] = (uint8_t)v;
	}
	return bad < 0 ? -EINVAL : (long)bytes;
}
