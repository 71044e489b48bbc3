// SPDX-License-Identifier: GPL-2.0-or-later
/* Names that come from outside: ids and times; and text for a terminal. */
#include "header_private.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

bool header_hex_valid(const char *text, size_t digits)
{
	return strlen(text) == digits &&
	       strspn(text, DIGITS "abcdef") == digits;
}

bool header_volume_id_valid(const char *text)
{
	return strncmp(text, "vol-", 4) == 0 && header_hex_valid(text + 4, 17);
}

bool header_provider_valid(const char *text)
{
	size_t n = strlen(text);

	return n >= 1 && n <= 32 && strspn(text, LOWER DIGITS "-") == n;
}

bool header_time_valid(const char *text)
{
	static const char shape[] = "dddd-dd-ddTdd:dd:ddZ";
	size_t i;

	if (strlen(text) != sizeof(shape) - 1)
		return false;
	for (i = 0; shape[i]; i++) {
		if (shape[i] == 'd' && (text[i] < '0' || text[i] > '9'))
			return false;
		if (shape[i] != 'd' && text[i] != shape[i])
			return false;
	}
	return true;
}

void header_time_now(char ret[HEADER_TIME_CHARS])
{
	time_t now = time(NULL);
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(ret, HEADER_TIME_CHARS, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

void header_uuid_print(const uint8_t uuid[HEADER_UUID_BYTES],
		       char ret[HEADER_UUID_CHARS])
{
	size_t i, at = 0;

	for (i = 0; i < HEADER_UUID_BYTES; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			ret[at++] = '-';
		at += snprintf(ret + at, 3, "%02x", uuid[i]);
	}
}

int header_uuid_parse(const char *text, uint8_t ret[HEADER_UUID_BYTES])
{
	char again[HEADER_UUID_CHARS];
	uint8_t uuid[HEADER_UUID_BYTES];
	const char *p = text;
	size_t i;

	for (i = 0; i < sizeof(uuid); i++) {
		p += *p == '-';
		if (!isxdigit((unsigned char)p[0]) ||
		    !isxdigit((unsigned char)p[1]) ||
		    sscanf(p, "%2hhx", &uuid[i]) != 1)
			return -EINVAL;
		p += 2;
	}
	/* What printing makes of it is the only spelling. */
	header_uuid_print(uuid, again);
	if (strcmp(again, text) != 0)
		return -EINVAL;
	memcpy(ret, uuid, sizeof(uuid));
	return 0;
}

char *header_escape(const char *text)
{
	char *out = malloc(4 * strlen(text) + 1), *p = out;

	if (!out)
		return NULL;
	for (; *text; text++) {
		unsigned char c = *text;

		/* Bytes above ASCII too: they can hide or reorder text. */
		if (c == '\\')
			p += sprintf(p, "\\\\");
		else if (c < 0x20 || c > 0x7e)
			p += sprintf(p, "\\x%02x", c);
		else
			*p++ = c;
	}
	*p = '\0';
	return out;
}
