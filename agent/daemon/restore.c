// SPDX-License-Identifier: GPL-2.0-or-later
/* After a restart: half-made things are undone, whole ones found again. */
#include "restore.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "attachments.h"
#include "keyring.h"
#include "log.h"
#include "volume.h"

/* The devices at the start. */
struct devices {
	struct dm_volume_status *at;
	size_t count;
};

static bool is_there(const struct devices *d, const struct attachment *a)
{
	size_t i;

	for (i = 0; i < d->count; i++)
		if (strcmp(d->at[i].volume.name, a->name) == 0 &&
		    strcmp(d->at[i].volume.uuid, a->uuid) == 0)
			return true;
	return false;
}

/* Under whatever name: then the key is in use. */
static bool is_attached(const struct devices *d, const char *volume_id)
{
	size_t i;

	for (i = 0; i < d->count; i++)
		if (strcmp(d->at[i].volume.volume_id, volume_id) == 0)
			return true;
	return false;
}

/* 0: nothing of it is left. */
static int undo(const struct devices *d, const struct attachment *a)
{
	struct dm_volume v = { 0 };
	int r = 0;

	strcpy(v.name, a->name);
	strcpy(v.uuid, a->uuid);
	if (is_there(d, a))
		return volume_detach(a->name);
	r = dm_volume_remove_empty(&v);
	if (r == 0 && !is_attached(d, a->volume_id))
		r = keyring_drop_dek(a->volume_id);
	return r;
}

static int restore_one(struct agent *agent, const struct devices *d,
		       struct attachment *a)
{
	int r;

	if (a->stage == ATTACHMENT_ATTACHED && is_there(d, a)) {
		log_info("volume %s is attached as '%s' still", a->volume_id,
			 a->name);
		return 0;
	}
	r = undo(d, a);
	if (r == 0) {
		log_info("volume %s as '%s': %s", a->volume_id, a->name,
			 a->stage == ATTACHMENT_ATTACHING ?
			 "the attach was interrupted; undone" :
			 a->stage == ATTACHMENT_DETACHING ?
			 "the detach was interrupted; finished" :
			 "its device is gone; forgotten, with its key");
		return attachments_remove(agent->attachments, a);
	}
	log_warn("volume %s as '%s' stays attached", a->volume_id, a->name);
	a->stage = ATTACHMENT_ATTACHED;
	return attachments_save(agent->attachments);
}

int restore(struct agent *agent)
{
	struct attachment *a = attachments_first(agent->attachments);
	struct attachment *next;
	struct devices d = { 0 };
	int r = 0;

	/* Where nothing was attached the kernel need not have device mapper. */
	if (a)
		r = dm_volume_list(&d.at, &d.count);
	for (; r == 0 && a; a = next) {
		next = a->next;
		r = restore_one(agent, &d, a);
	}
	free(d.at);
	return r;
}
