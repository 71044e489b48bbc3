/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The two ways to a snapshot: of a volume that is attached, or is not. */
#ifndef ENVELOPE_SNAPSHOT_CREATE_H
#define ENVELOPE_SNAPSHOT_CREATE_H

#include "cmd.h"
#include "live.h"

struct create {
	struct store_wish store;
	const char *header;	/* detached; NULL: on the device */
	struct volume_access access;
	struct snapshot_work work;
	struct live_options live;
	bool force;
	bool group;
	bool dry_run;
	bool json;
};

/* One snapshot that was made. */
struct created {
	struct snapshot_made made;
	bool attached;
	uint64_t pause_us;	/* for which I/O was held, if attached */
};

/* create_live.c: of @count attached volumes at one moment, to @ret. */
int create_live(const struct create *o, struct snapshot_store *st,
		const char **volumes, size_t count, struct created *ret);

#endif
