// SPDX-License-Identifier: GPL-2.0-or-later
/* Strict JSON parsing and typed member access. */
#include "json.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* jansson's own limit is 2048 levels, too many for anything we read. */
static bool too_deep(const char *buf, size_t len, unsigned int max_depth)
{
	bool in_string = false;
	unsigned int depth = 0;
	size_t i;

	for (i = 0; i < len; i++) {
		if (in_string) {
			if (buf[i] == '\\')
				i++;
			else if (buf[i] == '"')
				in_string = false;
			continue;
		}
		if (buf[i] == '"')
			in_string = true;
		else if (buf[i] == '{' || buf[i] == '[')
			depth++;
		else if ((buf[i] == '}' || buf[i] == ']') && depth > 0)
			depth--;
		if (depth > max_depth)
			return true;
	}
	return false;
}

int json_parse_strict(const char *buf, size_t len, unsigned int max_depth,
		      json_t **ret, char why[static JSON_WHY_BYTES])
{
	json_error_t error;
	json_t *value;

	if (memchr(buf, '\0', len)) {
		snprintf(why, JSON_WHY_BYTES, "NUL byte in JSON");
		return -EBADMSG;
	}
	if (too_deep(buf, len, max_depth)) {
		snprintf(why, JSON_WHY_BYTES,
			 "JSON nested more than %u levels deep", max_depth);
		return -EBADMSG;
	}
	value = json_loadb(buf, len, JSON_REJECT_DUPLICATES, &error);
	if (!value) {
		if (json_error_code(&error) == json_error_out_of_memory)
			return -ENOMEM;
		/*
		 * jansson quotes the text near the fault, which may be a
		 * secret: the place is enough.
		 */
		snprintf(why, JSON_WHY_BYTES,
			 "malformed JSON at byte %d", error.position);
		return -EBADMSG;
	}
	*ret = value;
	return 0;
}

static int get_typed(const json_t *o, const char *name, json_type type,
		     json_t **ret)
{
	json_t *v = json_object_get(o, name);

	if (!v)
		return -ENOENT;
	if (json_typeof(v) != type)
		return -EBADMSG;
	*ret = v;
	return 0;
}

int json_get_string(const json_t *o, const char *name, const char **ret)
{
	json_t *v;
	int r = get_typed(o, name, JSON_STRING, &v);

	if (r == 0)
		*ret = json_string_value(v);
	return r;
}

const char *json_text(const json_t *o, const char *name)
{
	const char *text = json_string_value(json_object_get(o, name));

	return text ? text : "";
}

int json_get_u64(const json_t *o, const char *name, uint64_t min,
		 uint64_t max, uint64_t *ret)
{
	json_t *v;
	int r = get_typed(o, name, JSON_INTEGER, &v);

	if (r < 0)
		return r;
	if (json_integer_value(v) < 0 ||
	    (uint64_t)json_integer_value(v) < min ||
	    (uint64_t)json_integer_value(v) > max)
		return -EBADMSG;
	*ret = json_integer_value(v);
	return 0;
}

int json_get_bool(const json_t *o, const char *name, int *ret)
{
	json_t *v = json_object_get(o, name);

	if (!v)
		return -ENOENT;
	if (!json_is_boolean(v))
		return -EBADMSG;
	*ret = json_is_true(v);
	return 0;
}

int json_get_object(const json_t *o, const char *name, json_t **ret)
{
	return get_typed(o, name, JSON_OBJECT, ret);
}

int json_print(json_t *o, FILE *f)
{
	char *text = o ? json_dumps(o, JSON_INDENT(4)) : NULL;

	if (text)
		fprintf(f, "%s\n", text);
	free(text);
	json_decref(o);
	return text ? 0 : -ENOMEM;
}
