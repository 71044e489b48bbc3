// SPDX-License-Identifier: GPL-2.0-or-later
/* Writes a JSON object of one line, member by member. */
#include "audit_text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "process.h"

#define FIRST_BYTES 2048

/* Room for @bytes more; NULL: none. */
static char *room(struct audit_text *t, size_t bytes)
{
	size_t size = t->size ? t->size : FIRST_BYTES;
	char *bigger;

	while (size < t->used + bytes)
		size *= 2;
	if (size > t->size) {
		bigger = wiping_realloc(t->data, size);
		if (!bigger) {
			t->no_memory = true;
			return NULL;
		}
		t->data = bigger;
		t->size = size;
	}
	return t->data + t->used;
}

static void put(struct audit_text *t, const char *text, size_t bytes)
{
	char *p = room(t, bytes);

	if (!p)
		return;
	memcpy(p, text, bytes);
	t->used += bytes;
}

static void put_text(struct audit_text *t, const char *text)
{
	put(t, text, strlen(text));
}

/* RFC 8259, section 7: quotation mark, backslash and controls. */
static void put_escaped(struct audit_text *t, const char *text)
{
	for (;;) {
		size_t n = 0;
		char code[8];

		while ((unsigned char)text[n] >= 0x20 && text[n] != '"' &&
		       text[n] != '\\')
			n++;
		put(t, text, n);
		text += n;
		if (!*text)
			return;
		snprintf(code, sizeof(code), "\\u%04x",
			 (unsigned int)(unsigned char)*text++);
		put(t, code, 6);
	}
}

static void put_name(struct audit_text *t, const char *name)
{
	put(t, t->used ? "," : "{", 1);
	put(t, "\"", 1);
	put_text(t, name);
	put(t, "\":", 2);
}

void audit_text_string(struct audit_text *t, const char *name,
		       const char *value)
{
	put_name(t, name);
	put(t, "\"", 1);
	put_escaped(t, value);
	put(t, "\"", 1);
}

void audit_text_raw(struct audit_text *t, const char *name, const char *json)
{
	put_name(t, name);
	put_text(t, json);
}

void audit_text_json(struct audit_text *t, const char *name, json_t *value)
{
	const size_t flags = JSON_COMPACT | JSON_ENCODE_ANY;
	size_t bytes;
	char *p;

	if (json_is_null(value)) {
		audit_text_raw(t, name, "null");
		return;
	}
	put_name(t, name);
	p = room(t, 1);
	bytes = p ? json_dumpb(value, p, t->size - t->used, flags) : 0;
	if (p && bytes > t->size - t->used) {
		p = room(t, bytes);
		bytes = p ? json_dumpb(value, p, bytes, flags) : 0;
	}
	if (!bytes)
		t->no_memory = true;
	t->used += bytes;
	json_decref(value);
}

int audit_text_end(struct audit_text *t)
{
	put(t, "}\n", 2);
	return t->no_memory ? -ENOMEM : 0;
}

void audit_text_free(struct audit_text *t)
{
	wiping_free(t->data);
}
