// SPDX-License-Identifier: GPL-2.0-or-later
/* Patterns of policies: wildcards, variables, ARNs. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy_private.h"

#define ARN_SEGMENTS 6

/* ${*}, ${?} and ${$} stand for the characters themselves. */
static bool compile_literal(const char *text, size_t bytes, char **out)
{
	if (bytes != 1 || !strchr("*?$", text[0]))
		return false;
	*(*out)++ = text[0];
	return true;
}

/* The inside of ${…}: a condition key and perhaps , 'default'. */
static int compile_variable(const char *text, size_t bytes, char **out)
{
	const char *comma = memchr(text, ',', bytes);
	size_t n = comma ? (size_t)(comma - text) : bytes;
	char name[256], *known;

	if (n == 0 || n >= sizeof(name))
		return -EBADMSG;
	memcpy(name, text, n);
	name[n] = '\0';
	known = condition_key_name(name);
	if (!known)
		return errno == ENOMEM ? -ENOMEM : -EBADMSG;
	*out += sprintf(*out, "%c%s%c", PATTERN_VAR, known, PATTERN_VAR);
	free(known);
	if (comma) {
		text = comma + 1;
		bytes -= n + 1;
		while (bytes && *text == ' ') {
			text++;
			bytes--;
		}
		if (bytes < 2 || text[0] != '\'' || text[bytes - 1] != '\'')
			return -EBADMSG;
		/* The quotes stay, to tell an empty default from none. */
		memcpy(*out, text, bytes);
		*out += bytes;
	}
	*(*out)++ = PATTERN_VAR;
	return 0;
}

static int compile(const char *text, int syntax, char *out,
		   struct pattern *p)
{
	while (*text) {
		const char *end = NULL;
		int rc;

		if ((syntax & PATTERN_VARIABLES) && text[0] == '$' &&
		    text[1] == '{')
			end = strchr(text, '}');
		if (end) {
			size_t n = (size_t)(end - text) - 2;

			if (!compile_literal(text + 2, n, &out)) {
				rc = compile_variable(text + 2, n, &out);
				if (rc < 0)
					return rc;
				p->variables = true;
			}
			text = end + 1;
			continue;
		}
		if ((syntax & PATTERN_WILD) && *text == '*')
			*out++ = PATTERN_ANY;
		else if ((syntax & PATTERN_WILD) && *text == '?')
			*out++ = PATTERN_ONE;
		else
			*out++ = *text;
		text++;
	}
	*out = '\0';
	return 0;
}

int pattern_compile(const char *text, int syntax, struct pattern *ret)
{
	/* A variable grows by nothing: ${ and } make room for the marks. */
	struct pattern p = { malloc(strlen(text) + 1), false };
	int rc;

	if (!p.text)
		return -ENOMEM;
	rc = compile(text, syntax, p.text, &p);
	if (rc < 0) {
		free(p.text);
		return rc;
	}
	*ret = p;
	return 0;
}

/* A value that has the marks in it must not become a pattern. */
static bool is_plain(const char *value)
{
	for (; *value; value++)
		if (*value > 0 && *value <= PATTERN_LAST)
			return false;
	return true;
}

/*
 * Writes the variable whose mark is at @p; returns what follows it. NULL:
 * it has no value, or *@rc_ret is negative.
 */
static const char *expand_one(const char *p, const struct policy_request *r,
			      FILE *out, int *rc_ret)
{
	const char *name = p + 1;
	const char *middle = strchr(name, PATTERN_VAR);
	const char *end = strchr(middle + 1, PATTERN_VAR);
	size_t n = (size_t)(middle - name);
	json_t *value = NULL;
	const char *text;
	char copy[256];

	memcpy(copy, name, n);
	copy[n] = '\0';
	*rc_ret = r->value(r->arg, copy, &value);
	if (*rc_ret < 0)
		return NULL;
	text = json_string_value(value);
	if (text && is_plain(text))
		fputs(text, out);
	else if (!value && end > middle + 1)
		fprintf(out, "%.*s", (int)(end - middle - 3), middle + 2);
	else
		end = NULL;
	json_decref(value);
	return end ? end + 1 : NULL;
}

int pattern_expand(const struct pattern *p, const struct policy_request *r,
		   char **ret)
{
	const char *from = p->text;
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);
	int rc = 0;

	if (!out)
		return -ENOMEM;
	while (from && *from) {
		if (*from == PATTERN_VAR)
			from = expand_one(from, r, out, &rc);
		else
			fputc(*from++, out);
	}
	if (fclose(out) != 0 && rc == 0)
		rc = -ENOMEM;
	if (rc < 0 || !from) {
		free(text);
		text = NULL;
	}
	*ret = text;
	return rc;
}

static bool same(char a, char b, bool any_case)
{
	return a == b || (any_case && tolower((unsigned char)a) ==
				      tolower((unsigned char)b));
}

/* The last * takes one more character whenever the rest does not fit. */
static bool matches(const char *pattern, size_t pattern_bytes,
		    const char *text, size_t text_bytes, bool any_case)
{
	const char *pattern_end = pattern + pattern_bytes;
	const char *text_end = text + text_bytes;
	const char *star = NULL, *back = NULL;

	while (text < text_end) {
		if (pattern < pattern_end && *pattern == PATTERN_ANY) {
			star = ++pattern;
			back = text;
		} else if (pattern < pattern_end &&
			   (*pattern == PATTERN_ONE ||
			    same(*pattern, *text, any_case))) {
			pattern++;
			text++;
		} else if (star) {
			pattern = star;
			text = ++back;
		} else {
			return false;
		}
	}
	while (pattern < pattern_end && *pattern == PATTERN_ANY)
		pattern++;
	return pattern == pattern_end;
}

bool pattern_matches(const char *compiled, const char *text, bool any_case)
{
	return matches(compiled, strlen(compiled), text, strlen(text),
		       any_case);
}

bool pattern_matches_arn(const char *compiled, const char *arn, bool complete)
{
	int i;

	if (complete && strcmp(compiled, "\x01") == 0)
		return true;
	for (i = 0; i < ARN_SEGMENTS; i++) {
		bool last = i == ARN_SEGMENTS - 1;
		size_t p = last ? strlen(compiled) : strcspn(compiled, ":");
		size_t t = last ? strlen(arn) : strcspn(arn, ":");

		if (!matches(compiled, p, arn, t, false))
			return false;
		if (!last && !compiled[p])
			return complete;
		if (!last && !arn[t])
			return false;
		compiled += p + 1;
		arn += t + 1;
	}
	return true;
}
