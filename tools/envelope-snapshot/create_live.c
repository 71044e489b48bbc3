// SPDX-License-Identifier: GPL-2.0-or-later
/* Snapshots of attached volumes: what the kernel has kept is enough. */
#include <errno.h>
#include <string.h>

#include "audit.h"
#include "create.h"
#include "log.h"
#include "seal.h"

/* One of the volumes of @live. */
struct member {
	struct live *live;
	size_t index;
	struct header *header;
	struct device header_file;	/* closed unless detached */
	struct seal *seal;
};

static int confirm(void *user)
{
	const struct member *m = user;

	return live_check(m->live, m->index);
}

static int find_seal(const char *volume_id, struct seal **ret)
{
	int r = seal_find(volume_id, ret);

	if (r == -ENOKEY)
		log_error("%s has no seal in the kernel: it is locked, or was attached by an older version; unlock it, or detach and attach it",
			  volume_id);
	return r;
}

/* As it was at that moment; a detached one as it is. */
static int read_header(const struct create *o, struct member *m)
{
	const char *name = live_name(m->live, m->index);
	int fd = live_fd(m->live, m->index);
	int r = 0;

	if (o->header) {
		r = device_open(o->header, 0, &m->header_file);
		fd = m->header_file.fd;
		name = o->header;
	}
	if (r == 0)
		r = header_read(fd, name, &m->header);
	if (r == 0)
		r = volume_check_id(name, header_core(m->header)->volume_id,
				    live_volume_id(m->live, m->index));
	return r == 0 ? seal_check_header(m->seal, name, m->header) : r;
}

static int create_one(const struct create *o, struct snapshot_store *st,
		      struct live *live, size_t index, struct created *ret)
{
	struct member m = {
		.live = live,
		.index = index,
		.header_file = DEVICE_CLOSED,
	};
	int r = find_seal(live_volume_id(live, index), &m.seal);

	if (r == 0)
		r = read_header(o, &m);
	if (r == 0) {
		const struct snapshot_create_options options = {
			.header = m.header,
			.in = {
				.fd = live_fd(live, index),
				.name = live_name(live, index),
				.offset_bytes = header_core(
					m.header)->data_offset_bytes,
			},
			.seal = seal_key(m.seal),
			.work = o->work,
			.dry_run = o->dry_run,
			.confirm = confirm,
			.user = &m,
		};

		r = snapshot_create(st, &options, &ret->made);
	}
	ret->attached = true;
	ret->pause_us = live_pause_us(live, index);
	if (!o->dry_run)
		audit_verb_ended("snapshot", r == 0 ? ret->made.id :
				 live_name(live, index),
				 live_volume_id(live, index), r);
	header_free(m.header);
	seal_free(m.seal);
	device_close(&m.header_file);
	return r;
}

int create_live(const struct create *o, struct snapshot_store *st,
		const char **volumes, size_t count, struct created *ret)
{
	struct live *live = NULL;
	int r = live_begin(volumes, count, &o->live, &live), ended;
	size_t i;

	for (i = 0; i < count && r == 0; i++)
		r = create_one(o, st, live, i, ret + i);
	ended = live_end(live);
	return r < 0 ? r : ended;
}
