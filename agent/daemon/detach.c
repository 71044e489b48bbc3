// SPDX-License-Identifier: GPL-2.0-or-later
/* Detach: the device, its key, and the memory of it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "events.h"
#include "evidence.h"
#include "grants.h"
#include "keyring.h"
#include "leases.h"
#include "log.h"
#include "look.h"
#include "messages.h"
#include "methods.h"
#include "opening.h"
#include "volume.h"

/* @a may be NULL: root removes what was attached without the agent. */
static int detach(struct agent *agent, struct attachment *a, const char *name)
{
	int r = 0;

	if (a) {
		a->stage = ATTACHMENT_DETACHING;
		r = attachments_save(agent->attachments);
	}
	if (r == 0)
		r = volume_detach(name);
	if (r == 0 && a) {
		leases_end(agent, a);
		opening_forget(a);
		return attachments_remove(agent->attachments, a);
	}
	if (a) {
		a->stage = ATTACHMENT_ATTACHED;
		attachments_save(agent->attachments);
	}
	return r;
}

/* Somebody else has removed the device: its key and its entry are left. */
static struct attachment *find_left(struct call *c, const char *name)
{
	struct attachment *a;

	a = attachments_find(call_agent(c)->attachments, name);
	if (a && a->stage == ATTACHMENT_ATTACHED &&
	    (call_caller(c)->uid == 0 || call_caller(c)->uid == a->uid))
		return a;
	return NULL;
}

static int forget_left(struct agent *agent, struct attachment *a)
{
	struct dm_volume_status other;
	int r = volume_find_id(a->volume_id, &other);

	/* Attached anew without the agent: then the key is that device's. */
	if (r == -ENXIO)
		r = keyring_drop_dek(a->volume_id);
	if (r == 0) {
		leases_end(agent, a);
		opening_forget(a);
		r = attachments_remove(agent->attachments, a);
	}
	return r;
}

void method_detach(struct call *c)
{
	struct agent *agent = call_agent(c);
	struct event event = { .name = EVENT_DETACH };
	struct dm_volume_status s;
	struct attachment *a;
	char volume_id[HEADER_VOLUME_ID_CHARS];
	const char *name = NULL;
	uid_t uid;
	const struct param params[] = {
		{ "name", PARAM_TEXT, true, &name },
		{ 0 }
	};
	int r;

	if (call_params(c, params) < 0)
		return;
	r = look_find(c, name, &s);
	a = r == -ENXIO ? find_left(c, name) : NULL;
	if (r < 0 && !a) {
		if (r == -ENXIO)
			messages_add(LOG_LEVEL_ERROR, "it is not attached");
		evidence_ended(call_caller(c)->uid, &(struct evidence){
			.event = "detach", .name =
			dm_volume_name_valid(name) ? name : NULL }, r);
		look_missing(c, name, r);
		return;
	}
	snprintf(volume_id, sizeof(volume_id), "%s",
		 a ? a->volume_id : s.volume.volume_id);
	uid = a ? a->uid : look_owner(agent, &s);
	event.volume_id = volume_id;
	event.device = r == 0 ? s.volume.name : name;
	if (r == 0)
		r = detach(agent, attachments_of(agent->attachments, &s.volume),
			   s.volume.name);
	else
		r = forget_left(agent, a);
	evidence_ended(call_caller(c)->uid, &(struct evidence){
		.event = "detach", .name = name, .volume_id = volume_id }, r);
	if (r < 0) {
		call_fail(c, r);
		return;
	}
	grants_tidy(agent);
	log_info("user %u detached '%s'", (unsigned int)call_caller(c)->uid,
		 name);
	events_tell(&event, uid);
	call_reply(c, json_object());
}
