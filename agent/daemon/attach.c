// SPDX-License-Identifier: GPL-2.0-or-later
/* Attach: policy and device, header and KMS by a worker, then the kernel. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach_device.h"
#include "events.h"
#include "evidence.h"
#include "grants.h"
#include "json.h"
#include "known.h"
#include "leases.h"
#include "log.h"
#include "look.h"
#include "messages.h"
#include "methods.h"
#include "opening.h"
#include "policy.h"
#include "volume.h"

/* One attach under way. */
struct attach {
	struct agent *agent;
	struct call *call;
	struct attach_device device;
	char *wanted_name;		/* NULL: the volume id */
	char *wanted_id;		/* NULL: whichever */
	struct volume_attach_options options;
	struct volume volume;		/* the header: from the worker */
	struct volume_attach_plan plan;	/* no name before the header */
	bool capped;			/* its lease, by the policy */
	struct opening *opening;
	struct attach *next;
};

static struct attach *attaches;

static void attach_free(struct attach *a)
{
	struct attach **at = &attaches;

	while (*at && *at != a)
		at = &(*at)->next;
	if (*at)
		*at = a->next;
	opening_free(a->opening);
	volume_close(&a->volume);
	attach_device_close(&a->device);
	free(a->wanted_name);
	free(a->wanted_id);
	free(a);
}

/* For the audit; @slot < 0: no KMS has given the key. */
static struct evidence describe(const struct attach *a, ssize_t slot)
{
	const struct header *h = a->volume.header;

	return (struct evidence){
		.event = a->options.dry_run ? "attach-dry-run" : "attach",
		.name = a->plan.name[0] ? a->plan.name : a->wanted_name,
		.device = a->device.shown,
		.volume_id = h ? header_core(h)->volume_id : NULL,
		.key_id = slot >= 0 ? header_slot_get(h, slot).key_id :
			  opening_trace(a->opening)->key,
		.request_id = opening_trace(a->opening)->request_id,
	};
}

/* The end of it, badly: -errno with what messages.h has. */
static void fail(struct attach *a, int r)
{
	struct evidence e = describe(a, -1);
	struct call *c = a->call;

	evidence_ended(call_caller(c)->uid, &e, r);
	attach_free(a);
	call_fail(c, r);
}

/*
 * By the policy; and the id of a volume is nobody else's name, or its owner
 * could not attach it under the name that it has by default.
 */
static int permit_name(const struct attach *a)
{
	const struct caller *who = call_caller(a->call);
	const char *id = header_core(a->volume.header)->volume_id;

	if (who->uid != 0 && header_volume_id_valid(a->plan.name) &&
	    strcmp(a->plan.name, id) != 0) {
		log_error("'%s': the name '%s' is the id of another volume",
			  a->device.shown, a->plan.name);
		return -EACCES;
	}
	if (policy_allows(a->agent->policy, who, a->device.link, a->plan.name))
		return 0;
	log_error("the policy does not let user %u attach '%s' under the name '%s'",
		  (unsigned int)who->uid, a->device.shown, a->plan.name);
	return -EACCES;
}

/*
 * Two that were asked for at once, by one user: before the KMS is. What another
 * user's header says is not known to be true yet, and must not keep anybody
 * from his own volume; of two true ones map() lets the first have it.
 */
static int check_others(const struct attach *a)
{
	const struct header_core *core = header_core(a->volume.header);
	uid_t uid = call_caller(a->call)->uid;
	const struct attach *other;

	for (other = attaches; other; other = other->next) {
		if (other == a || !other->plan.name[0] ||
		    call_caller(other->call)->uid != uid)
			continue;
		if (strcmp(other->plan.name, a->plan.name) != 0 &&
		    strcmp(header_core(other->volume.header)->volume_id,
			   core->volume_id) != 0)
			continue;
		log_error("volume %s or the name '%s' is being attached already",
			  core->volume_id, a->plan.name);
		return -EBUSY;
	}
	return 0;
}

/* The last sentence is the caller's: without the name of what others have. */
static void conceal_others(const struct attach *a)
{
	const char *volume_id = header_core(a->volume.header)->volume_id;
	struct dm_volume_status live;

	if (volume_find_id(volume_id, &live) == 0 &&
	    !look_visible(a->agent, call_caller(a->call), &live))
		log_error("volume %s is attached already", volume_id);
}

static void on_refused(void *data, const char *cause, const char *key_id)
{
	const struct attach *a = data;

	events_tell(&(struct event){
		.name = EVENT_ATTACH, .failed = true, .cause = cause,
		.volume_id = header_core(a->volume.header)->volume_id,
		.key_id = key_id, .device = a->plan.name,
	}, call_caller(a->call)->uid);
}

/* What the policy caps, whoever asked for it. */
static void warn_of_cap(const struct attach *a)
{
	char lease[LEASE_TEXT_CHARS], grace[LEASE_TEXT_CHARS];

	if (!a->capped)
		return;
	lease_print_ms(a->plan.lease.lease_ms, lease);
	lease_print_ms(a->plan.lease.grace_ms, grace);
	log_warn("'%s': by lease-cap of the policy, its lease is %s and its grace %s",
		 a->device.shown, lease, grace);
}

static void on_header(void *data, struct header *h)
{
	struct attach *a = data;
	int r;

	a->volume.header = h;
	r = header_check_fit(h, a->device.shown, a->volume.device.size_bytes);
	if (r == 0 && policy_requires_pin(a->agent->policy))
		r = known_require(a->device.shown, h);
	if (r == 0)
		r = volume_attach_prepare(&a->options, &a->volume, &a->plan);
	if (r == -EEXIST)
		conceal_others(a);
	if (r == 0)
		r = permit_name(a);
	if (r == 0 && !a->options.dry_run)
		r = check_others(a);
	if (r == 0) {
		a->capped = lease_terms_cap(&a->plan.lease, policy_lease_cap_ms(
						    a->agent->policy));
		r = opening_ask(a->opening, h);
	}
	if (r < 0)
		fail(a, r);
}

/* Remembered before the first key and device, so that a death is cleaned up. */
static int remember(const struct attach *a, const struct grant_hold *grant,
		    struct attachment **ret)
{
	const struct header_core *core = header_core(a->volume.header);
	struct attachment new = {
		.uid = call_caller(a->call)->uid,
		.stage = ATTACHMENT_ATTACHING,
	};
	int r;

	strcpy(new.name, a->plan.name);
	strcpy(new.volume_id, core->volume_id);
	header_uuid_print(core->uuid, new.uuid);
	new.more = json_object();
	/* What somebody has opened meanwhile stays, and needs its grant. */
	r = grants_keep(grant, &new);
	if (r == 0)
		r = attachments_add(a->agent->attachments, &new, ret);
	else
		log_error("out of memory");
	json_decref(new.more);
	return r;
}

static int make_device(struct attach *a, const struct grant_hold *grant,
		       const struct secret *dek,
		       struct volume_attach_result *ret)
{
	struct attachment *entry = NULL;
	int r;

	r = remember(a, grant, &entry);
	if (r < 0)
		return r;
	r = volume_attach_finish(&a->options, &a->volume, &a->plan, dek, ret);
	if (r == -EEXIST)
		conceal_others(a);
	if (r < 0) {
		attachments_remove(a->agent->attachments, entry);
		return r;
	}
	entry->stage = ATTACHMENT_ATTACHED;
	r = leases_begin(a->agent, entry, a->volume.header, &a->plan.lease,
			 a->plan.asked_ms);
	if (r == 0)
		r = grants_narrow(a->agent, a->volume.header, entry);
	if (r == 0)
		r = attachments_save(a->agent->attachments);
	if (r == 0) {
		leases_use_token(entry, opening_grant_token(a->opening));
		opening_leave(a->opening, entry);
		a->opening = NULL;
		return 0;
	}
	/* A restart would take it for half made. */
	leases_end(a->agent, entry);
	volume_detach(a->plan.name);
	attachments_remove(a->agent->attachments, entry);
	return r;
}

static void answer(struct attach *a, const struct volume_attach_result *result)
{
	char path[16 + DM_VOLUME_NAME_CHARS];
	bool dry_run = a->options.dry_run;
	struct call *c = a->call;

	snprintf(path, sizeof(path), "/dev/mapper/%s", result->name);
	if (!dry_run) {
		log_info("user %u attached volume %s as '%s'",
			 (unsigned int)call_caller(c)->uid,
			 result->core.volume_id, result->name);
		events_tell(&(struct event){
			.name = EVENT_ATTACH,
			.volume_id = result->core.volume_id,
			.device = result->name,
		}, call_caller(c)->uid);
	}
	attach_free(a);
	call_reply(c, json_pack("{s:s, s:s, s:s, s:I, s:b, s:b, s:I, s:I, s:o}",
				"name", result->name, "device", path,
				"volume_id", result->core.volume_id,
				"size", (json_int_t)result->core.size_bytes,
				"read_only", result->read_only,
				"dry_run", dry_run, "lease",
				(json_int_t)(result->lease.lease_ms / 1000),
				"grace",
				(json_int_t)(result->lease.grace_ms / 1000),
				"warnings", messages_warnings()));
}

static void on_unwrapped(void *data, size_t slot,
			 const struct grant_hold *grant, struct secret *dek)
{
	struct attach *a = data;
	struct evidence e = describe(a, slot);
	struct volume_attach_result result = { 0 };
	int r;

	/* Its waits before, and those of the user, are no part of the lease. */
	a->plan.asked_ms = opening_asked_ms(a->opening);
	/* The worker has compared it too, but the pins are root's business. */
	r = known_check(a->device.shown, a->volume.header, slot);
	if (r == -ENOENT)
		r = 0;
	/* First: what cannot be recorded is not given out. */
	if (r == 0)
		r = evidence_granted(call_caller(a->call)->uid, &e);
	if (r == 0 && a->options.dry_run)
		r = volume_attach_finish(&a->options, &a->volume, &a->plan,
					 dek, &result);
	else if (r == 0)
		r = make_device(a, grant, dek, &result);
	secret_free(dek);
	if (r < 0) {
		fail(a, r);
		return;
	}
	warn_of_cap(a);
	answer(a, &result);
}

static void on_failed(void *data, int r)
{
	fail(data, r);
}

static void on_gone(struct call *c, void *data)
{
	struct attach *a = data;
	struct evidence e = describe(a, -1);

	/* The KMS may have been asked. */
	messages_clear();
	messages_add(LOG_LEVEL_ERROR, "who wanted it attached has gone");
	evidence_ended(call_caller(c)->uid, &e, -ECANCELED);
	log_info("'%s': who wanted it attached has gone; given up",
		 a->device.shown);
	attach_free(a);
	call_reply(c, json_object());
}

static int start(struct attach *a)
{
	static const struct opening_events events = {
		.header = on_header,
		.refused = on_refused,
		.unwrapped = on_unwrapped,
		.failed = on_failed,
	};
	struct worker_request request = {
		.name = a->device.shown,
		.device_fd = a->device.fd,
		.header_fd = a->device.header_fd,
		.uid = call_caller(a->call)->uid,
		.event = EVENT_ATTACH,
	};
	int fd = dup(a->device.fd);
	int r = fd < 0 ? -errno : device_adopt(fd, &a->volume.device);

	if (r == 0)
		r = opening_start(a->call, &request, &events, a, &a->opening);
	return r;
}

static int set_on_lock(const char *text, enum dm_on_lock *ret)
{
	if (!text || strcmp(text, "queue") == 0)
		*ret = DM_ON_LOCK_QUEUE;
	else if (strcmp(text, "error") == 0)
		*ret = DM_ON_LOCK_ERROR;
	else
		return -EINVAL;
	return 0;
}

static struct attach *attach_new(struct call *c, const char *name,
				 const char *volume_id)
{
	struct attach *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->agent = call_agent(c);
	a->call = c;
	a->device = (struct attach_device)ATTACH_DEVICE_CLOSED;
	a->volume = (struct volume)VOLUME_CLOSED;
	a->wanted_name = name ? strdup(name) : NULL;
	a->wanted_id = volume_id ? strdup(volume_id) : NULL;
	a->next = attaches;
	attaches = a;
	if ((name && !a->wanted_name) || (volume_id && !a->wanted_id)) {
		attach_free(a);
		return NULL;
	}
	return a;
}

void method_attach(struct call *c)
{
	struct attach_device_request device = { .fd = -1, .header_fd = -1 };
	const char *name = NULL, *on_lock = NULL, *volume_id = NULL;
	struct volume_attach_options o = { 0 };
	int lease = -1, grace = -1;
	const struct param params[] = {
		{ "device_fd", PARAM_INT, false, &device.fd },
		{ "link", PARAM_TEXT, false, &device.link },
		{ "header_fd", PARAM_INT, false, &device.header_fd },
		{ "name", PARAM_TEXT, false, &name },
		{ "volume_id", PARAM_TEXT, false, &volume_id },
		{ "read_only", PARAM_BOOL, false, &o.read_only },
		{ "allow_discards", PARAM_BOOL, false, &o.allow_discards },
		{ "on_lock", PARAM_TEXT, false, &on_lock },
		{ "dry_run", PARAM_BOOL, false, &o.dry_run },
		{ "lease", PARAM_INT, false, &lease },
		{ "grace", PARAM_INT, false, &grace },
		{ 0 }
	};
	struct attach *a;
	int r;

	if (call_params(c, params) < 0)
		return;
	if (set_on_lock(on_lock, &o.on_lock) < 0) {
		call_error(c, "org.varlink.service.InvalidParameter",
			   json_pack("{s:s}", "parameter", "on_lock"));
		return;
	}
	a = attach_new(c, name, volume_id);
	if (!a) {
		call_refuse(c, -ENOMEM, "out of memory");
		return;
	}
	r = attach_device_open(c, &device, name, &a->device);
	o.device = a->device.shown;
	o.name = a->wanted_name;
	o.volume_id = a->wanted_id;
	o.access.conf.config = a->agent->config_path;
	o.lease = (struct lease_wish){
		.lease_given = lease >= 0, .grace_given = grace >= 0,
		.terms = { lease >= 0 ? lease * 1000ull : 0,
			   grace >= 0 ? grace * 1000ull : 0 },
	};
	a->options = o;
	if (r == 0)
		r = start(a);
	if (r < 0)
		fail(a, r);
	else
		call_on_gone(c, on_gone, a);
}
