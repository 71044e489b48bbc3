// SPDX-License-Identifier: GPL-2.0-or-later
/* From a snapshot to a new volume: key, data, and the header at last. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "known.h"
#include "log.h"
#include "snapshot_key.h"
#include "snapshot_ops.h"
#include "volume_private.h"

/* Everything a restore holds open. */
struct restore {
	const struct snapshot_restore_options *o;
	struct snapshot_store *st;
	const char *id;
	struct snapshot *s;
	uint8_t *body;
	size_t body_bytes;
	size_t slot;			/* of the snapshot, that is gone by */
	struct device device;
	struct device header_file;	/* closed unless detached */
	bool device_made;		/* files that were not there before */
	bool header_made;
	struct header_core core;	/* of the new volume */
	struct header *header;
	struct secret *dek;		/* the snapshot's */
	struct secret *new_dek;		/* NULL: the same */
	const char *key;		/* as it is named; NULL: the snapshot's */
	struct volume_rule rule;	/* of the default key, if that is it */
	bool rekey;
};

static const struct device *header_place(const struct restore *t)
{
	return t->header_file.fd >= 0 ? &t->header_file : &t->device;
}

/* A name that is not there becomes a file; in /dev it is a typing error. */
static int open_target(struct restore *t)
{
	const char *path = t->o->target;
	bool make = access(path, F_OK) < 0 && errno == ENOENT &&
		    strncmp(path, "/dev/", 5) != 0;
	int r;

	if (make && t->o->dry_run)
		return 0;
	r = device_open(path, DEVICE_WRITE | (make ? DEVICE_CREATE :
					      DEVICE_EXCLUSIVE), &t->device);
	t->device_made = make && r == 0;
	if (r < 0 || make)
		return r;
	if (!t->device.is_block && t->device.size_bytes && !t->o->force) {
		log_error("'%s' exists: name a new file, or --force replaces what is in it",
			  path);
		return -EEXIST;
	}
	return volume_check_blank(&t->device, "restoring", t->o->force);
}

static int open_header_file(struct restore *t)
{
	const char *path = t->o->header_path;
	int r;

	if (!path || t->o->dry_run)
		return 0;
	if (t->o->force && access(path, F_OK) == 0)
		return device_open(path, DEVICE_WRITE | DEVICE_EXCLUSIVE,
				   &t->header_file);
	r = device_open(path, DEVICE_WRITE | DEVICE_CREATE, &t->header_file);
	t->header_made = r == 0;
	return r;
}

/* Only a device has a size that cannot be helped. */
static int check_target(const struct restore *t)
{
	const struct device *d = &t->device;
	uint64_t need = t->core.data_offset_bytes + t->core.size_bytes;

	if (d->fd < 0 || !d->is_block)
		return 0;
	if (d->size_bytes < need) {
		log_error("'%s' is too small: it has %llu bytes, and the volume needs %llu",
			  d->path, (unsigned long long)d->size_bytes,
			  (unsigned long long)need);
		return -ENOSPC;
	}
	if (d->logical_bytes > t->core.sector_size) {
		log_error("'%s' has blocks of %u bytes, and the snapshot is of a volume with blocks of %u: restore it to a device with blocks of at most that",
			  d->path, d->logical_bytes, t->core.sector_size);
		return -EINVAL;
	}
	return 0;
}

static int compose_core(struct restore *t)
{
	const struct header_core *of = header_core(snapshot_header(t->s));
	int r;

	t->core = (struct header_core){
		.revision = 1,
		.generation = 1,
		.size_bytes = of->size_bytes,
		.data_offset_bytes = t->o->header_path ?
				     0 : HEADER_DATA_OFFSET_BYTES,
		.sector_size = of->sector_size,
		.iv_large_sectors = of->iv_large_sectors,
		.holes = of->holes,
		.detached = t->o->header_path,
		.lease = of->lease,
	};
	snprintf(t->core.origin, sizeof(t->core.origin), "%s",
		 snapshot_id(t->s));
	/* A file will be as long as it has to be. */
	if (!t->device.is_block)
		t->device.size_bytes = t->core.data_offset_bytes +
				       t->core.size_bytes;
	if (t->core.detached)
		device_identity(&t->device, &t->core.device);
	r = lease_for(&t->core, &t->o->lease, DM_TARGET_ENVELOPE,
		      &t->core.lease);
	return r == 0 ? header_new_identity(&t->core) : r;
}

static struct header_slot source_slot(const struct restore *t)
{
	return header_slot_get(snapshot_header(t->s), t->slot);
}

/* Of what another account shares: the default key, as EBS takes it. */
static int choose_default(struct restore *t, const char *have)
{
	struct volume_kms k = { 0 };
	bool foreign = false;
	int r = snapshot_is_foreign(&t->o->access, have, &foreign);

	if (r < 0 || !foreign)
		return r;
	r = volume_kms_open(&t->o->access, &k);
	if (r == 0)
		r = volume_find_rule(NULL, k.conf, &t->rule);
	volume_kms_close(&k);
	t->key = t->rule.key;
	return r;
}

/* Is another key wanted than the one that the snapshot has? */
static int choose_key(struct restore *t)
{
	const char *have;
	int r = snapshot_kms_slot(t->s, &t->slot);

	if (r < 0)
		return r;
	have = source_slot(t).key_id;
	t->key = t->o->kms_key;
	if (!t->key && !t->o->same_dek)
		r = choose_default(t, have);
	if (r == 0 && t->key)
		r = snapshot_another_key(&t->o->access, t->key, have,
					 &t->rekey);
	if (r == 0 && !t->rekey)
		r = snapshot_allow_same_dek(&t->o->access, t->s, have,
					    t->o->same_dek);
	return r;
}

/* The pairs of the new slot: given, or those of the snapshot's key. */
static json_t *extra_pairs(const struct restore *t)
{
	if (t->o->context || t->rekey)
		return t->o->context;
	return source_slot(t).context;
}

/* The same DEK, for the new volume's id; proven before anything is written. */
static int wrap_same(struct restore *t, struct volume_kms *k,
		     const json_t *context, struct kms_wrapped *ret)
{
	struct secret *again = NULL;
	int r = snapshot_reencrypt(t->s, t->slot, k, NULL, NULL, context,
				   ret);

	if (r == 0)
		r = kms_decrypt(k->kms, ret->key_arn, context, ret->blob,
				ret->blob_bytes, &again);
	if (r == 0 && CRYPTO_memcmp(secret_cbytes(again), secret_cbytes(t->dek),
				    HEADER_DEK_BYTES) != 0) {
		log_error("key '%s': the KMS gives back another data key than it was given; nothing was written",
			  ret->key_arn);
		r = -EBADMSG;
	}
	secret_free(again);
	return r;
}

static int wrap_new(struct restore *t, struct volume_kms *k,
		    const json_t *context, struct kms_wrapped *ret)
{
	int r = kms_generate_data_key_without_plaintext(k->kms, t->key,
							context, ret);

	return r == 0 ? kms_decrypt(k->kms, ret->key_arn, context, ret->blob,
				    ret->blob_bytes, &t->new_dek) : r;
}

/* The header as it will be written, with the slot of the new volume. */
static int make_header(struct restore *t)
{
	json_t *extra = extra_pairs(t), *context = NULL;
	struct kms_wrapped wrapped = { 0 };
	struct volume_kms k = { 0 };
	int r;

	r = header_context_of(&t->core, extra, &context);
	if (r == 0)
		r = volume_kms_open(t->rekey ? &t->o->access : &t->o->source,
				    &k);
	if (r == 0)
		r = t->rekey ? wrap_new(t, &k, context, &wrapped) :
		    wrap_same(t, &k, context, &wrapped);
	volume_kms_close(&k);
	if (r == 0)
		r = header_new(&t->core, &t->header);
	if (r == 0)
		r = snapshot_set_slot(t->header, extra, &wrapped);
	if (r == 0)
		r = header_seal(t->header, t->rekey ? t->new_dek : t->dek);
	kms_wrapped_free(&wrapped);
	json_decref(context);
	return r;
}

/* What was there is not found any more, by us or by others. */
static int clear_target(struct restore *t)
{
	uint64_t bytes = t->core.data_offset_bytes + t->core.size_bytes;
	bool a = false, b = false;
	int r;

	if (!t->device.is_block) {
		if (ftruncate(t->device.fd, 0) == 0 &&
		    ftruncate(t->device.fd, (off_t)bytes) == 0)
			return 0;
		log_error("'%s': cannot make it %llu bytes long: %s",
			  t->device.path, (unsigned long long)bytes,
			  strerror(errno));
		return errno == ENOSPC ? -ENOSPC : -EIO;
	}
	r = device_wipe_signatures(&t->device);
	if (r == 0)
		r = header_magic_at(t->device.fd, t->device.path, &a, &b);
	if (r == 0 && (a || b))
		r = header_erase(t->device.fd, t->device.path);
	return r;
}

static int zero_range(const struct restore *t, uint64_t first, uint64_t end)
{
	uint64_t size = t->core.size_bytes;
	uint64_t from = first * SNAPSHOT_CHUNK_BYTES;
	uint64_t to = end * SNAPSHOT_CHUNK_BYTES;
	uint64_t range[2] = {
		t->core.data_offset_bytes + from,
		(to < size ? to : size) - from,
	};

	if (ioctl(t->device.fd, BLKZEROOUT, range) == 0)
		return 0;
	log_error("'%s': cannot write zeros where the snapshot has nothing: %s",
		  t->device.path, strerror(errno));
	return -EIO;
}

/* A new file has none of what was there before; a device has all of it. */
static int zero_holes(const struct restore *t)
{
	uint64_t chunks = snapshot_chunks(t->s), at = 0, stored;
	int r = 0;

	while (t->device.is_block && r == 0 && at < chunks) {
		stored = snapshot_next_stored(t->s, at);
		if (stored > at)
			r = zero_range(t, at, stored);
		at = stored + 1;
	}
	return r;
}

static int move_data(struct restore *t, uint64_t *stored_ret)
{
	struct snapshot_move m = {
		.what = "restore",
		.core = header_core(snapshot_header(t->s)),
		.from = t->st,
		.source = t->s,
		.in.fd = -1,
		.decrypt = t->rekey ? t->dek : NULL,
		.encrypt = t->rekey ? t->new_dek : NULL,
		.out = {
			.fd = t->device.fd,
			.name = t->device.path,
			.offset_bytes = t->core.data_offset_bytes,
		},
		.sparse = !t->device.is_block,
	};
	int r = snapshot_move(&m, &t->o->work);

	*stored_ret = m.moved;
	if (r == 0 && fsync(t->device.fd) < 0) {
		log_error("'%s': cannot flush: %s", t->device.path,
			  strerror(errno));
		r = -EIO;
	}
	return r;
}

static int write_header(struct restore *t)
{
	const struct device *place = header_place(t);
	int r = header_write(place->fd, place->path, t->header);

	return r == 0 ? known_update(t->header) : r;
}

/* With nothing written yet. */
static int prepare(struct restore *t)
{
	int r;

	r = snapshot_store_load(t->st, t->id, &t->s, &t->body, &t->body_bytes);
	if (r == 0)
		r = choose_key(t);
	if (r == 0)
		r = open_target(t);
	if (r == 0)
		r = compose_core(t);
	if (r == 0)
		r = check_target(t);
	if (r == 0 && !t->o->dry_run)
		r = open_header_file(t);
	if (r == 0)
		r = snapshot_unlock(t->s, t->body, t->body_bytes,
				    &t->o->source, &t->slot, &t->dek);
	if (r == 0 && !t->o->dry_run)
		r = make_header(t);
	/* Ciphertext is copied without it. */
	if (r == 0 && !t->rekey) {
		secret_free(t->dek);
		t->dek = NULL;
	}
	return r;
}

static void fill_result(const struct restore *t, struct snapshot_restored *ret)
{
	ret->core = t->header ? *header_core(t->header) : t->core;
	ret->rekeyed = t->rekey;
	strcpy(ret->snapshot_id, snapshot_id(t->s));
	snprintf(ret->source_key_id, sizeof(ret->source_key_id), "%s",
		 source_slot(t).key_id);
	snprintf(ret->key_id, sizeof(ret->key_id), "%s", t->header ?
		 header_slot_get(t->header, 0).key_id : t->key ?
		 t->key : source_slot(t).key_id);
	ret->rule = t->rule;
}

static void end(struct restore *t, int r)
{
	if (r < 0 && t->device_made)
		unlink(t->o->target);
	if (r < 0 && t->header_made)
		unlink(t->o->header_path);
	secret_free(t->dek);
	secret_free(t->new_dek);
	header_free(t->header);
	device_close(&t->header_file);
	device_close(&t->device);
	free(t->body);
	snapshot_free(t->s);
}

int snapshot_restore(struct snapshot_store *st, const char *id,
		     const struct snapshot_restore_options *o,
		     struct snapshot_restored *ret)
{
	struct restore t = {
		.o = o,
		.st = st,
		.id = id,
		.device = DEVICE_CLOSED,
		.header_file = DEVICE_CLOSED,
	};
	int r = prepare(&t);

	*ret = (struct snapshot_restored){ 0 };
	if (r == 0)
		fill_result(&t, ret);
	if (r == 0 && !o->dry_run) {
		r = clear_target(&t);
		if (r == 0)
			r = zero_holes(&t);
		if (r == 0)
			r = move_data(&t, &ret->stored);
		if (r == 0)
			r = write_header(&t);
		if (r == 0)
			snapshot_tell_slots_left(t.s, t.slot);
	}
	end(&t, r);
	return r;
}
