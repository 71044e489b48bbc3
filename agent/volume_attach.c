// SPDX-License-Identifier: GPL-2.0-or-later
/* Attach and detach: the steps in order, each with its undo. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "audit.h"
#include "event.h"
#include "keyring.h"
#include "known.h"
#include "lock.h"
#include "log.h"
#include "volume_private.h"

/* Between the last look for another device of the volume and our own. */
#define LOCK_PATH "/run/envelope-attach.lock"

static int choose_name(const struct volume_attach_options *o,
		       const struct header_core *core,
		       char ret[DM_VOLUME_NAME_CHARS])
{
	const char *name = o->name ? o->name : core->volume_id;

	if (!dm_volume_name_valid(name)) {
		log_error("'%s' is no name for a device: want 1 to %d letters, digits and #+.:=@_-",
			  name, DM_VOLUME_NAME_CHARS - 1);
		return -EINVAL;
	}
	snprintf(ret, DM_VOLUME_NAME_CHARS, "%s", name);
	return 0;
}

/* One DEK, one device: two would not see each other's writes. */
static int check_free(const char *name, const struct header_core *core)
{
	struct dm_volume_status live;
	int r;

	r = volume_find_id(core->volume_id, &live);
	if (r == 0) {
		log_error("volume %s is attached already, as '%s'",
			  core->volume_id, live.volume.name);
		return -EEXIST;
	}
	if (r != -ENXIO)
		return r;
	r = dm_name_taken(name);
	if (r <= 0)
		return r;
	log_error("'%s': a device of that name exists: choose another name",
		  name);
	return -EEXIST;
}

static void compose_table(const struct volume_attach_options *o,
			  const struct volume *v, const char *name,
			  struct dm_volume *ret)
{
	const struct header_core *core = header_core(v->header);

	*ret = (struct dm_volume){
		.target = o->target,
		.size_sectors = core->size_bytes / 512,
		.major = v->device.major,
		.minor = v->device.minor,
		.start_sectors = core->data_offset_bytes / 512,
		.sector_size = core->sector_size,
		.iv_large_sectors = core->iv_large_sectors,
		.allow_discards = o->allow_discards,
		.holes = core->holes,
		.read_only = o->read_only || v->device.read_only,
		.on_lock = o->on_lock,
	};
	snprintf(ret->name, sizeof(ret->name), "%s", name);
	snprintf(ret->volume_id, sizeof(ret->volume_id), "%s",
		 core->volume_id);
	header_uuid_print(core->uuid, ret->uuid);
}

/* dm-crypt reads its key once; ours looks in the keyring at every reload. */
static int map_crypt(const struct dm_volume *table, const struct secret *dek)
{
	int32_t serial;
	int r;

	r = keyring_add_logon(table->volume_id, dek, &serial);
	if (r < 0)
		return r;
	r = dm_volume_create(table);
	keyring_drop_logon(serial);
	return r;
}

/* What runs on it must not depend on what unlocks it. */
static int check_leased(const struct dm_volume *table, bool force)
{
	int r = lease_refuse_needed(table->name, force);

	if (r < 0)
		dm_volume_remove(table->name);
	return r;
}

static int map_envelope(const struct dm_volume *table,
			const struct secret *dek,
			const struct volume_attach_plan *plan, bool force)
{
	int32_t serial;
	int r;

	r = keyring_add_dek(table->volume_id, dek, &serial);
	/* The key that is there already is another's. */
	if (r < 0)
		return r;
	r = volume_keep_seal(table, dek);
	if (r == 0)
		r = lease_start(table->volume_id, &plan->lease,
				plan->asked_ms);
	if (r == 0)
		r = dm_volume_create(table);
	if (r == 0 && plan->lease.lease_ms)
		r = check_leased(table, force);
	if (r < 0)
		keyring_drop_dek(table->volume_id);
	return r;
}

/* Everything that can refuse without the KMS does it before the KMS is asked:
 * the other way round, each failed attempt would be a Decrypt in the audit. */
int volume_attach_prepare(const struct volume_attach_options *o,
			  const struct volume *v,
			  struct volume_attach_plan *ret)
{
	const struct header_core *core = header_core(v->header);
	struct volume_attach_plan plan = { .asked_ms = volume_clock_ms() };
	struct conf *conf = NULL;
	int r;

	r = volume_check_id(o->device, core->volume_id, o->volume_id);
	if (r == 0)
		r = choose_name(o, core, plan.name);
	if (r == 0)
		r = conf_load(&o->access.conf, &conf);
	if (r == 0)
		r = self_check_fstab(conf, plan.name);
	conf_free(conf);
	if (r == 0)
		r = lease_for(core, &o->lease, o->target, &plan.lease);
	if (r == 0)
		r = lease_refuse_recovery(core, &o->access, &plan.lease);
	if (r == 0 && !o->dry_run)
		r = module_require(o->target);
	if (r == 0 && !o->dry_run)
		r = check_free(plan.name, core);
	/* The kernel would say so too, but after the KMS was asked. */
	if (r == 0 && !o->dry_run)
		r = device_check_unused(&v->device);
	if (r == 0)
		*ret = plan;
	return r;
}

static int map_quickly(const struct volume_attach_options *o,
		       struct volume *v, const struct volume_attach_plan *plan,
		       const struct secret *dek)
{
	struct dm_volume table;
	int r = 0;

	if (!v->device.is_block)
		r = device_loop(&v->device,
				o->read_only || v->device.read_only);
	if (r < 0)
		return r;
	compose_table(o, v, plan->name, &table);
	if (o->target == DM_TARGET_CRYPT)
		return map_crypt(&table, dek);
	return map_envelope(&table, dek, plan, o->force);
}

/* Ctrl-C in these milliseconds would leave the key without its device. */
static int map(const struct volume_attach_options *o, struct volume *v,
	       const struct volume_attach_plan *plan, const struct secret *dek)
{
	int lock = lock_take(LOCK_PATH);
	sigset_t all;
	sigset_t before;
	int r;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	/* While the KMS was asked, another attach may have come first. */
	r = check_free(plan->name, header_core(v->header));
	if (r == 0)
		r = map_quickly(o, v, plan, dek);
	sigprocmask(SIG_SETMASK, &before, NULL);
	lock_drop(lock);
	return r;
}

static void warn(const struct volume_attach_options *o, const struct volume *v)
{
	if (v->device.read_only && !o->read_only)
		log_warn("'%s' is read-only, and so is what is attached",
			 o->device);
	if (o->target == DM_TARGET_CRYPT && header_core(v->header)->holes)
		log_warn("'%s': dm-crypt knows no holes: blocks that were never written read as noise",
			 o->device);
}

int volume_attach_finish(const struct volume_attach_options *o,
			 struct volume *v,
			 const struct volume_attach_plan *plan,
			 const struct secret *dek,
			 struct volume_attach_result *ret)
{
	struct volume_attach_result result = { .lease = plan->lease };
	int r = 0;

	if (!o->dry_run)
		r = map(o, v, plan, dek);
	if (r < 0)
		return r;
	/* The device is there; that it could not be pinned was said. */
	if (!o->dry_run)
		known_update(v->header);
	warn(o, v);
	snprintf(result.name, sizeof(result.name), "%s", plan->name);
	result.core = *header_core(v->header);
	result.read_only = o->read_only || v->device.read_only;
	*ret = result;
	return 0;
}

/* A denial by a slot that was slower than the one that opened it. */
static int settle(const struct volume_attach_options *o, struct volume *v,
		  const char *name)
{
	int r;

	/* dm-crypt could not be locked later. */
	if (o->dry_run || o->target == DM_TARGET_CRYPT)
		return 0;
	r = volume_race_leave(v, name);
	/* Somebody may have opened it already: without its key it is locked. */
	if (r < 0 && volume_detach(name) < 0)
		keyring_drop_dek(header_core(v->header)->volume_id);
	return r;
}

int volume_attach(const struct volume_attach_options *o,
		  struct volume_attach_result *ret)
{
	const char *event = o->dry_run ? "attach-dry-run" : "attach";
	struct volume_attach_plan plan = { .name = "" };
	struct volume v = VOLUME_CLOSED;
	struct secret *dek = NULL;
	int r;

	r = volume_open(o->device, o->header_path,
			o->force ? VOLUME_FORCE : 0, &v);
	if (r == 0)
		r = volume_attach_prepare(o, &v, &plan);
	v.event = EVENT_ATTACH;
	if (r == 0)
		r = volume_unwrap(&v, &o->access, &dek);
	/* Recorded first: what cannot be recorded is not given out. */
	if (r == 0)
		r = audit_verb(event, plan.name, header_core(
			       v.header)->volume_id);
	if (r == 0)
		r = volume_attach_finish(o, &v, &plan, dek, ret);
	if (r == 0)
		r = settle(o, &v, plan.name);
	if (r < 0)
		audit_verb_ended(event, plan.name[0] ? plan.name : o->name,
				 v.header ? header_core(v.header)->volume_id :
				 NULL, r);
	secret_free(dek);
	volume_close(&v);
	return r;
}

/* A device that was removed by other means leaves its key behind. */
static int drop_left_key(const char *volume_id)
{
	int r = keyring_drop_dek(volume_id);

	if (r == 0)
		log_info("%s was not attached any more; its key is revoked",
			 volume_id);
	return r;
}

int volume_detach(const char *name)
{
	struct dm_volume_status s;
	int32_t serial;
	int r;

	if (header_volume_id_valid(name) &&
	    volume_find_id(name, &s) == -ENXIO &&
	    keyring_find(name, &serial) == 0)
		return drop_left_key(name);
	r = volume_find(name, &s);
	if (r == 0)
		r = dm_volume_remove(s.volume.name);
	if (r == 0 && s.volume.target == DM_TARGET_ENVELOPE)
		r = keyring_drop_dek(s.volume.volume_id);
	return r;
}
