// SPDX-License-Identifier: GPL-2.0-or-later
/* The rules of systemd.unit(5), "string escaping for inclusion in unit names". */
#include "unit_name.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define ESCAPED_CHARS 4		/* \xHH */

struct name {
	char *at;		/* with room for ESCAPED_CHARS and more */
	char *end;
};

static int put(struct name *n, const char *text)
{
	size_t len = strlen(text);

	if (len >= (size_t)(n->end - n->at))
		return -ENAMETOOLONG;
	memcpy(n->at, text, len + 1);
	n->at += len;
	return 0;
}

static int put_escaped(struct name *n, const char *text, size_t len)
{
	char one[ESCAPED_CHARS + 1];
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < len; i++) {
		unsigned char c = text[i];
		bool plain = isalnum(c) || c == ':' || c == '_' ||
			     (c == '.' && i > 0);

		if (c == '/' || plain)
			snprintf(one, sizeof(one), "%c", c == '/' ? '-' : c);
		else
			snprintf(one, sizeof(one), "\\x%02x", c);
		r = put(n, one);
	}
	return r;
}

int unit_name_of(const char *before, const char *text, const char *behind,
		 char ret[UNIT_NAME_CHARS])
{
	struct name n = { ret, ret + UNIT_NAME_CHARS };
	int r = put(&n, before);

	if (r == 0)
		r = put_escaped(&n, text, strlen(text));
	return r < 0 ? r : put(&n, behind);
}

/* Slashes at both ends go, and of several in a row all but one. */
int unit_name_of_path(const char *path, char ret[UNIT_NAME_CHARS])
{
	bool device = strncmp(path, "/dev/", 5) == 0 ||
		      strncmp(path, "/sys/", 5) == 0;
	char text[UNIT_NAME_CHARS];
	struct name n = { text, text + sizeof(text) };
	int r = 0;

	text[0] = '\0';
	while (r == 0 && *(path += strspn(path, "/"))) {
		size_t len = strcspn(path, "/");
		char part[UNIT_NAME_CHARS];

		if (len >= sizeof(part))
			return -ENAMETOOLONG;
		memcpy(part, path, len);
		part[len] = '\0';
		if (n.at > text)
			r = put(&n, "/");
		if (r == 0)
			r = put(&n, part);
		path += len;
	}
	if (r < 0)
		return r;
	return unit_name_of("", text[0] ? text : "/",
			    device ? ".device" : ".mount", ret);
}

void unit_print_path(FILE *f, const char *path)
{
	fputc('"', f);
	for (; *path; path++) {
		if (*path == '"' || *path == '\\')
			fputc('\\', f);
		if (*path == '%')
			fputc('%', f);
		fputc(*path, f);
	}
	fputc('"', f);
}
