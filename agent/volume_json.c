// SPDX-License-Identifier: GPL-2.0-or-later
/* An attached volume as JSON. */
#include "volume_json.h"

#include <stdio.h>

const char *volume_state_name(const struct dm_volume_status *s)
{
	return s->state == DM_STATE_LOCKED ? "locked" : "active";
}

const char *volume_target_name(const struct dm_volume_status *s)
{
	return s->volume.target == DM_TARGET_CRYPT ? "crypt" : "envelope";
}

/* What dm-crypt does not count is absent, not zero. */
static int add_counts(json_t *o, const struct dm_volume_status *s)
{
	if (!s->counted)
		return 0;
	return json_object_set_new(o, "reads", json_integer(s->reads)) |
	       json_object_set_new(o, "writes", json_integer(s->writes)) |
	       json_object_set_new(o, "holes_read", json_integer(s->holes)) |
	       json_object_set_new(o, "errors", json_integer(s->errors));
}

json_t *volume_to_json(const struct dm_volume_status *s)
{
	const struct dm_volume *v = &s->volume;
	char device[16 + DM_VOLUME_NAME_CHARS];
	char below[32];
	json_t *o;

	snprintf(device, sizeof(device), "/dev/mapper/%s", v->name);
	snprintf(below, sizeof(below), "%u:%u", v->major, v->minor);
	o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:i}",
		      "name", v->name, "device", device,
		      "volume_id", v->volume_id, "uuid", v->uuid,
		      "state", volume_state_name(s), "reason", s->reason,
		      "revocable", s->revocable, "suspended", s->suspended,
		      "open_count", s->open_count);
	if (!o)
		return NULL;
	if (json_object_update_new(o, json_pack(
		      "{s:s, s:s, s:I, s:I, s:i, s:b, s:b, s:b, s:b, s:s}",
		      "target", volume_target_name(s), "backing", below,
		      "size", (json_int_t)(v->size_sectors * 512),
		      "data_offset", (json_int_t)(v->start_sectors * 512),
		      "sector_size", (int)v->sector_size,
		      "iv_large_sectors", v->iv_large_sectors,
		      "holes", v->holes, "allow_discards", v->allow_discards,
		      "read_only", v->read_only, "on_lock",
		      v->on_lock == DM_ON_LOCK_ERROR ? "error" : "queue")) ||
	    add_counts(o, s)) {
		json_decref(o);
		return NULL;
	}
	return o;
}
