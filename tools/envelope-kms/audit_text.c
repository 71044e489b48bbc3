// SPDX-License-Identifier: GPL-2.0-or-later
/* Writes JSON of one line, member by member or a whole value. */
#include "audit_text.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "process.h"

#define FIRST_BYTES 2048

static bool grow(struct audit_text *t, size_t bytes)
{
	size_t size = t->size ? t->size : FIRST_BYTES;
	char *bigger;

	while (size < t->used + bytes)
		size *= 2;
	bigger = wiping_realloc(t->data, size);
	if (!bigger) {
		t->no_memory = true;
		return false;
	}
	t->data = bigger;
	t->size = size;
	return true;
}

/* Room for @bytes more; NULL: none. */
static inline char *room(struct audit_text *t, size_t bytes)
{
	if (t->size < t->used + bytes && !grow(t, bytes))
		return NULL;
	return t->data + t->used;
}

static inline void put(struct audit_text *t, const char *text, size_t bytes)
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

/* Each byte of a word; 128 where it is below @n, at least for the first. */
#define BYTES(n) (UINT64_C(0x0101010101010101) * (n))
#define BELOW(word, n) (((word) - BYTES(n)) & ~(word) & BYTES(0x80))

/* How many bytes from @text on need no escape (RFC 8259, section 7). */
static size_t plain_bytes(const char *text, size_t bytes)
{
	size_t n = 0;
	uint64_t w;

	/* Eight at a time. */
	for (; bytes - n >= sizeof(w); n += sizeof(w)) {
		memcpy(&w, text + n, sizeof(w));
		if (BELOW(w, 0x20) | BELOW(w ^ BYTES('"'), 1) |
		    BELOW(w ^ BYTES('\\'), 1))
			break;
	}
	while (n < bytes && (unsigned char)text[n] >= 0x20 &&
	       text[n] != '"' && text[n] != '\\')
		n++;
	return n;
}

static void put_escaped(struct audit_text *t, const char *text, size_t bytes)
{
	for (;;) {
		size_t n = plain_bytes(text, bytes);
		char code[8];

		put(t, text, n);
		if (n == bytes)
			return;
		snprintf(code, sizeof(code), "\\u%04x",
			 (unsigned int)(unsigned char)text[n]);
		put(t, code, 6);
		text += n + 1;
		bytes -= n + 1;
	}
}

static void put_quoted(struct audit_text *t, const char *text, size_t bytes)
{
	size_t plain = plain_bytes(text, bytes);
	char *p = room(t, bytes + 2);

	if (!p)
		return;
	*p = '"';
	memcpy(p + 1, text, plain);
	t->used += plain + 1;
	if (plain < bytes)
		put_escaped(t, text + plain, bytes - plain);
	put(t, "\"", 1);
}

/* The names of members are ours, and need no escape. */
static void put_name(struct audit_text *t, const char *name)
{
	size_t n = strlen(name);
	char *p = room(t, n + 4), *begin = p;

	if (!p)
		return;
	if (!t->used)
		*p++ = '{';
	else if (p[-1] != '{')
		*p++ = ',';
	*p++ = '"';
	memcpy(p, name, n);
	p += n;
	*p++ = '"';
	*p++ = ':';
	t->used += (size_t)(p - begin);
}

void audit_text_open(struct audit_text *t, const char *name)
{
	put_name(t, name);
	put(t, "{", 1);
}

void audit_text_close(struct audit_text *t)
{
	put(t, "}", 1);
}

static void put_object(struct audit_text *t, json_t *object)
{
	const char *name;
	bool more = false;
	json_t *value;

	put(t, "{", 1);
	json_object_foreach(object, name, value) {
		if (more)
			put(t, ",", 1);
		more = true;
		put_quoted(t, name, strlen(name));
		put(t, ":", 1);
		audit_text_value(t, value);
	}
	put(t, "}", 1);
}

static void put_array(struct audit_text *t, const json_t *array)
{
	json_t *value;
	size_t i;

	put(t, "[", 1);
	json_array_foreach(array, i, value) {
		if (i)
			put(t, ",", 1);
		audit_text_value(t, value);
	}
	put(t, "]", 1);
}

/* Digits of a double are a craft of their own. */
static void put_number(struct audit_text *t, const json_t *value)
{
	char text[64];
	size_t n = json_dumpb(value, text, sizeof(text), JSON_ENCODE_ANY |
			      JSON_REAL_PRECISION(AUDIT_TEXT_DIGITS));

	if (!n || n > sizeof(text))
		t->no_memory = true;
	else
		put(t, text, n);
}

void audit_text_value(struct audit_text *t, json_t *value)
{
	switch (value ? json_typeof(value) : JSON_NULL) {
	case JSON_OBJECT:
		put_object(t, value);
		break;
	case JSON_ARRAY:
		put_array(t, value);
		break;
	case JSON_STRING:
		put_quoted(t, json_string_value(value),
			   json_string_length(value));
		break;
	case JSON_INTEGER:
	case JSON_REAL:
		put_number(t, value);
		break;
	case JSON_TRUE:
		put(t, "true", 4);
		break;
	case JSON_FALSE:
		put(t, "false", 5);
		break;
	case JSON_NULL:
		put(t, "null", 4);
		break;
	}
}

void audit_text_string(struct audit_text *t, const char *name,
		       const char *value)
{
	put_name(t, name);
	put_quoted(t, value, strlen(value));
}

void audit_text_raw(struct audit_text *t, const char *name, const char *json)
{
	put_name(t, name);
	put_text(t, json);
}

void audit_text_json(struct audit_text *t, const char *name, json_t *value)
{
	if (!value)
		t->no_memory = true;
	put_name(t, name);
	audit_text_value(t, value);
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
