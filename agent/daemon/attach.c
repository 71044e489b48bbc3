// SPDX-License-Identifier: GPL-2.0-or-later
/* Attach: policy and device, header and KMS by a worker, then the kernel. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach_device.h"
#include "grants.h"
#include "json.h"
#include "known.h"
#include "log.h"
#include "look.h"
#include "messages.h"
#include "methods.h"
#include "policy.h"
#include "volume.h"
#include "worker.h"

/* One attach under way. */
struct attach {
	struct agent *agent;
	struct call *call;
	struct attach_device device;
	char *wanted_name;		/* NULL: the volume id */
	struct volume_attach_options options;
	struct volume volume;		/* the header: from the worker */
	struct volume_attach_plan plan;	/* no name before the header */
	struct worker *worker;
	struct grant_hold *grant;	/* NULL: none is needed */
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
	worker_free(a->worker);
	grants_release(a->agent, a->grant);
	volume_close(&a->volume);
	attach_device_close(&a->device);
	free(a->wanted_name);
	free(a);
}

/* The end of it, badly: -errno with what messages.h has. */
static void fail(struct attach *a, int r)
{
	struct call *c = a->call;

	attach_free(a);
	call_fail(c, r);
}

static int permit_name(const struct attach *a)
{
	const struct caller *who = call_caller(a->call);

	if (policy_allows(a->agent->policy, who, a->device.link, a->plan.name))
		return 0;
	log_error("the policy does not let user %u attach '%s' under the name '%s'",
		  (unsigned int)who->uid, a->device.shown, a->plan.name);
	return -EACCES;
}

/* Two that were asked for at once. */
static int check_others(const struct attach *a)
{
	const struct header_core *core = header_core(a->volume.header);
	const struct attach *other;

	for (other = attaches; other; other = other->next) {
		if (other == a || !other->plan.name[0])
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

/* Have the grant signed, in the caller's process; method_sign() goes on. */
static int ask_for_grant(struct attach *a)
{
	int r = grants_offer(a->agent, a->volume.header, a->device.shown,
			     &a->grant);

	if (r < 0)
		return r;
	if (!a->grant) {
		worker_unwrap(a->worker);
		return 0;
	}
	if (!call_more(a->call)) {
		log_error("'%s': who attaches it must sign a grant, so Attach wants to be called with `more`, as 'envelope attach' does",
			  a->device.shown);
		return -EACCES;
	}
	/* Who has gone takes @a along: not a word of it after this. */
	call_stream(a->call, json_pack("{s:o}", "grant",
				       grants_describe(a->grant)));
	return 0;
}

static void on_granted(void *data, const char *id)
{
	struct attach *a = data;
	int r;

	if (!grants_sent(a->grant)) {
		log_error("'%s': the worker speaks of a grant that nobody signed",
			  a->device.shown);
		fail(a, -EIO);
		return;
	}
	if (!id) {
		grants_refused(a->grant);
		return;
	}
	r = grants_made(a->grant, id);
	if (r < 0)
		fail(a, r);
	else
		worker_unwrap(a->worker);
}

static void on_header(void *data, struct header *h)
{
	struct attach *a = data;
	int r;

	a->volume.header = h;
	r = header_check_fit(h, a->device.shown, a->volume.device.size_bytes);
	if (r == 0)
		r = volume_attach_prepare(&a->options, &a->volume, &a->plan);
	if (r == -EEXIST)
		conceal_others(a);
	if (r == 0)
		r = permit_name(a);
	if (r == 0 && !a->options.dry_run)
		r = check_others(a);
	if (r == 0)
		r = ask_for_grant(a);
	if (r < 0)
		fail(a, r);
}

/* Remembered before the first key and device, so that a death is cleaned up. */
static int remember(const struct attach *a, struct attachment **ret)
{
	const struct header_core *core = header_core(a->volume.header);
	struct attachment new = {
		.uid = call_caller(a->call)->uid,
		.stage = ATTACHMENT_ATTACHING,
	};

	strcpy(new.name, a->plan.name);
	strcpy(new.volume_id, core->volume_id);
	header_uuid_print(core->uuid, new.uuid);
	return attachments_add(a->agent->attachments, &new, ret);
}

static int make_device(struct attach *a, const struct secret *dek,
		       struct volume_attach_result *ret)
{
	struct attachment *entry = NULL;
	int r;

	r = remember(a, &entry);
	if (r < 0)
		return r;
	r = volume_attach_finish(&a->options, &a->volume, &a->plan, dek, ret);
	if (r < 0) {
		attachments_remove(a->agent->attachments, entry);
		return r;
	}
	entry->stage = ATTACHMENT_ATTACHED;
	r = grants_keep(a->grant, entry);
	if (r == 0)
		r = attachments_save(a->agent->attachments);
	if (r == 0)
		return 0;
	/* A restart would take it for half made. */
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
	if (!dry_run)
		log_info("user %u attached volume %s as '%s'",
			 (unsigned int)call_caller(c)->uid,
			 result->core.volume_id, result->name);
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

static void on_unwrapped(void *data, size_t slot, struct secret *dek)
{
	struct attach *a = data;
	struct volume_attach_result result = { 0 };
	int r;

	/* The worker has compared it too, but the pins are root's business. */
	r = known_check(a->device.shown, a->volume.header, slot);
	if (r == -ENOENT)
		r = 0;
	if (r == 0)
		r = grants_cover(a->agent, a->volume.header, slot, a->grant,
				 a->device.shown);
	if (r == 0 && a->options.dry_run)
		r = volume_attach_finish(&a->options, &a->volume, &a->plan,
					 dek, &result);
	else if (r == 0)
		r = make_device(a, dek, &result);
	secret_free(dek);
	if (r < 0)
		fail(a, r);
	else
		answer(a, &result);
}

static void on_failed(void *data, int r)
{
	fail(data, r);
}

static void on_gone(struct call *c, void *data)
{
	struct attach *a = data;

	log_info("'%s': who wanted it attached has gone; given up",
		 a->device.shown);
	attach_free(a);
	call_reply(c, json_object());
}

static int start(struct attach *a)
{
	static const struct worker_events events = {
		.header = on_header,
		.granted = on_granted,
		.unwrapped = on_unwrapped,
		.failed = on_failed,
	};
	struct worker_request request = {
		.name = a->device.shown,
		.device_fd = a->device.fd,
		.header_fd = a->device.header_fd,
	};
	int fd = dup(a->device.fd);
	int r = fd < 0 ? -errno : device_adopt(fd, &a->volume.device);

	if (r == 0)
		r = worker_start(a->agent, &request, &events, a, &a->worker);
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

static struct attach *attach_new(struct call *c, const char *name)
{
	struct attach *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->agent = call_agent(c);
	a->call = c;
	a->device = (struct attach_device)ATTACH_DEVICE_CLOSED;
	a->volume = (struct volume)VOLUME_CLOSED;
	a->wanted_name = name ? strdup(name) : NULL;
	a->next = attaches;
	attaches = a;
	if (name && !a->wanted_name) {
		attach_free(a);
		return NULL;
	}
	return a;
}

void method_attach(struct call *c)
{
	struct attach_device_request device = { .fd = -1, .header_fd = -1 };
	const char *name = NULL, *on_lock = NULL;
	struct volume_attach_options o = { 0 };
	const struct param params[] = {
		{ "device_fd", PARAM_INT, false, &device.fd },
		{ "link", PARAM_TEXT, false, &device.link },
		{ "header_fd", PARAM_INT, false, &device.header_fd },
		{ "name", PARAM_TEXT, false, &name },
		{ "read_only", PARAM_BOOL, false, &o.read_only },
		{ "allow_discards", PARAM_BOOL, false, &o.allow_discards },
		{ "on_lock", PARAM_TEXT, false, &on_lock },
		{ "dry_run", PARAM_BOOL, false, &o.dry_run },
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
	a = attach_new(c, name);
	if (!a) {
		call_refuse(c, -ENOMEM, "out of memory");
		return;
	}
	r = attach_device_open(c, &device, name, &a->device);
	o.device = a->device.shown;
	o.name = a->wanted_name;
	o.access.conf.config = a->agent->config_path;
	a->options = o;
	if (r == 0)
		r = start(a);
	if (r < 0)
		fail(a, r);
	else
		call_on_gone(c, on_gone, a);
}

/* Whose attach waits for the signature @nonce; a stranger's does not. */
static struct attach *find_unsigned(struct call *c, const char *nonce)
{
	struct attach *a;

	for (a = attaches; a; a = a->next)
		if (grants_awaits(a->grant, nonce) &&
		    call_caller(a->call)->uid == call_caller(c)->uid)
			return a;
	return NULL;
}

void method_sign(struct call *c)
{
	const char *nonce = NULL, *date = NULL, *token = NULL;
	const char *authorization = NULL, *dry_run = NULL;
	const struct param params[] = {
		{ "nonce", PARAM_TEXT, true, &nonce },
		{ "date", PARAM_TEXT, true, &date },
		{ "authorization", PARAM_TEXT, true, &authorization },
		{ "dry_run_authorization", PARAM_TEXT, true, &dry_run },
		{ "session_token", PARAM_TEXT, false, &token },
		{ 0 }
	};
	json_t *request = NULL;
	struct attach *a;
	int r;

	if (call_params(c, params) < 0)
		return;
	a = find_unsigned(c, nonce);
	if (!a) {
		call_refuse(c, -EACCES, "no attach of yours waits for this signature");
		return;
	}
	r = grants_signed(a->grant, json_pack(
		"{s:s, s:s, s:s, s:s*}", "date", date,
		"authorization", authorization,
		"dry_run_authorization", dry_run, "session_token", token),
		&request);
	if (r < 0) {
		call_fail(c, r);
		return;
	}
	worker_grant(a->worker, request);
	call_reply(c, json_object());
}
