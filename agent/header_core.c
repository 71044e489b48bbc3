// SPDX-License-Identifier: GPL-2.0-or-later
/* Core, the authenticated half of the metadata: JSON to struct and back. */
#include "header_private.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "json.h"

#define CIPHER_NAME "aes-xts-plain64"

/* Names that may stand in `critical` without this version refusing. */
static const char *const known_names[] = {
	"volume_id", "revision", "generation", "critical", "size",
	"data_offset", "sector_size", "cipher", "flags", "created", "lineage",
	"origin", "device", "holes", "iv_large_sectors", "lease",
};

#define ARRAY_COUNT(a) (sizeof(a) / sizeof((a)[0]))

static bool name_known(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_COUNT(known_names); i++)
		if (strcmp(known_names[i], name) == 0)
			return true;
	return false;
}

int header_refuse(char why[static HEADER_WHY_BYTES], const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, HEADER_WHY_BYTES, fmt, args);
	va_end(args);
	return -EBADMSG;
}

static bool device_name_valid(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text <= 0x20 ||
		    (unsigned char)*text > 0x7e)
			return false;
	return true;
}

/* Where the data lie. */
static int check_geometry(const struct header_core *core,
			  char why[static HEADER_WHY_BYTES])
{
	uint32_t sector = core->sector_size;
	uint64_t offset = core->data_offset_bytes;

	if (sector < 512 || sector > 4096 || (sector & (sector - 1)))
		return header_refuse(why, "core: sector_size is not 512, 1024, 2048 or 4096");
	if (core->size_bytes == 0 || core->size_bytes > HEADER_MAX_BYTES ||
	    core->size_bytes % sector)
		return header_refuse(why, "core: size is out of range or not a multiple of sector_size");
	if (core->detached && offset != 0)
		return header_refuse(why, "core: data_offset of a detached header is not 0");
	if (!core->detached &&
	    (offset < HEADER_DATA_OFFSET_BYTES || offset > HEADER_MAX_BYTES ||
	     offset % 4096))
		return header_refuse(why, "core: data_offset is out of range");
	return 0;
}

int header_core_check(const struct header_core *core,
		      char why[static HEADER_WHY_BYTES])
{
	if (!header_volume_id_valid(core->volume_id))
		return header_refuse(why, "core: volume_id is not vol- and 17 hexadecimal digits");
	if (core->revision < 1 || core->revision > HEADER_MAX_REVISION)
		return header_refuse(why, "core: revision is out of range");
	if (core->generation < 1 || core->generation > HEADER_MAX_GENERATION)
		return header_refuse(why, "core: generation is out of range");
	if (!header_time_valid(core->created))
		return header_refuse(why, "core: created is not a time");
	if (core->lineage[0] && !header_hex_valid(core->lineage, 64))
		return header_refuse(why, "core: lineage is not 64 hexadecimal digits");
	if (core->origin[0] && (strncmp(core->origin, "snap-", 5) != 0 ||
				!header_hex_valid(core->origin + 5, 17)))
		return header_refuse(why, "core: origin is not a snapshot id");
	if (core->detached && (core->device.size_bytes == 0 ||
			       core->device.size_bytes > HEADER_MAX_BYTES))
		return header_refuse(why, "core: device.size is out of range");
	if (!device_name_valid(core->device.wwn) ||
	    !device_name_valid(core->device.partuuid))
		return header_refuse(why, "core: device has a name that is not plain text");
	if (lease_terms_wrong(&core->lease))
		return header_refuse(why, "core: lease: %s",
				     lease_terms_wrong(&core->lease));
	return check_geometry(core, why);
}

/* Copy string member @name into @ret; @optional ones may be absent. */
static int take_string(const json_t *o, const char *name, bool optional,
		       char *ret, size_t room,
		       char why[static HEADER_WHY_BYTES])
{
	const char *text;
	int r = json_get_string(o, name, &text);

	if (r == -ENOENT && optional)
		return 0;
	if (r < 0)
		return header_refuse(why, "core: %s is not there or not a text", name);
	if (strlen(text) >= room)
		return header_refuse(why, "core: %s is too long", name);
	strcpy(ret, text);
	return 0;
}

static int take_u64(const json_t *o, const char *name, uint64_t min,
		    uint64_t max, uint64_t *ret,
		    char why[static HEADER_WHY_BYTES])
{
	if (json_get_u64(o, name, min, max, ret) < 0)
		return header_refuse(why, "core: %s is not a number in its range",
				     name);
	return 0;
}

static int parse_numbers(const json_t *json, struct header_core *core,
			 char why[static HEADER_WHY_BYTES])
{
	uint64_t generation = 0, sector_size = 0;
	int r;

	r = take_u64(json, "revision", 1, HEADER_MAX_REVISION, &core->revision,
		     why);
	if (r == 0)
		r = take_u64(json, "generation", 1, HEADER_MAX_GENERATION,
			     &generation, why);
	if (r == 0)
		r = take_u64(json, "size", 512, HEADER_MAX_BYTES,
			     &core->size_bytes, why);
	if (r == 0)
		r = take_u64(json, "data_offset", 0, HEADER_MAX_BYTES,
			     &core->data_offset_bytes, why);
	if (r == 0)
		r = take_u64(json, "sector_size", 512, 4096, &sector_size,
			     why);
	core->generation = generation;
	core->sector_size = sector_size;
	return r;
}

static int parse_names(const json_t *json, struct header_core *core,
		       char why[static HEADER_WHY_BYTES])
{
	const json_t *critical = json_object_get(json, "critical");
	const json_t *flags = json_object_get(json, "flags");
	const json_t *name;
	size_t i;

	if (!json_is_array(critical) || !json_is_array(flags))
		return header_refuse(why, "core: critical or flags is not an array");
	json_array_foreach(flags, i, name) {
		if (!json_is_string(name))
			return header_refuse(why, "core: a flag is not a text");
		if (strcmp(json_string_value(name), "holes") == 0)
			core->holes = true;
		if (strcmp(json_string_value(name), "iv_large_sectors") == 0)
			core->iv_large_sectors = true;
	}
	json_array_foreach(critical, i, name) {
		if (!json_is_string(name))
			return header_refuse(why, "core: a critical name is not a text");
		if (name_known(json_string_value(name)))
			continue;
		header_refuse(why, "the volume needs '%.64s', which this program does not know: use a newer dm-envelope",
			      json_string_value(name));
		return -EOPNOTSUPP;
	}
	return 0;
}

static int parse_cipher(const json_t *json, char why[static HEADER_WHY_BYTES])
{
	const char *cipher;

	if (json_get_string(json, "cipher", &cipher) < 0)
		return header_refuse(why, "core: cipher is not there or not a text");
	if (strcmp(cipher, CIPHER_NAME) == 0)
		return 0;
	header_refuse(why, "cipher '%.64s', this program knows " CIPHER_NAME, cipher);
	return -EOPNOTSUPP;
}

static int parse_objects(const json_t *json, struct header_core *core,
			 char why[static HEADER_WHY_BYTES])
{
	const json_t *origin = json_object_get(json, "origin");
	const json_t *device = json_object_get(json, "device");
	int r = 0;

	if ((origin && !json_is_object(origin)) ||
	    (device && !json_is_object(device)))
		return header_refuse(why, "core: origin or device is not an object");
	if (origin)
		r = take_string(origin, "snapshot_id", false, core->origin,
				sizeof(core->origin), why);
	core->detached = device;
	if (r < 0 || !device)
		return r;
	r = take_u64(device, "size", 1, HEADER_MAX_BYTES,
		     &core->device.size_bytes, why);
	if (r == 0)
		r = take_string(device, "wwn", true, core->device.wwn,
				sizeof(core->device.wwn), why);
	if (r == 0)
		r = take_string(device, "partuuid", true,
				core->device.partuuid,
				sizeof(core->device.partuuid), why);
	return r;
}

static int parse_lease(const json_t *json, struct header_core *core,
		       char why[static HEADER_WHY_BYTES])
{
	const json_t *o = json_object_get(json, "lease");
	uint64_t seconds = 0, grace = 0;
	int r;

	if (!o)
		return 0;
	if (!json_is_object(o))
		return header_refuse(why, "core: lease is not an object");
	r = take_u64(o, "seconds", 1, LEASE_MAX_MS / 1000, &seconds, why);
	if (r == 0)
		r = take_u64(o, "grace", 0, LEASE_MAX_MS / 1000, &grace, why);
	core->lease = (struct lease_terms){ seconds * 1000, grace * 1000 };
	return r;
}

int header_core_parse(const json_t *json, struct header_core *ret,
		      char why[static HEADER_WHY_BYTES])
{
	struct header_core core = { 0 };
	int r;

	/* First: what a newer version wrote may break the rules below. */
	r = parse_names(json, &core, why);
	if (r == 0)
		r = parse_cipher(json, why);
	if (r == 0)
		r = take_string(json, "volume_id", false, core.volume_id,
				sizeof(core.volume_id), why);
	if (r == 0)
		r = take_string(json, "created", false, core.created,
				sizeof(core.created), why);
	if (r == 0)
		r = take_string(json, "lineage", false, core.lineage,
				sizeof(core.lineage), why);
	if (r == 0 && !core.lineage[0])
		r = header_refuse(why, "core: lineage is empty");
	if (r == 0)
		r = parse_numbers(json, &core, why);
	if (r == 0)
		r = parse_objects(json, &core, why);
	if (r == 0)
		r = parse_lease(json, &core, why);
	if (r == 0)
		r = header_core_check(&core, why);
	if (r == 0)
		*ret = core;
	return r;
}

/* Let @array hold @name if @wanted, and not otherwise. */
static int array_name(json_t *array, const char *name, bool wanted)
{
	size_t i;

	for (i = json_array_size(array); i-- > 0;) {
		const char *have =
			json_string_value(json_array_get(array, i));

		if (strcmp(have, name) == 0)
			json_array_remove(array, i);
	}
	return wanted ? json_array_append_new(array, json_string(name)) : 0;
}

/* The array @name of @json, made if it is not there. Borrowed; NULL: memory. */
static json_t *core_array(json_t *json, const char *name)
{
	if (!json_object_get(json, name) &&
	    json_object_set_new(json, name, json_array()) < 0)
		return NULL;
	return json_object_get(json, name);
}

static int store_names(json_t *json, const struct header_core *core)
{
	json_t *critical = core_array(json, "critical");
	json_t *flags = core_array(json, "flags");

	if (!critical || !flags ||
	    array_name(flags, "holes", core->holes) < 0 ||
	    array_name(flags, "iv_large_sectors", core->iv_large_sectors) < 0 ||
	    array_name(critical, "holes", core->holes) < 0 ||
	    array_name(critical, "iv_large_sectors",
		       core->iv_large_sectors) < 0 ||
	    array_name(critical, "device", core->detached) < 0)
		return -ENOMEM;
	return 0;
}

static int store_device(json_t *json, const struct header_device *device)
{
	json_t *o = json_object_get(json, "device");

	if (!o) {
		o = json_object();
		if (json_object_set_new(json, "device", o) < 0)
			return -ENOMEM;
	}
	if (json_object_set_new(o, "size",
				json_integer(device->size_bytes)) < 0 ||
	    (device->wwn[0] &&
	     json_object_set_new(o, "wwn", json_string(device->wwn)) < 0) ||
	    (device->partuuid[0] &&
	     json_object_set_new(o, "partuuid",
				 json_string(device->partuuid)) < 0))
		return -ENOMEM;
	return 0;
}

static int store_lease(json_t *json, const struct lease_terms *lease)
{
	if (lease->lease_ms == 0) {
		json_object_del(json, "lease");
		return 0;
	}
	return json_object_set_new(json, "lease", json_pack("{sI sI}",
			"seconds", (json_int_t)(lease->lease_ms / 1000),
			"grace", (json_int_t)(lease->grace_ms / 1000))) < 0 ?
	       -ENOMEM : 0;
}

int header_core_store(struct header *h)
{
	const struct header_core *core = &h->core;
	json_t *members;
	int r = 0;

	if (!h->core_json)
		h->core_json = json_object();
	/* A set of a name that is there keeps its place in the text. */
	members = json_pack("{ss sI sI sI sI sI ss ss ss}",
			    "volume_id", core->volume_id,
			    "revision", (json_int_t)core->revision,
			    "generation", (json_int_t)core->generation,
			    "size", (json_int_t)core->size_bytes,
			    "data_offset", (json_int_t)core->data_offset_bytes,
			    "sector_size", (json_int_t)core->sector_size,
			    "cipher", CIPHER_NAME,
			    "created", core->created,
			    "lineage", core->lineage);
	if (!members || json_object_update(h->core_json, members) < 0 ||
	    store_names(h->core_json, core) < 0)
		r = -ENOMEM;
	if (r == 0 && core->origin[0] &&
	    json_object_set_new(h->core_json, "origin",
				json_pack("{ss}", "snapshot_id",
					  core->origin)) < 0)
		r = -ENOMEM;
	if (r == 0 && core->detached)
		r = store_device(h->core_json, &core->device);
	if (r == 0)
		r = store_lease(h->core_json, &core->lease);
	json_decref(members);
	return r;
}
