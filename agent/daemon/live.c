// SPDX-License-Identifier: GPL-2.0-or-later
/* What is below an attached volume, and whether it is still the same one. */
#include "live.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "attach_device.h"
#include "log.h"
#include "volume.h"

void live_close(struct live *l)
{
	if (l->fd >= 0)
		close(l->fd);
	if (l->header_fd >= 0)
		close(l->header_fd);
	l->fd = -1;
	l->header_fd = -1;
}

int live_header_fd(const struct live *l)
{
	return l->header_fd >= 0 ? l->header_fd : l->fd;
}

static int open_node(const char *node, bool to_write, struct live *l)
{
	l->fd = open(node, (to_write ? O_RDWR : O_RDONLY) | O_NONBLOCK |
		     O_CLOEXEC);
	if (l->fd >= 0)
		return 0;
	log_error("'%s': cannot open it: %s", node, strerror(errno));
	return -EIO;
}

/* Root would open it anew for writing: his must be open so. */
static int lock_header(const struct live *l)
{
	int mode = fcntl(live_header_fd(l), F_GETFL);

	if (mode < 0 || (mode & O_ACCMODE) != O_RDWR) {
		log_error("'%s': its header was not opened for reading and writing",
			  l->volume.name);
		return -EACCES;
	}
	return header_lock_now(live_header_fd(l), l->volume.name);
}

int live_open(struct call *c, const struct dm_volume *v, int header_index,
	      bool to_write, struct live *ret)
{
	struct live l = LIVE_CLOSED;
	char node[VOLUME_NODE_CHARS];
	int r;

	l.volume = *v;
	r = volume_node_below(v, node);
	if (r == 0 && header_index >= 0)
		r = attach_header_open(c, header_index, &l.header_fd);
	if (r == 0)
		r = open_node(node, to_write && l.header_fd < 0, &l);
	if (r == 0 && to_write)
		r = lock_header(&l);
	if (r < 0)
		live_close(&l);
	else
		*ret = l;
	return r;
}

int live_check_header(const struct live *l, const struct header *h)
{
	const struct dm_volume *v = &l->volume;
	char uuid[HEADER_UUID_CHARS];

	header_uuid_print(header_core(h)->uuid, uuid);
	if (strcmp(header_core(h)->volume_id, v->volume_id) == 0 &&
	    strcmp(uuid, v->uuid) == 0)
		return 0;
	log_error("'%s' is volume %s, but the header is that of %s", v->name,
		  v->volume_id, header_core(h)->volume_id);
	return -EBADMSG;
}

int live_find_again(struct agent *agent, const struct live *l,
		    struct dm_volume_status *s_ret, struct attachment **ret)
{
	int r = dm_volume_status_get(l->volume.name, s_ret);

	if (r < 0)
		return r;
	*ret = attachments_of(agent->attachments, &s_ret->volume);
	if (*ret && strcmp(s_ret->volume.uuid, l->volume.uuid) == 0 &&
	    (*ret)->stage == ATTACHMENT_ATTACHED)
		return 0;
	log_error("'%s' is not attached", l->volume.name);
	return -ENXIO;
}
