// SPDX-License-Identifier: GPL-2.0-or-later
/* Typed getters for request members, and the validation texts of AWS. */
#include "params.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base64.h"

#define GRANT_TOKENS_MAX 10
#define GRANT_TOKEN_CHARS_MAX 8192

/* A member that is null counts as absent. */
static json_t *find(const struct call *c, const char *name)
{
	json_t *value = json_object_get(c->params, name);

	return json_is_null(value) ? NULL : value;
}

bool param_given(const struct call *c, const char *name)
{
	return find(c, name) != NULL;
}

static void append(struct call *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void append(struct call *c, const char *fmt, ...)
{
	size_t used = strlen(c->violation_text);
	va_list args;

	va_start(args, fmt);
	vsnprintf(c->violation_text + used, sizeof(c->violation_text) - used,
		  fmt, args);
	va_end(args);
}

void param_violation(struct call *c, const char *name, const char *value,
		     const char *fmt, ...)
{
	char rule[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(rule, sizeof(rule), fmt, args);
	va_end(args);
	if (c->violations++)
		append(c, "; ");
	append(c, "Value ");
	if (value)
		append(c, "'%.512s' ", value);
	append(c, "at '%c%s' failed to satisfy constraint: Member must %s",
	       tolower((unsigned char)name[0]), name + 1, rule);
}

void param_missing(struct call *c, const char *name)
{
	if (c->violations++)
		append(c, "; ");
	append(c, "Value null at '%c%s' failed to satisfy constraint: Member must not be null",
	       tolower((unsigned char)name[0]), name + 1);
}

/* UTF-8 continuation bytes do not start a character. */
size_t param_chars(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

const char *param_string(struct call *c, const char *name,
			 enum param_need need, size_t min, size_t max)
{
	json_t *value = find(c, name);
	const char *text = json_string_value(value);
	size_t chars;

	if (!value && need == PARAM_REQUIRED)
		param_missing(c, name);
	if (value && !text)
		c->malformed = true;
	if (!text)
		return NULL;
	chars = param_chars(text);
	if (chars < min)
		param_violation(c, name, text,
				"have length greater than or equal to %zu", min);
	else if (chars > max)
		param_violation(c, name, text,
				"have length less than or equal to %zu", max);
	else
		return text;
	return NULL;
}

const char *param_enum(struct call *c, const char *name,
		       const char *const *set)
{
	const char *text = param_string(c, name, PARAM_OPTIONAL, 0, 128);
	char list[512] = "";
	size_t i;

	if (!text)
		return NULL;
	for (i = 0; set[i]; i++) {
		if (strcmp(set[i], text) == 0)
			return text;
		if (i)
			strncat(list, ", ", sizeof(list) - strlen(list) - 1);
		strncat(list, set[i], sizeof(list) - strlen(list) - 1);
	}
	param_violation(c, name, text, "satisfy enum value set: [%s]", list);
	return NULL;
}

bool param_int(struct call *c, const char *name, int64_t min, int64_t max,
	       int64_t *ret)
{
	json_t *value = find(c, name);
	char text[32];
	int64_t n;

	if (value && !json_is_integer(value))
		c->malformed = true;
	if (!json_is_integer(value))
		return false;
	n = json_integer_value(value);
	snprintf(text, sizeof(text), "%" PRId64, n);
	if (n < min)
		param_violation(c, name, text,
				"have value greater than or equal to %" PRId64,
				min);
	else if (n > max)
		param_violation(c, name, text,
				"have value less than or equal to %" PRId64,
				max);
	if (n < min || n > max)
		return false;
	*ret = n;
	return true;
}

bool param_bool(struct call *c, const char *name)
{
	json_t *value = find(c, name);

	if (value && !json_is_boolean(value))
		c->malformed = true;
	return json_is_true(value);
}

struct secret *param_blob(struct call *c, const char *name, size_t max)
{
	json_t *value = find(c, name);
	const char *text = json_string_value(value);
	size_t chars = json_string_length(value);
	size_t bytes_max = chars / 4 * 3, pad;
	struct secret *blob;
	long bytes;

	if (!value)
		param_missing(c, name);
	if (value && !text)
		c->malformed = true;
	if (!text)
		return NULL;
	/* Good base64 has that many bytes, and bad base64 not one more. */
	for (pad = 1; bytes_max && pad <= 2 && text[chars - pad] == '='; pad++)
		bytes_max--;
	blob = secret_new(bytes_max ? bytes_max : 1);
	bytes = blob ? base64_decode(text, chars, secret_bytes(blob)) :
		       -ENOMEM;
	if (bytes == -ENOMEM)
		c->no_memory = true;
	else if (bytes < 0)
		c->malformed = true;
	else if (bytes == 0)
		param_violation(c, name, NULL,
				"have length greater than or equal to 1");
	else if ((size_t)bytes > max)
		param_violation(c, name, NULL,
				"have length less than or equal to %zu", max);
	else
		return blob;
	secret_free(blob);
	return NULL;
}

int param_context(struct call *c, const char *name, struct context *ret)
{
	int rc = context_encode(find(c, name), ret);

	if (rc == -EINVAL) {
		c->malformed = true;
		rc = context_encode(NULL, ret);
	}
	return rc;
}

void param_grant_tokens(struct call *c)
{
	json_t *tokens = find(c, "GrantTokens");
	json_t *token;
	size_t i;

	if (!tokens)
		return;
	if (!json_is_array(tokens)) {
		c->malformed = true;
		return;
	}
	if (json_array_size(tokens) > GRANT_TOKENS_MAX)
		param_violation(c, "GrantTokens", NULL,
				"have length less than or equal to %d",
				GRANT_TOKENS_MAX);
	json_array_foreach(tokens, i, token) {
		size_t n = json_string_length(token);

		if (!json_is_string(token))
			c->malformed = true;
		else if (n < 1 || n > GRANT_TOKEN_CHARS_MAX)
			param_violation(c, "GrantTokens", NULL,
					"satisfy constraint: [Member must have length less than or equal to 8192, Member must have length greater than or equal to 1]");
	}
}

int params_check(struct call *c)
{
	if (c->no_memory)
		return -ENOMEM;
	if (c->malformed)
		return call_fail(c, ERR_SERIALIZATION, "%s", "");
	if (!c->violations)
		return 0;
	return call_fail(c, ERR_VALIDATION,
			 "%u validation error%s detected: %s", c->violations,
			 c->violations == 1 ? "" : "s", c->violation_text);
}
