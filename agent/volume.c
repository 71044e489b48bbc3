// SPDX-License-Identifier: GPL-2.0-or-later
/* Opening a volume's header, and unwrapping its DEK. */
#include "volume_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "key_name.h"
#include "event.h"
#include "known.h"
#include "log.h"

int volume_kms_open(const struct volume_access *access, struct volume_kms *ret)
{
	struct volume_kms k = { 0 };
	int r;

	r = conf_load(&access->conf, &k.conf);
	if (r < 0)
		return r;
	r = kms_open(k.conf, access->timeout_ms ? access->timeout_ms :
		     VOLUME_TIMEOUT_MS, &k.kms);
	if (r < 0) {
		if (r != -EIO)
			log_error("cannot start a session with the KMS: %s",
				  strerror(-r));
		volume_kms_close(&k);
		return r;
	}
	*ret = k;
	return 0;
}

void volume_kms_close(struct volume_kms *k)
{
	kms_free(k->kms);
	conf_free(k->conf);
	*k = (struct volume_kms){ 0 };
}

int volume_header_fd(const struct volume *v)
{
	return v->header_file.fd >= 0 ? v->header_file.fd : v->device.fd;
}

const char *volume_header_name(const struct volume *v)
{
	return v->header_file.fd >= 0 ? v->header_file.path : v->device.path;
}

static const struct device *header_device(const struct volume *v)
{
	return v->header_file.fd >= 0 ? &v->header_file : &v->device;
}

/*
 * mkfs or a partitioning program may have been run on the backing device; with
 * copy B still whole, an attach would serve what is left under it.
 */
static int check_magic(const struct volume *v, unsigned int flags)
{
	const struct device *d = header_device(v);
	char signature[DEVICE_SIGNATURE_CHARS];
	bool a;
	bool b;
	int r;

	r = header_magic_at(d->fd, d->path, &a, &b);
	if (r < 0 || a)
		return r;
	r = device_signature(d, signature);
	if (r < 0)
		return r;
	if (!b && signature[0]) {
		log_error("'%s': no envelope header, but %s: if a volume was here, mkfs or the like was run on the device below it; a header backup brings back what was not overwritten",
			  d->path, signature);
		return -ENODATA;
	}
	if (!b) {
		log_error("'%s': no envelope header in either copy", d->path);
		return -ENODATA;
	}
	if (!signature[0])
		return 0;
	log_error("'%s': %s was made over the header; its copy B is whole, but data were overwritten: 'envelope check --repair' mends the header",
		  d->path, signature);
	return flags & VOLUME_FORCE ? 0 : -ENODATA;
}

/* Rule of detached headers: this very device, and nothing readable on it. */
static const char *foreign_device(const struct volume *v,
				  char why[DEVICE_SIGNATURE_CHARS + 16])
{
	struct header_device found;
	const char *differs;
	bool a;
	bool b;

	device_identity(&v->device, &found);
	differs = device_identity_differs(&header_core(v->header)->device,
					  &found);
	if (differs)
		return differs;
	if (header_magic_at(v->device.fd, v->device.path, &a, &b) < 0)
		return "an unreadable start";
	if (a || b)
		return "an envelope header of its own";
	if (device_signature(&v->device, why) < 0)
		return "an unreadable start";
	return why[0] ? why : NULL;
}

/*
 * Rule of a backup: it serves a device whose own header is damaged or cannot
 * be read, but neither another volume nor somebody's data.
 */
static const char *foreign_volume(const struct volume *v,
				  char why[DEVICE_SIGNATURE_CHARS + 16])
{
	const struct header_core *core = header_core(v->header);
	const struct device *d = &v->device;
	struct header *own = NULL;
	bool other;
	bool a;
	bool b;

	if (header_magic_at(d->fd, d->path, &a, &b) < 0)
		return NULL;
	if (!a && !b)
		return device_signature(d, why) == 0 && why[0] ? why : NULL;
	if (header_read(d->fd, d->path, &own) < 0)
		return NULL;
	other = strcmp(header_core(own)->volume_id, core->volume_id) != 0 ||
		memcmp(header_core(own)->uuid, core->uuid,
		       sizeof(core->uuid)) != 0;
	header_free(own);
	return other ? "the header of another volume" : NULL;
}

/* A header from elsewhere: does @v's device belong to it? */
static int check_device(const struct volume *v, unsigned int flags)
{
	char why[DEVICE_SIGNATURE_CHARS + 16] = "";
	const char *foreign = header_core(v->header)->detached ?
			      foreign_device(v, why) : foreign_volume(v, why);

	if (!foreign)
		return 0;
	if (flags & VOLUME_FORCE) {
		log_warn("'%s' has %s, so it may not be the device of '%s': going on, as told",
			 v->device.path, foreign, v->header_file.path);
		return 0;
	}
	log_error("'%s' has %s, so it is not the device of '%s': --force goes on nevertheless",
		  v->device.path, foreign, v->header_file.path);
	return -EBADMSG;
}

static int check_place(const struct volume *v, unsigned int flags)
{
	bool detached = header_core(v->header)->detached;
	int r = 0;

	if (detached && v->header_file.fd < 0) {
		log_error("'%s' is a detached header: name it with --header, and its device",
			  v->device.path);
		return -EINVAL;
	}
	if (v->device.fd < 0)
		return 0;
	if (v->header_file.fd >= 0)
		r = check_device(v, flags);
	if (r < 0)
		return r;
	if (v->header_file.fd >= 0 && !detached)
		log_warn("'%s' is the copy of a header that belongs on '%s'",
			 v->header_file.path, v->device.path);
	return header_check_fit(v->header, v->device.path,
				v->device.size_bytes);
}

static int open_places(const char *device, const char *header_path,
		       unsigned int flags, struct volume *v)
{
	unsigned int write = flags & VOLUME_WRITE_HEADER ? DEVICE_WRITE : 0;
	int r = 0;

	if (header_path)
		r = device_open(header_path, write, &v->header_file);
	if (r == 0 && device)
		r = device_open(device, header_path ? DEVICE_WRITE_IF_POSSIBLE :
				write ? write : DEVICE_WRITE_IF_POSSIBLE,
				&v->device);
	if (r == 0 && write)
		r = header_lock(volume_header_fd(v), volume_header_name(v));
	return r;
}

static int read_header(struct volume *v, unsigned int flags)
{
	int r;

	r = check_magic(v, flags);
	if (r == 0)
		r = header_read(volume_header_fd(v), volume_header_name(v),
				&v->header);
	if (r == 0)
		r = check_place(v, flags);
	return r;
}

int volume_adopt(struct device *device, struct device *header_file,
		 unsigned int flags, struct volume *ret)
{
	struct volume v = VOLUME_CLOSED;
	int r;

	v.device = *device;
	*device = (struct device)DEVICE_CLOSED;
	if (header_file) {
		v.header_file = *header_file;
		*header_file = (struct device)DEVICE_CLOSED;
	}
	r = read_header(&v, flags);
	if (r < 0)
		volume_close(&v);
	else
		*ret = v;
	return r;
}

int volume_open(const char *device, const char *header_path,
		unsigned int flags, struct volume *ret)
{
	struct volume v = VOLUME_CLOSED;
	int r;

	r = open_places(device, header_path, flags, &v);
	if (r == 0)
		r = read_header(&v, flags);
	if (r < 0)
		volume_close(&v);
	else
		*ret = v;
	return r;
}

void volume_close(struct volume *v)
{
	volume_race_end(v->race);
	header_free(v->header);
	device_close(&v->device);
	device_close(&v->header_file);
	*v = (struct volume)VOLUME_CLOSED;
}

int volume_check_id(const char *name, const char *volume_id,
		    const char *wanted)
{
	if (!wanted || strcmp(volume_id, wanted) == 0)
		return 0;
	log_error("'%s' is volume %s, not %s", name, volume_id, wanted);
	return -EBADMSG;
}

int volume_permit_slot(const struct volume *v, struct volume_kms *k,
		       size_t index, json_t **context_ret)
{
	struct header_slot slot = header_slot_get(v->header, index);
	const struct conf_region *region;
	int r;

	r = known_check(volume_header_name(v), v->header, index);
	if (r == -ENOENT)
		r = 0;
	if (r == 0)
		r = conf_allow_key(k->conf, slot.key_id, &region);
	if (r == 0)
		r = kms_check_provider(slot.provider);
	if (r == 0)
		r = header_context(v->header, index, context_ret);
	return r;
}

static int unwrap_slot(struct volume *v, struct volume_kms *k, size_t index,
		       struct secret **dek_ret)
{
	struct header_slot slot = header_slot_get(v->header, index);
	json_t *context = NULL;
	int r;

	r = volume_permit_slot(v, k, index, &context);
	if (r == 0)
		r = kms_decrypt(k->kms, slot.key_id, context, slot.ciphertext,
				slot.ciphertext_bytes, dek_ret);
	v->denied = r == -EACCES && event_is_denial(kms_last_error(k->kms));
	if (r == -EACCES && v->event)
		event_refused(k->kms, v->event,
			      header_core(v->header)->volume_id, slot.key_id);
	json_decref(context);
	return r;
}

/* Slots of providers that this version cannot speak to are passed over. */
static int unwrap_any(struct volume *v, struct volume_kms *k,
		      size_t *slot_ret, struct secret **dek_ret)
{
	size_t n = header_slot_count(v->header);
	bool tried = false;
	int r = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		enum key_kind kind;

		if (key_provider_find(header_slot_get(v->header, i).provider,
				      &kind) < 0)
			continue;
		if (tried)
			log_info("'%s': trying the next slot, %zu of %zu",
				 volume_header_name(v), i + 1, n);
		tried = true;
		r = unwrap_slot(v, k, i, dek_ret);
		*slot_ret = i;
		/* A denial is an answer; only silence asks for another. */
		if (r != -EHOSTUNREACH)
			return r;
	}
	if (!tried) {
		log_error("'%s': no slot that this version can use",
			  volume_header_name(v));
		return -EACCES;
	}
	return r;
}

/* *dek_ret takes @dek if it is the header's; it is freed otherwise. */
static int take_verified(struct volume *v, struct secret *dek,
			 struct secret **dek_ret)
{
	int r = header_verify(v->header, volume_header_name(v), dek);

	if (r < 0)
		secret_free(dek);
	else
		*dek_ret = dek;
	return r;
}

int volume_unwrap_by(struct volume *v, struct volume_kms *k, size_t slot,
		     struct secret **dek_ret)
{
	struct secret *dek = NULL;
	int r = slot < header_slot_count(v->header) ? 0 : -EINVAL;

	if (r == 0)
		r = unwrap_slot(v, k, slot, &dek);
	return r < 0 ? r : take_verified(v, dek, dek_ret);
}

int volume_unwrap_with(struct volume *v, struct volume_kms *k,
		       size_t *slot_ret, struct secret **dek_ret)
{
	struct secret *dek = NULL;
	size_t slot = 0;
	int r;

	r = unwrap_any(v, k, &slot, &dek);
	if (r == 0)
		r = take_verified(v, dek, dek_ret);
	if (r == 0)
		*slot_ret = slot;
	return r;
}

static int unwrap_by_race(struct volume *v, const struct volume_access *access,
			  struct secret **dek_ret)
{
	struct conf *conf = NULL;
	int r;

	r = conf_load(&access->conf, &conf);
	if (r == 0)
		r = volume_race(v, conf, access->timeout_ms ?
				access->timeout_ms : VOLUME_TIMEOUT_MS,
				dek_ret);
	conf_free(conf);
	return r;
}

int volume_unwrap(struct volume *v, const struct volume_access *access,
		  struct secret **dek_ret)
{
	struct volume_kms k = { 0 };
	size_t slot;
	int r;

	if (access->recovery)
		return volume_recover(v, access->recovery, dek_ret);
	if (volume_race_wanted(v))
		return unwrap_by_race(v, access, dek_ret);
	r = volume_kms_open(access, &k);
	if (r == 0)
		r = volume_unwrap_with(v, &k, &slot, dek_ret);
	volume_kms_close(&k);
	return r;
}
