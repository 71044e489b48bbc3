/* SPDX-License-Identifier: GPL-2.0-or-later */
/* JSON from people we do not trust: jansson with the doors shut. */
#ifndef ENVELOPE_JSON_H
#define ENVELOPE_JSON_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define JSON_WHY_BYTES 128

/*
 * Parse @len bytes at @buf, one value and nothing behind it but white space.
 * Refused: duplicate names, NUL (raw or escaped), text that is not UTF-8, and
 * more than @max_depth nested arrays and objects.
 *
 * 0 with a new reference in *@ret; -EBADMSG with a sentence in @why; -ENOMEM.
 */
int json_parse_strict(const char *buf, size_t len, unsigned int max_depth,
		      json_t **ret, char why[static JSON_WHY_BYTES]);

/*
 * Members of object @o. The string stays owned by @o.
 * 0; -ENOENT (absent); -EBADMSG (another type, or out of range).
 */
int json_get_string(const json_t *o, const char *name, const char **ret);
int json_get_u64(const json_t *o, const char *name, uint64_t min,
		 uint64_t max, uint64_t *ret);
int json_get_bool(const json_t *o, const char *name, int *ret);

/* The same for what may be missing: "" then, or if it is no string. */
const char *json_text(const json_t *o, const char *name);
int json_get_object(const json_t *o, const char *name, json_t **ret);

/*
 * Writes @o and a line's end to @f, for people to read. Takes the reference
 * to @o. 0; -ENOMEM (also if @o is NULL). What @f could not take is seen when
 * it is flushed.
 */
int json_print(json_t *o, FILE *f);

#endif
