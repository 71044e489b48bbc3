// SPDX-License-Identifier: GPL-2.0-or-later
/* Growing a volume, attached or not, and shrinking a detached one. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/loop.h>
#include <linux/major.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keyring.h"
#include "known.h"
#include "log.h"
#include "volume_private.h"

struct resize {
	const struct volume_resize_options *o;
	struct volume volume;
	struct dm_volume_status live;	/* if attached */
	bool attached;
	struct header_core core;	/* as it shall be */
};

/* A file that has grown does not tell the loop device over it. */
static void refresh_loop(const char *node)
{
	int fd = open(node, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return;
	ioctl(fd, LOOP_SET_CAPACITY, 0);
	close(fd);
}

static int open_header(struct resize *z, const char *device)
{
	int r;

	/* A device that has grown is, without a name, another one. */
	r = volume_open(device, z->o->header_path, VOLUME_WRITE_HEADER |
			(z->o->force && z->o->header_path ? VOLUME_FORCE : 0),
			&z->volume);
	if (r == 0)
		z->core = *header_core(z->volume.header);
	return r;
}

/* Through the very device that the volume is attached from. */
static int open_attached(struct resize *z)
{
	const struct dm_volume *live = &z->live.volume;
	char node[VOLUME_NODE_CHARS];
	int r;

	z->attached = true;
	r = volume_node_below(live, node);
	if (r < 0)
		return r;
	if (live->major == LOOP_MAJOR)
		refresh_loop(node);
	r = open_header(z, node);
	if (r == 0 && strcmp(z->core.volume_id, live->volume_id) != 0) {
		log_error("'%s' is volume %s, but the header is now that of %s",
			  live->name, live->volume_id, z->core.volume_id);
		r = -EBADMSG;
	}
	return r;
}

static bool loop_is_over(const struct dm_volume *live, int file_fd)
{
	struct loop_info64 info;
	struct stat st;
	char node[VOLUME_NODE_CHARS];
	bool same;
	int fd;

	if (live->major != LOOP_MAJOR || fstat(file_fd, &st) < 0 ||
	    volume_node_below(live, node) < 0)
		return false;
	fd = open(node, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return false;
	same = ioctl(fd, LOOP_GET_STATUS64, &info) == 0 &&
	       info.lo_device == st.st_dev && info.lo_inode == st.st_ino;
	close(fd);
	return same;
}

/* Not a copy: its header would grow, and so would the other's device. */
static int check_below(const struct resize *z)
{
	const struct dm_volume *live = &z->live.volume;
	const struct device *d = &z->volume.device;

	if (d->is_block ? d->major == live->major && d->minor == live->minor :
	    loop_is_over(live, d->fd))
		return 0;
	log_error("'%s': volume %s is attached from another device, as '%s'",
		  d->path, live->volume_id, live->name);
	return -EBUSY;
}

static int open_volume(struct resize *z)
{
	int r;

	r = volume_find_quietly(z->o->target, &z->live);
	if (r == 0)
		return open_attached(z);
	if (r == -ENXIO)
		r = open_header(z, z->o->target);
	if (r < 0)
		return r;
	r = volume_find_id(z->core.volume_id, &z->live);
	if (r < 0)
		return r == -ENXIO ? 0 : r;
	r = check_below(z);
	if (r < 0)
		return r;
	volume_close(&z->volume);
	return open_attached(z);
}

static int check_locked(const struct resize *z)
{
	if (!z->attached || z->live.state == DM_STATE_ACTIVE)
		return 0;
	log_error("'%s' is locked (%s): unlock it first",
		  z->live.volume.name, z->live.reason);
	return -EKEYREVOKED;
}

static int check_shrink(const struct resize *z, uint64_t old)
{
	if (z->core.size_bytes >= old)
		return 0;
	if (z->attached) {
		log_error("'%s' is attached, and would shrink from %" PRIu64 " to %" PRIu64 " bytes: shrink the file system, detach the volume, then resize it",
			  z->live.volume.name, old, z->core.size_bytes);
		return -EBUSY;
	}
	if (z->o->force)
		return 0;
	log_error("'%s' would shrink from %" PRIu64 " to %" PRIu64 " bytes, and lose what is beyond: --force does it",
		  z->o->target, old, z->core.size_bytes);
	return -EINVAL;
}

static int choose_size(struct resize *z)
{
	const struct device *d = &z->volume.device;
	uint64_t block = z->core.sector_size;
	uint64_t offset = z->core.data_offset_bytes;
	uint64_t room = (d->size_bytes - offset) / block * block;
	uint64_t old = z->core.size_bytes;

	z->core.size_bytes = z->o->size_bytes ? z->o->size_bytes : room;
	if (z->core.size_bytes % block) {
		log_error("--size: %" PRIu64 " bytes are not a multiple of the sector size, %" PRIu64,
			  z->core.size_bytes, block);
		return -EINVAL;
	}
	if (z->core.size_bytes > room) {
		log_error("'%s' is too small: room for %" PRIu64 " bytes of data, not for %" PRIu64,
			  d->path, room, z->core.size_bytes);
		return -ENOSPC;
	}
	if (z->core.detached)
		z->core.device.size_bytes = d->size_bytes;
	return check_shrink(z, old);
}

static int store(struct resize *z, const struct secret *dek)
{
	struct header *h = z->volume.header;
	int r;

	r = header_change_core(h, &z->core);
	if (r == 0)
		r = header_seal(h, dek);
	if (r == 0)
		r = header_write(volume_header_fd(&z->volume),
				 volume_header_name(&z->volume), h);
	if (r == 0)
		r = known_update(h);
	return r;
}

static int reload(struct resize *z, const struct secret *dek)
{
	struct dm_volume table = z->live.volume;
	int32_t serial;
	int r;

	table.size_sectors = z->core.size_bytes / 512;
	if (table.target == DM_TARGET_ENVELOPE)
		return dm_volume_reload(&table);
	r = keyring_add_logon(table.volume_id, dek, &serial);
	if (r < 0)
		return r;
	r = dm_volume_reload(&table);
	keyring_drop_logon(serial);
	return r;
}

/* The header first: a device larger than its header says would lose data at
 * the next attach, the other way round nothing is lost. */
static int apply(struct resize *z, uint64_t old)
{
	bool change = z->core.size_bytes != old;
	bool grow = z->attached &&
		    z->live.volume.size_sectors != z->core.size_bytes / 512;
	struct secret *dek = NULL;
	int r = 0;

	if (change || grow)
		r = volume_unwrap(&z->volume, &z->o->access, &dek);
	if (r == 0 && change)
		r = store(z, dek);
	if (r == 0 && grow)
		r = reload(z, dek);
	secret_free(dek);
	return r;
}

int volume_resize(const struct volume_resize_options *o,
		  struct volume_resize_result *ret)
{
	struct resize z = { .o = o, .volume = VOLUME_CLOSED };
	uint64_t old = 0;
	int r;

	r = open_volume(&z);
	if (r == 0) {
		old = z.core.size_bytes;
		r = check_locked(&z);
	}
	if (r == 0)
		r = choose_size(&z);
	if (r == 0)
		r = apply(&z, old);
	if (r == 0) {
		*ret = (struct volume_resize_result){
			.old_bytes = old,
			.new_bytes = z.core.size_bytes,
			.attached = z.attached,
		};
		snprintf(ret->volume_id, sizeof(ret->volume_id), "%s",
			 z.core.volume_id);
	}
	volume_close(&z.volume);
	return r;
}
