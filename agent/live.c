// SPDX-License-Identifier: GPL-2.0-or-later
/* What is stored of attached volumes at one moment: making it, and its end. */
#include "live.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "device.h"
#include "live_private.h"
#include "log.h"
#include "volume.h"

int live_fd(const struct live *l, size_t i)
{
	return l->at[i].fd;
}

const char *live_name(const struct live *l, size_t i)
{
	return l->at[i].volume.name;
}

const char *live_volume_id(const struct live *l, size_t i)
{
	return l->at[i].volume.volume_id;
}

uint64_t live_pause_us(const struct live *l, size_t i)
{
	return l->at[i].pause_us;
}

uint64_t live_cow_used(const struct live *l, size_t i)
{
	return l->at[i].cow_used_bytes;
}

uint64_t live_cow_bytes(const struct live *l, size_t i)
{
	return l->at[i].cow_bytes;
}

static int refuse(const struct dm_volume_status *s)
{
	if (s->volume.target != DM_TARGET_ENVELOPE) {
		log_error("'%s': a volume that dm-crypt has attached cannot be snapshotted while it is attached: detach it",
			  s->volume.name);
		return -EOPNOTSUPP;
	}
	if (s->state != DM_STATE_ACTIVE) {
		log_error("'%s' is locked (%s): unlock it first",
			  s->volume.name, s->reason);
		return -EKEYREVOKED;
	}
	if (s->suspended) {
		log_error("'%s' is suspended: dmsetup resume %s",
			  s->volume.name, s->volume.name);
		return -EBUSY;
	}
	return 0;
}

static int below_size(struct live_volume *v)
{
	char path[64];
	FILE *f;
	int n = 0;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/size",
		 v->volume.major, v->volume.minor);
	f = fopen(path, "re");
	if (f) {
		n = fscanf(f, "%" SCNu64, &v->below_sectors);
		fclose(f);
	}
	if (n == 1)
		return 0;
	log_error("'%s': the size of the device %u:%u below is not known",
		  v->volume.name, v->volume.major, v->volume.minor);
	return -EIO;
}

static int find(const char *name, struct live_volume *v)
{
	struct dm_volume_status s = { 0 };
	int r;

	r = volume_find(name, &s);
	if (r == 0)
		r = refuse(&s);
	if (r < 0)
		return r;
	v->volume = s.volume;
	v->device_major = s.device_major;
	v->device_minor = s.device_minor;
	return below_size(v);
}

/* With its lock, and nothing of an earlier snapshot between it and below. */
static int claim(const char *name, struct live_volume *v)
{
	char id[HEADER_VOLUME_ID_CHARS];
	struct live_device origin, snapshot;
	int r;

	r = find(name, v);
	if (r < 0)
		return r;
	memcpy(id, v->volume.volume_id, sizeof(id));
	r = live_lock(id, &v->lock);
	if (r == -EBUSY)
		log_error("'%s': a snapshot of it is being made", name);
	if (r == 0)
		r = live_dm_look(id, LIVE_ORIGIN, &origin);
	if (r == 0)
		r = live_dm_look(id, LIVE_SNAPSHOT, &snapshot);
	if (r < 0 || (!origin.exists && !snapshot.exists))
		return r;
	log_warn("'%s': what an interrupted snapshot has left is removed",
		 name);
	r = live_undo(id);
	return r < 0 ? r : find(name, v);
}

static int check_twice(const struct live *l, size_t i)
{
	size_t other;

	for (other = 0; other < i; other++) {
		if (strcmp(l->at[other].volume.volume_id,
			   l->at[i].volume.volume_id) != 0)
			continue;
		log_error("'%s' is named twice", l->at[i].volume.name);
		return -EINVAL;
	}
	return 0;
}

/* All are looked at first: the lock of one named twice would be another's. */
static int claim_all(struct live *l, const char *names[])
{
	size_t i;
	int r = 0;

	for (i = 0; i < l->count && r == 0; i++) {
		r = find(names[i], &l->at[i]);
		if (r == 0)
			r = check_twice(l, i);
	}
	for (i = 0; i < l->count && r == 0; i++)
		r = claim(names[i], &l->at[i]);
	return r;
}

/* Both devices, and the volume's table over the first, which waits. */
static int build(struct live_volume *v)
{
	const char *id = v->volume.volume_id;
	struct dm_volume over = v->volume;
	struct live_device origin;
	char params[128];
	int r;

	snprintf(params, sizeof(params), "%u:%u %u:%u N %" PRIu64,
		 v->volume.major, v->volume.minor, v->cow_major, v->cow_minor,
		 live_cow_chunk_sectors(v->cow_bytes));
	/* First: when it is resumed, the origin learns the size of chunks. */
	r = live_dm_create(&v->volume, LIVE_SNAPSHOT, v->below_sectors,
			   params);
	snprintf(params, sizeof(params), "%u:%u", v->volume.major,
		 v->volume.minor);
	if (r == 0)
		r = live_dm_create(&v->volume, LIVE_ORIGIN, v->below_sectors,
				   params);
	if (r == 0)
		r = live_dm_resume(id, LIVE_ORIGIN);
	if (r == 0)
		r = live_dm_look(id, LIVE_ORIGIN, &origin);
	if (r < 0)
		return r;
	over.major = origin.major;
	over.minor = origin.minor;
	return dm_volume_load(&over);
}

static int build_all(struct live *l, const struct live_options *o)
{
	size_t i;
	int r = 0;

	for (i = 0; i < l->count && r == 0; i++) {
		r = live_cow_open(o, l, &l->at[i]);
		if (r == 0) {
			l->at[i].built = true;
			r = build(&l->at[i]);
		}
	}
	return r;
}

static bool is_above(const struct live_volume *a, const struct live_volume *b)
{
	char node[VOLUME_NODE_CHARS];
	struct dm_volume v = a->volume;

	v.major = a->device_major;
	v.minor = a->device_minor;
	return volume_node_below(&v, node) == 0 &&
	       device_holds(b->device_major, b->device_minor, node);
}

/* A volume that is stored on another one cannot be written out behind it. */
static void choose_order(struct live *l)
{
	bool chosen[l->count];
	size_t k, i, other;

	memset(chosen, 0, sizeof(chosen));
	for (k = 0; k < l->count; k++) {
		size_t top = 0;

		while (chosen[top])
			top++;
		for (i = top, other = 0; other < l->count; other++)
			if (other != i && !chosen[other] &&
			    is_above(&l->at[other], &l->at[i])) {
				i = other;
				other = -1;
			}
		l->order[k] = i;
		chosen[i] = true;
	}
}

/*
 * What is dirty is written out before I/O is held, so that little is left for
 * then. By its mount points alone: others may be behind a lock.
 */
static void write_out(const struct live_volume *v)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	unsigned int maj, min;
	char line[8192];
	char point[4096];
	int fd;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*u %*u %u:%u %*s %4095s", &maj, &min,
			   point) != 3 ||
		    maj != v->device_major || min != v->device_minor)
			continue;
		fd = open(point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			continue;
		syncfs(fd);
		close(fd);
		break;
	}
	if (f)
		fclose(f);
}

static int open_snapshot(struct live_volume *v)
{
	struct live_device snapshot;
	char node[VOLUME_NODE_CHARS];
	struct dm_volume d = v->volume;
	int r;

	r = live_dm_look(v->volume.volume_id, LIVE_SNAPSHOT, &snapshot);
	if (r < 0)
		return r;
	d.major = snapshot.major;
	d.minor = snapshot.minor;
	r = volume_node_below(&d, node);
	if (r < 0)
		return r;
	v->fd = open(node, O_RDONLY | O_CLOEXEC);
	if (v->fd >= 0)
		return 0;
	log_error("cannot open '%s', the snapshot of '%s': %s", node,
		  v->volume.name, strerror(errno));
	return -EIO;
}

static int take(struct live *l)
{
	size_t i;
	int r;

	choose_order(l);
	for (i = 0; i < l->count; i++)
		write_out(&l->at[i]);
	r = live_swap(l);
	for (i = 0; i < l->count && r == 0; i++)
		r = open_snapshot(&l->at[i]);
	return r;
}

static struct live *make(size_t count)
{
	struct live *l = calloc(1, sizeof(*l));
	size_t i;

	if (!l)
		return NULL;
	l->count = count;
	l->at = calloc(count, sizeof(*l->at));
	l->order = calloc(count, sizeof(*l->order));
	if (!l->at || !l->order) {
		free(l->at);
		free(l->order);
		free(l);
		return NULL;
	}
	for (i = 0; i < count; i++)
		l->at[i].lock = l->at[i].cow = l->at[i].fd = -1;
	return l;
}

int live_begin(const char *name_or_id[], size_t count,
	       const struct live_options *options, struct live **ret)
{
	struct live *l;
	int r;

	if (count == 0)
		return -EINVAL;
	l = make(count);
	if (!l)
		return -ENOMEM;
	live_cow_clean();
	r = claim_all(l, name_or_id);
	if (r == 0)
		r = build_all(l, options);
	if (r == 0)
		r = take(l);
	if (r < 0) {
		live_end(l);
		return r;
	}
	*ret = l;
	return 0;
}

/* A full COW and one that cannot be written look alike. */
static int lost(const struct live_volume *v)
{
	struct statvfs fs;

	if (v->cow >= 0 && statvfs(LIVE_COW_DIR, &fs) == 0)
		log_error("the snapshot of '%s' is lost: while it was copied, more was written to the volume than the %" PRIu64 " bytes for old data hold, or '%s', with %" PRIu64 " bytes free, is full: name more with --cow",
			  v->volume.name, v->cow_bytes, LIVE_COW_DIR,
			  (uint64_t)fs.f_bavail * fs.f_frsize);
	else
		log_error("the snapshot of '%s' is lost: while it was copied, more was written to the volume than the %" PRIu64 " bytes for old data hold: name more with --cow",
			  v->volume.name, v->cow_bytes);
	return -ENOSPC;
}

int live_check(struct live *l, size_t i)
{
	struct live_volume *v = &l->at[i];
	uint64_t used, total;
	char line[128];
	int r;

	r = live_dm_line(v->volume.volume_id, LIVE_SNAPSHOT, true, line,
			 sizeof(line));
	if (r < 0) {
		log_error("the snapshot of '%s' is gone: somebody has removed it",
			  v->volume.name);
		return -EIO;
	}
	if (sscanf(line, "%" SCNu64 "/%" SCNu64, &used, &total) != 2)
		return lost(v);
	v->cow_used_bytes = used * 512;
	return 0;
}

static int end_one(struct live_volume *v)
{
	int r = 0;

	if (v->fd >= 0)
		close(v->fd);
	if (v->built)
		r = live_undo(v->volume.volume_id);
	if (v->cow >= 0)
		close(v->cow);
	if (v->lock >= 0)
		close(v->lock);
	return r;
}

int live_end(struct live *l)
{
	size_t i;
	int r, worst = 0;

	if (!l)
		return 0;
	for (i = 0; i < l->count; i++) {
		r = end_one(&l->at[i]);
		if (worst == 0)
			worst = r;
	}
	free(l->order);
	free(l->at);
	free(l);
	return worst;
}
