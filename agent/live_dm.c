// SPDX-License-Identifier: GPL-2.0-or-later
/* The two devices that a live snapshot adds to a volume. */
#include "live_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dm_private.h"
#include "log.h"

#define NAME_PREFIX "envelope-live-"
#define UUID_PREFIX DM_VOLUME_UUID_PREFIX "LIVE-"

/* Nobody shall look into them, find the header again, and make links. */
#define UDEV_FLAGS (DM_UDEV_DISABLE_SUBSYSTEM_RULES_FLAG | \
		    DM_UDEV_DISABLE_DISK_RULES_FLAG | \
		    DM_UDEV_DISABLE_OTHER_RULES_FLAG)

static const char *const role_names[LIVE_ROLES] = {
	[LIVE_ORIGIN] = "origin",
	[LIVE_SNAPSHOT] = "snapshot",
};

static const char *const role_targets[LIVE_ROLES] = {
	[LIVE_ORIGIN] = "snapshot-origin",
	[LIVE_SNAPSHOT] = "snapshot",
};

void live_name_of(const char *id, enum live_role role,
		  char ret[LIVE_NAME_CHARS])
{
	snprintf(ret, LIVE_NAME_CHARS, NAME_PREFIX "%s-%s", id,
		 role_names[role]);
}

static int failed(int r)
{
	return r == -ENOMEM || r == -EBUSY || r == -EPERM ? r : -EIO;
}

static int create(const char *name, const struct dm_volume *v,
		  enum live_role role)
{
	char uuid[DM_VOLUME_UUID_CHARS];
	struct dm_task *task;
	int r;

	snprintf(uuid, sizeof(uuid), UUID_PREFIX "%s-%s", v->uuid,
		 role_names[role]);
	r = dm_new_task(DM_DEVICE_CREATE, name, &task);
	if (r < 0)
		return r;
	r = dm_task_set_uuid(task, uuid) ? dm_run_task(task) : -ENOMEM;
	dm_task_destroy(task);
	if (r == -EEXIST)
		r = -EBUSY;
	if (r < 0)
		log_error("'%s': cannot make the device '%s': %s", v->name,
			  name, strerror(-r));
	return r < 0 ? failed(r) : 0;
}

static int load(const char *name, const struct dm_volume *v,
		enum live_role role, uint64_t sectors, const char *params)
{
	const char *target = role_targets[role];
	struct dm_task *task;
	int r;

	r = dm_new_task(DM_DEVICE_RELOAD, name, &task);
	if (r < 0)
		return r;
	if (!dm_task_add_target(task, 0, sectors, target, params) ||
	    (role == LIVE_ORIGIN && v->read_only && !dm_task_set_ro(task)))
		r = -ENOMEM;
	else
		r = dm_run_task(task);
	dm_task_destroy(task);
	if (r == -EINVAL) {
		log_error("'%s': the kernel makes no device of type '%s': modprobe dm-snapshot, and see its log",
			  v->name, target);
		return -EOPNOTSUPP;
	}
	if (r < 0)
		log_error("'%s': the kernel refuses the table of '%s' (%s): its log says why",
			  v->name, name, strerror(-r));
	return r < 0 ? failed(r) : 0;
}

int live_dm_create(const struct dm_volume *v, enum live_role role,
		   uint64_t sectors, const char *params)
{
	char name[LIVE_NAME_CHARS];
	int r;

	live_name_of(v->volume_id, role, name);
	r = create(name, v, role);
	if (r == 0) {
		r = load(name, v, role, sectors, params);
		if (r < 0)
			live_dm_remove(v->volume_id, role);
	}
	return r;
}

static int resume(const char *name, unsigned int udev_flags)
{
	struct dm_task *task;
	int r;

	r = dm_new_task(DM_DEVICE_RESUME, name, &task);
	if (r < 0)
		return r;
	r = dm_run_with_udev(task, udev_flags);
	dm_task_destroy(task);
	if (r < 0)
		log_error("cannot resume the device '%s': %s", name,
			  strerror(-r));
	return r < 0 ? failed(r) : 0;
}

int live_dm_resume(const char *id, enum live_role role)
{
	char name[LIVE_NAME_CHARS];

	live_name_of(id, role, name);
	return resume(name, UDEV_FLAGS);
}

int live_dm_resume_volume(const char *name)
{
	return resume(name, 0);
}

static int look(const char *name, struct dm_info *ret)
{
	struct dm_info info = { 0 };
	struct dm_task *task;
	int r;

	r = dm_new_task(DM_DEVICE_INFO, name, &task);
	if (r < 0)
		return r;
	r = dm_run_task(task);
	if (r == 0)
		dm_task_get_info(task, &info);
	dm_task_destroy(task);
	*ret = info;
	return r == -ENXIO ? 0 : r;
}

int live_dm_look(const char *id, enum live_role role, struct live_device *ret)
{
	char name[LIVE_NAME_CHARS];
	struct dm_info info;
	int r;

	live_name_of(id, role, name);
	r = look(name, &info);
	if (r < 0)
		return r;
	*ret = (struct live_device){
		.exists = info.exists,
		.live = info.live_table,
		.major = info.major,
		.minor = info.minor,
	};
	return 0;
}

bool live_dm_waits(const char *name)
{
	struct dm_info info;

	return look(name, &info) == 0 && info.exists && info.inactive_table;
}

int live_dm_line(const char *id, enum live_role role, bool status, char *ret,
		 size_t bytes)
{
	char name[LIVE_NAME_CHARS];
	struct dm_task *task;
	uint64_t start, sectors;
	char *target = NULL;
	char *line = NULL;
	int r;

	live_name_of(id, role, name);
	r = dm_new_task(status ? DM_DEVICE_STATUS : DM_DEVICE_TABLE, name,
			&task);
	if (r < 0)
		return r;
	r = dm_task_no_flush(task) ? dm_run_task(task) : -ENOMEM;
	if (r == 0) {
		dm_get_next_target(task, NULL, &start, &sectors, &target,
				   &line);
		r = line && strlen(line) < bytes ? 0 : -ENXIO;
	}
	if (r == 0)
		snprintf(ret, bytes, "%s", line);
	dm_task_destroy(task);
	return r;
}

int live_dm_remove(const char *id, enum live_role role)
{
	char name[LIVE_NAME_CHARS];
	struct dm_task *task;
	int r;

	live_name_of(id, role, name);
	r = dm_new_task(DM_DEVICE_REMOVE, name, &task);
	if (r < 0)
		return r;
	r = dm_task_retry_remove(task) ?
	    dm_run_with_udev(task, UDEV_FLAGS) : -ENOMEM;
	dm_task_destroy(task);
	if (r == -ENXIO)
		return 0;
	if (r < 0)
		log_error("cannot remove the device '%s': %s", name,
			  strerror(-r));
	return r < 0 ? failed(r) : 0;
}

/* The volume id in the name of one of ours. */
static bool id_in(const char *name, char ret[HEADER_VOLUME_ID_CHARS])
{
	const size_t prefix = strlen(NAME_PREFIX);
	const size_t chars = HEADER_VOLUME_ID_CHARS - 1;
	size_t i;

	if (strncmp(name, NAME_PREFIX, prefix) != 0 ||
	    strlen(name) < prefix + chars + 1 || name[prefix + chars] != '-')
		return false;
	memcpy(ret, name + prefix, chars);
	ret[chars] = '\0';
	for (i = 0; i < LIVE_ROLES; i++)
		if (strcmp(name + prefix + chars + 1, role_names[i]) == 0)
			return header_volume_id_valid(ret);
	return false;
}

static int add_id(const char *id, char (**list)[HEADER_VOLUME_ID_CHARS],
		  size_t *count)
{
	char (*more)[HEADER_VOLUME_ID_CHARS];
	size_t i;

	for (i = 0; i < *count; i++)
		if (strcmp((*list)[i], id) == 0)
			return 0;
	more = reallocarray(*list, *count + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	*list = more;
	strcpy(more[(*count)++], id);
	return 0;
}

static int collect(struct dm_task *task, char (**list)[HEADER_VOLUME_ID_CHARS],
		   size_t *count)
{
	struct dm_names *names = dm_task_get_names(task);
	char id[HEADER_VOLUME_ID_CHARS];
	uint32_t next;
	int r = 0;

	if (!names || !names->dev)
		return 0;
	do {
		if (id_in(names->name, id))
			r = add_id(id, list, count);
		next = names->next;
		names = (struct dm_names *)((char *)names + next);
	} while (next && r == 0);
	return r;
}

int live_dm_list(char (**ret)[HEADER_VOLUME_ID_CHARS], size_t *count_ret)
{
	char (*list)[HEADER_VOLUME_ID_CHARS] = NULL;
	struct dm_task *task;
	size_t count = 0;
	int r;

	*ret = NULL;
	*count_ret = 0;
	/* Without device mapper there are none. */
	if (access("/sys/class/misc/device-mapper", F_OK) < 0)
		return 0;
	r = dm_new_task(DM_DEVICE_LIST, NULL, &task);
	if (r < 0)
		return r;
	r = dm_run_task(task);
	if (r == 0)
		r = collect(task, &list, &count);
	dm_task_destroy(task);
	if (r < 0) {
		log_error("device mapper does not list its devices: %s",
			  strerror(-r));
		free(list);
		return r;
	}
	*ret = list;
	*count_ret = count;
	return 0;
}
