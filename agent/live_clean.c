// SPDX-License-Identifier: GPL-2.0-or-later
/* The way back from a live snapshot, also of one whose process is dead. */
#include "live_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "log.h"
#include "volume.h"

int live_lock(const char *id, int *ret)
{
	char path[64];
	int fd, r;

	snprintf(path, sizeof(path), "/run/envelope-live-%s.lock", id);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0) {
		r = errno == EWOULDBLOCK ? -EBUSY : -EIO;
		if (r == -EIO)
			log_error("cannot lock '%s': %s", path,
				  strerror(errno));
		if (fd >= 0)
			close(fd);
		return r;
	}
	*ret = fd;
	return 0;
}

/* The attached volume @id; its name is empty where there is none. */
static int find(const char *id, struct dm_volume_status *ret)
{
	int r = volume_find_id(id, ret);

	if (r == -ENXIO)
		ret->volume.name[0] = '\0';
	return r == -ENXIO ? 0 : r;
}

static bool is_over(const struct dm_volume *v, const struct live_device *origin)
{
	return v->name[0] && origin->live && v->major == origin->major &&
	       v->minor == origin->minor;
}

/* The same table over what the origin is over. */
static int move_back(const char *id, const struct dm_volume *over)
{
	struct dm_volume v = *over;
	char line[64];
	int r;

	r = live_dm_line(id, LIVE_ORIGIN, false, line, sizeof(line));
	if (r < 0 || sscanf(line, "%u:%u", &v.major, &v.minor) != 2) {
		log_error("'%s': its origin does not say what it is over",
			  v.name);
		return -EIO;
	}
	r = dm_volume_reload(&v);
	if (r == -EKEYREVOKED)
		log_error("'%s' stays over its origin: once it is unlocked, 'envelope-snapshot clean' moves it back",
			  v.name);
	return r;
}

/* Not moved yet; perhaps it was about to be, with the watchdog killed, too. */
static int stay(const struct dm_volume_status *s)
{
	const char *name = s->volume.name;

	if (live_dm_waits(name))
		dm_volume_unload(name);
	return s->suspended ? live_dm_resume_volume(name) : 0;
}

int live_undo(const char *id)
{
	struct dm_volume_status s = { 0 };
	struct live_device origin = { 0 };
	int r;

	r = find(id, &s);
	if (r == 0)
		r = live_dm_look(id, LIVE_ORIGIN, &origin);
	/* First of all, the copying ends. */
	if (r == 0)
		r = live_dm_remove(id, LIVE_SNAPSHOT);
	if (r == 0 && is_over(&s.volume, &origin))
		r = move_back(id, &s.volume);
	else if (r == 0 && origin.exists && s.volume.name[0])
		r = stay(&s);
	if (r == 0)
		r = live_dm_remove(id, LIVE_ORIGIN);
	return r;
}

static int describe(const char *id, struct live_leftover *ret)
{
	struct dm_volume_status s = { 0 };
	struct live_device origin = { 0 };
	struct live_device snapshot = { 0 };
	int r;

	r = find(id, &s);
	if (r == 0)
		r = live_dm_look(id, LIVE_ORIGIN, &origin);
	if (r == 0)
		r = live_dm_look(id, LIVE_SNAPSHOT, &snapshot);
	if (r < 0)
		return r;
	memset(ret, 0, sizeof(*ret));
	snprintf(ret->volume_id, sizeof(ret->volume_id), "%s", id);
	snprintf(ret->name, sizeof(ret->name), "%s", s.volume.name);
	ret->in_use = is_over(&s.volume, &origin);
	ret->copying = snapshot.live;
	return 0;
}

int live_leftovers(int (*found)(const struct live_leftover *left, void *data),
		   void *data)
{
	char (*ids)[HEADER_VOLUME_ID_CHARS];
	struct live_leftover left;
	size_t count, i;
	int lock;
	int r;

	r = live_dm_list(&ids, &count);
	for (i = 0; i < count && r == 0; i++) {
		r = live_lock(ids[i], &lock);
		if (r == 0) {
			close(lock);
			r = describe(ids[i], &left);
			if (r == 0)
				r = found(&left, data);
		} else if (r == -EBUSY) {
			r = 0;
		}
	}
	free(ids);
	return r;
}

static int clean_one(const char *id)
{
	int lock;
	int r;

	r = live_lock(id, &lock);
	if (r < 0)
		return r;
	r = live_undo(id);
	close(lock);
	return r;
}

int live_clean(const char *volume_id, unsigned int *count_ret)
{
	char (*ids)[HEADER_VOLUME_ID_CHARS];
	unsigned int done = 0;
	size_t count, i;
	int r, worst;

	worst = live_dm_list(&ids, &count);
	for (i = 0; i < count; i++) {
		if (volume_id && strcmp(volume_id, ids[i]) != 0)
			continue;
		r = clean_one(ids[i]);
		/* Whose process lives is not left, unless it was asked for. */
		if (r == -EBUSY && !volume_id)
			continue;
		if (r == -EBUSY)
			log_error("the snapshot of %s is being made", ids[i]);
		if (r == 0)
			done++;
		else if (worst == 0)
			worst = r;
	}
	free(ids);
	live_cow_clean();
	*count_ret = done;
	return worst;
}
