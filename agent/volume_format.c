// SPDX-License-Identifier: GPL-2.0-or-later
/* Making a volume: what to refuse, the wrapped key, then the rehearsal. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "event.h"
#include "key_name.h"
#include "log.h"
#include "volume_private.h"

/* Everything format holds open. */
struct format {
	const struct volume_format_options *o;
	struct device device;
	struct device header_file;	/* closed unless detached */
	bool created;			/* header_file is a new file */
	struct header_core core;
};

static const struct device *header_place(const struct format *f)
{
	return f->header_file.fd >= 0 ? &f->header_file : &f->device;
}

/* Neither somebody's data nor another volume, unless told so. */
int volume_check_blank(const struct device *d, const char *doing, bool force)
{
	char signature[DEVICE_SIGNATURE_CHARS];
	bool a;
	bool b;
	int r;

	if (force)
		return 0;
	r = header_magic_at(d->fd, d->path, &a, &b);
	if (r < 0)
		return r;
	if (a || b) {
		log_error("'%s' has an envelope header: %s would destroy that volume; --force does it",
			  d->path, doing);
		return -EEXIST;
	}
	r = device_signature(d, signature);
	if (r < 0)
		return r;
	if (signature[0]) {
		log_error("'%s' holds %s: %s would destroy it; --force does it",
			  d->path, signature, doing);
		return -EEXIST;
	}
	return 0;
}

/* A new file as a rule; --force takes what is there. */
static int open_header_file(struct format *f)
{
	const char *path = f->o->header_path;
	int r;

	if (!path)
		return 0;
	if (f->o->force && access(path, F_OK) == 0)
		return device_open(path, DEVICE_WRITE | DEVICE_EXCLUSIVE,
				   &f->header_file);
	r = device_open(path, DEVICE_WRITE | DEVICE_CREATE, &f->header_file);
	f->created = r == 0;
	return r;
}

static int open_places(struct format *f)
{
	int r;

	r = device_open(f->o->device, DEVICE_WRITE | DEVICE_EXCLUSIVE,
			&f->device);
	if (r == 0)
		r = volume_check_blank(&f->device, "formatting", f->o->force);
	return r;
}

/* cryptsetup's rule: what the device writes as a whole, up to a page. */
static int choose_sector_size(struct format *f)
{
	uint32_t logical = f->device.logical_bytes;
	uint32_t size = f->o->sector_size;

	if (size == 0)
		size = f->device.physical_bytes >= 4096 ? 4096 : 512;
	if (size < 512 || size > 4096 || (size & (size - 1))) {
		log_error("--sector-size: %" PRIu32 " is not 512, 1024, 2048 or 4096",
			  size);
		return -EINVAL;
	}
	if (size < logical) {
		log_error("--sector-size: '%s' has blocks of %" PRIu32 " bytes, so %" PRIu32 " is too small",
			  f->device.path, logical, size);
		return -EINVAL;
	}
	f->core.sector_size = size;
	return 0;
}

static int choose_size(struct format *f)
{
	uint32_t block = f->core.sector_size;
	uint64_t offset = f->core.data_offset_bytes;
	uint64_t wanted = f->o->size_bytes;
	uint64_t room = f->device.size_bytes;

	room = room > offset ? (room - offset) / block * block : 0;
	if (room == 0) {
		log_error("'%s' is too small: it has %" PRIu64 " bytes, and needs at least %" PRIu64,
			  f->device.path, f->device.size_bytes, offset + block);
		return -ENOSPC;
	}
	if (wanted > room) {
		log_error("'%s' is too small: room for %" PRIu64 " bytes of data, not for %" PRIu64,
			  f->device.path, room, wanted);
		return -ENOSPC;
	}
	if (wanted % block) {
		log_error("--size: %" PRIu64 " bytes are not a multiple of the sector size, %" PRIu32,
			  wanted, block);
		return -EINVAL;
	}
	f->core.size_bytes = wanted ? wanted : room;
	return 0;
}

static int compose_core(struct format *f)
{
	int r;

	r = lease_for(&f->core, &f->o->lease, DM_TARGET_ENVELOPE,
		      &f->core.lease);
	if (r < 0)
		return r;
	f->core.holes = !f->o->no_holes;
	f->core.iv_large_sectors = f->o->iv_large_sectors;
	f->core.detached = f->o->header_path;
	f->core.data_offset_bytes = f->o->header_path ?
				    0 : HEADER_DATA_OFFSET_BYTES;
	f->core.revision = 1;
	f->core.generation = 1;
	if (f->core.detached)
		device_identity(&f->device, &f->core.device);
	r = header_new_identity(&f->core);
	if (r == 0)
		r = choose_sector_size(f);
	if (r == 0)
		r = choose_size(f);
	return r;
}

static int copy_text(char *to, size_t bytes, const char *from,
		     const char *what)
{
	if (!from)
		return 0;
	if (strlen(from) >= bytes) {
		log_error("%s is too long", what);
		return -EINVAL;
	}
	strcpy(to, from);
	return 0;
}

static int fill_conf(struct rehearsal *q, const struct conf_overrides *c)
{
	size_t n = REHEARSAL_TEXT_CHARS;
	int r;

	r = copy_text(q->config, n, c->config, "--config");
	if (r == 0)
		r = copy_text(q->endpoint, n, c->endpoint, "--kms-endpoint");
	if (r == 0)
		r = copy_text(q->ca_file, n, c->ca_file, "--ca-file");
	if (r == 0)
		r = copy_text(q->profile, n, c->profile, "--profile");
	if (r == 0)
		r = copy_text(q->region, n, c->region, "--region");
	return r;
}

static int fill_context(struct rehearsal *q, const json_t *context)
{
	char *text;
	int r;

	if (!context)
		return 0;
	text = json_dumps(context, JSON_COMPACT);
	if (!text)
		return -ENOMEM;
	r = copy_text(q->context, sizeof(q->context), text, "--context");
	free(text);
	return r;
}

static int rehearse(struct format *f, const struct kms_wrapped *wrapped)
{
	const struct device *place = header_place(f);
	struct rehearsal *q = calloc(1, sizeof(*q));
	int r;

	if (!q) {
		log_error("'%s': out of memory", f->device.path);
		return -ENOMEM;
	}
	q->magic = REHEARSAL_MAGIC;
	q->header_fd = place->fd;
	q->wipe_fd = f->o->force ? f->device.fd : -1;
	q->timeout_ms = f->o->access.timeout_ms;
	q->core = f->core;
	r = copy_text(q->header_name, sizeof(q->header_name), place->path,
		      "the path");
	if (r == 0)
		r = copy_text(q->wipe_name, sizeof(q->wipe_name),
			      f->device.path, "the path");
	if (r == 0)
		r = copy_text(q->key_arn, sizeof(q->key_arn), wrapped->key_arn,
			      "the ARN of the KMS key");
	if (r == 0)
		r = fill_conf(q, &f->o->access.conf);
	if (r == 0)
		r = fill_context(q, f->o->context);
	if (r == 0) {
		memcpy(q->wrapped, wrapped->blob, wrapped->blob_bytes);
		q->wrapped_bytes = wrapped->blob_bytes;
		r = rehearsal_run(q);
	}
	free(q);
	return r;
}

int volume_find_rule(const char *given, const struct conf *conf,
		     struct volume_rule *ret)
{
	const struct conf_region *region = NULL;
	const char *key = given;
	struct arn arn;
	int r = 0;

	ret->given = given;
	ret->from = CONF_KEY_FILE;
	if (!key)
		r = conf_default_key(conf, &key);
	if (r < 0)
		return r;
	if (key_kind(key) == KEY_AWS)
		r = conf_region(conf, arn_parse(key, &arn) == 0 ?
				arn.region : NULL, &region);
	if (r < 0)
		return r;
	if (region && !ret->given)
		conf_region_key(region, &ret->from);
	ret->encryption_by_default = region && region->encryption_by_default;
	snprintf(ret->key, sizeof(ret->key), "%s", key);
	snprintf(ret->region, sizeof(ret->region), "%s",
		 region ? region->name : "");
	snprintf(ret->conf, sizeof(ret->conf), "%s", conf_path(conf));
	return 0;
}

/* The KMS makes the DEK and keeps it to itself. */
static int fetch_wrapped(struct format *f, struct kms_wrapped *ret,
			 struct volume_rule *rule_ret)
{
	struct volume_kms k = { 0 };
	json_t *context = NULL;
	int r;

	r = header_context_of(&f->core, f->o->context, &context);
	if (r == 0)
		r = volume_kms_open(&f->o->access, &k);
	if (r == 0)
		r = kms_generate_data_key_without_plaintext(k.kms,
				f->o->kms_key, context, ret);
	if (r == 0)
		r = volume_find_rule(f->o->kms_key, k.conf, rule_ret);
	if (r == -EACCES)
		event_refused(k.kms, EVENT_CREATE, f->core.volume_id,
			      f->o->kms_key);
	volume_kms_close(&k);
	json_decref(context);
	return r;
}

/* What is stored now must be what was meant. */
static int read_back(struct format *f, struct volume_format_result *ret)
{
	const struct device *place = header_place(f);
	struct header *h = NULL;
	int r;

	r = header_read(place->fd, place->path, &h);
	if (r == 0 && strcmp(header_core(h)->volume_id,
			     f->core.volume_id) != 0) {
		log_error("'%s': reads back as another volume: the device loses writes",
			  place->path);
		r = -EIO;
	}
	if (r == 0)
		ret->core = *header_core(h);
	header_free(h);
	return r;
}

int volume_format(const struct volume_format_options *o,
		  struct volume_format_result *ret)
{
	struct format f = {
		.o = o,
		.device = DEVICE_CLOSED,
		.header_file = DEVICE_CLOSED,
	};
	struct volume_format_result result = { 0 };
	struct kms_wrapped wrapped = { 0 };
	int r;

	r = open_places(&f);
	if (r == 0)
		r = compose_core(&f);
	if (r == 0)
		r = open_header_file(&f);
	if (r == 0)
		r = fetch_wrapped(&f, &wrapped, &result.rule);
	if (r == 0)
		r = rehearse(&f, &wrapped);
	if (r == 0)
		r = read_back(&f, &result);
	if (r == 0) {
		snprintf(result.key_id, sizeof(result.key_id), "%s",
			 wrapped.key_arn);
		*ret = result;
	} else if (f.created) {
		unlink(o->header_path);
	}
	kms_wrapped_free(&wrapped);
	device_close(&f.header_file);
	device_close(&f.device);
	return r;
}
