// SPDX-License-Identifier: GPL-2.0-or-later
/* A header between processes, and over a restart. */
#include "header_json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "json.h"

json_t *header_to_json(const struct header *h)
{
	char uuid[2 * HEADER_UUID_BYTES + 1];
	size_t i;

	for (i = 0; i < HEADER_UUID_BYTES; i++)
		snprintf(uuid + 2 * i, 3, "%02x", header_core(h)->uuid[i]);
	/* Copies: who narrows the slots of one must not cut those of @h. */
	return json_pack("{s:o, s:o, s:s}",
			 "core", json_deep_copy(header_core_json(h)),
			 "slots", json_deep_copy(header_slots_json(h)),
			 "uuid", uuid);
}

static int parse_uuid(const char *text, uint8_t ret[HEADER_UUID_BYTES])
{
	unsigned int byte;
	size_t i;

	if (strlen(text) != 2 * HEADER_UUID_BYTES ||
	    strspn(text, "0123456789abcdef") != 2 * HEADER_UUID_BYTES)
		return -EINVAL;
	for (i = 0; i < HEADER_UUID_BYTES; i++) {
		if (sscanf(text + 2 * i, "%2x", &byte) != 1)
			return -EINVAL;
		ret[i] = byte;
	}
	return 0;
}

int header_from_json(const char *name, const json_t *o, struct header **ret)
{
	uint8_t uuid[HEADER_UUID_BYTES];
	json_t *core, *slots;
	const char *text;

	if (json_get_object(o, "core", &core) < 0 ||
	    json_get_object(o, "slots", &slots) < 0 ||
	    json_get_string(o, "uuid", &text) < 0 ||
	    parse_uuid(text, uuid) < 0)
		return -EINVAL;
	return header_from_parts(name, core, slots, uuid, ret);
}
