// SPDX-License-Identifier: GPL-2.0-or-later
/* UTF-8 as RFC 3629 defines it: no overlong forms, no surrogates. */
#include "utf8.h"

#include <stddef.h>

/* Bytes of the valid sequence at @p; 0: there is none. */
static size_t sequence(const unsigned char *p)
{
	size_t bytes, i;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	bytes = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	for (i = 1; i < bytes; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return bytes;
}

void utf8_mend(char *text)
{
	unsigned char *p = (unsigned char *)text;

	while (*p) {
		size_t n = sequence(p);

		if (n)
			p += n;
		else
			*p++ = '?';
	}
}
