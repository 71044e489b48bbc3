// SPDX-License-Identifier: GPL-2.0-or-later
/* A grant as JSON and back. */
#include "grant_json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "json.h"

json_t *grant_to_json(const struct grant_entry *e)
{
	return json_pack("{s:s, s:s, s:s}", "name", e->name,
			 "key_arn", e->key_arn, "id", e->id);
}

static bool take(const json_t *o, const char *name, char *ret,
		 size_t ret_bytes)
{
	const char *text;

	return json_get_string(o, name, &text) == 0 &&
	       (size_t)snprintf(ret, ret_bytes, "%s", text) < ret_bytes;
}

int grant_from_json(const json_t *o, struct grant_entry *ret)
{
	struct grant_entry e = { .volume_id = "" };

	if (!take(o, "name", e.name, sizeof(e.name)) ||
	    !take(o, "key_arn", e.key_arn, sizeof(e.key_arn)) ||
	    !take(o, "id", e.id, sizeof(e.id)) || !arn_is_key(e.key_arn))
		return -EBADMSG;
	*ret = e;
	return 0;
}
