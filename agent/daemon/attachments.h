/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the agent remembers of the volumes it attached, over its own death:
 * STATE/volumes.json (root, 0600, in a folder of mode 0700), one JSON object,
 * replaced atomically and durable before a function here returns.
 *
 *	{"volumes": [{"name": "data", "volume_id": "vol-...", "uuid": "...",
 *	  "uid": 1000, "stage": "attaching" | "attached" | "detaching",
 *	  "more": {...}}]}
 *
 * An entry is there before the first key or device of a volume, and goes after
 * the last; so what it does not name is not the agent's.
 */
#ifndef ENVELOPE_ATTACHMENTS_H
#define ENVELOPE_ATTACHMENTS_H

#include <jansson.h>
#include <sys/types.h>

#include "dm.h"

enum attachment_stage {
	ATTACHMENT_ATTACHING,	/* key and device may be there */
	ATTACHMENT_ATTACHED,
	ATTACHMENT_DETACHING,	/* key and device may be gone */
};

struct attachment {
	char name[DM_VOLUME_NAME_CHARS];
	char volume_id[HEADER_VOLUME_ID_CHARS];
	char uuid[HEADER_UUID_CHARS];
	uid_t uid;			/* who attached it */
	enum attachment_stage stage;
	json_t *more;			/* what other parts keep; an object */
	struct attachment *next;
};

struct attachments;

/*
 * Read what there is in the folder @dir, which is made if it is not there, and
 * must outlive the list. -EBADMSG: damaged, left alone; -EIO, -ENOMEM. Prints
 * its own error, as all of these do.
 */
int attachments_load(const char *dir, struct attachments **ret);

/* Forgets the list, not the file. NULL is accepted. */
void attachments_free(struct attachments *list);

/* The first of all; NULL: none. */
struct attachment *attachments_first(struct attachments *list);

/* By device name, else by volume id. NULL: none. */
struct attachment *attachments_find(struct attachments *list, const char *name);

/* The one that made the device @v. NULL: none, so it is root's. */
struct attachment *attachments_of(struct attachments *list,
				  const struct dm_volume *v);

/*
 * Remember @a, which is copied without next; NULL in more is an empty object,
 * of another the copy has a reference. On failure it is not remembered. -EIO,
 * -ENOMEM.
 */
int attachments_add(struct attachments *list, const struct attachment *a,
		    struct attachment **ret);

/* Store what was changed in place. -EIO, -ENOMEM. */
int attachments_save(struct attachments *list);

/* Forget @a, which is gone also when the file still names it: -EIO, -ENOMEM. */
int attachments_remove(struct attachments *list, struct attachment *a);

#endif
