// SPDX-License-Identifier: GPL-2.0-or-later
/* libdevmapper in our terms: its 1 and 0 become -errno with a reason. */
#include "dm_private.h"

#include <errno.h>
#include <inttypes.h>
#include <libdevmapper.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "uapi.h"

static const char *target_name(enum dm_target target)
{
	return target == DM_TARGET_CRYPT ? "crypt" : ENVELOPE_TARGET_NAME;
}

/* The library's own messages name ioctls; ours name volumes. */
__attribute__((format(printf, 5, 6)))
static void swallow_log(int level, const char *file, int line, int code,
			const char *fmt, ...)
{
	(void)level;
	(void)file;
	(void)line;
	(void)code;
	(void)fmt;
}

static int no_device_mapper(void)
{
	if (geteuid() != 0) {
		log_error("device mapper is for root: run envelope as root");
		return -EPERM;
	}
	log_error("this kernel has no device mapper: modprobe dm_mod");
	return -EOPNOTSUPP;
}

int dm_new_task(int type, const char *name, struct dm_task **ret)
{
	struct dm_task *task;

	dm_log_with_errno_init(swallow_log);
	task = dm_task_create(type);
	if (!task)
		return no_device_mapper();
	/* Tables carry no key, but the library's buffers get wiped anyway. */
	if ((name && !dm_task_set_name(task, name)) ||
	    !dm_task_secure_data(task)) {
		dm_task_destroy(task);
		log_error("'%s': out of memory", name ? name : "device mapper");
		return -ENOMEM;
	}
	*ret = task;
	return 0;
}

int dm_run_task(struct dm_task *task)
{
	int code;

	if (dm_task_run(task))
		return 0;
	code = dm_task_get_errno(task);
	return code ? -code : -EIO;
}

int dm_run_with_udev(struct dm_task *task, unsigned int flags)
{
	bool udev = dm_udev_get_sync_support();
	uint32_t cookie = 0;
	int r;

	if (udev && !dm_task_set_cookie(task, &cookie, flags |
					DM_UDEV_DISABLE_LIBRARY_FALLBACK))
		return -EIO;
	r = dm_run_task(task);
	/* Also after a failure: the cookie is a semaphore to be freed. */
	if (udev)
		dm_udev_wait(cookie);
	dm_task_update_nodes();
	return r;
}

static int find_target(struct dm_task *task, const char *wanted)
{
	struct dm_versions *v = dm_task_get_versions(task);
	uint32_t next;

	do {
		if (strcmp(v->name, wanted) == 0)
			return 0;
		next = v->next;
		v = (struct dm_versions *)((char *)v + next);
	} while (next);
	return -ENOPKG;
}

void dm_let_go(void)
{
	dm_lib_release();
}

int dm_volume_target_known(enum dm_target target)
{
	struct dm_task *task;
	int r;

	r = dm_new_task(DM_DEVICE_LIST_VERSIONS, NULL, &task);
	if (r < 0)
		return r;
	r = dm_run_task(task);
	if (r == 0)
		r = find_target(task, target_name(target));
	else
		log_error("device mapper does not list its targets: %s",
			  strerror(-r));
	dm_task_destroy(task);
	return r;
}

int dm_name_taken(const char *name)
{
	struct dm_info info = { 0 };
	struct dm_task *task;
	int r;

	r = dm_new_task(DM_DEVICE_INFO, name, &task);
	if (r < 0)
		return r;
	r = dm_run_task(task);
	if (r == 0 && dm_task_get_info(task, &info))
		r = info.exists;
	else if (r == -ENXIO)
		r = 0;
	dm_task_destroy(task);
	return r;
}

/* -EINVAL or -ENXIO would be taken for a usage error, or for not attached. */
static int failed(int r)
{
	return r == -ENOMEM ? r : -EIO;
}

static int create_empty(const struct dm_volume *v)
{
	char uuid[DM_VOLUME_UUID_CHARS];
	struct dm_task *task;
	int r;

	if (dm_volume_uuid(v, uuid) < 0) {
		log_error("'%s': the name is too long", v->name);
		return -EINVAL;
	}
	r = dm_new_task(DM_DEVICE_CREATE, v->name, &task);
	if (r < 0)
		return r;
	r = dm_task_set_uuid(task, uuid) ? dm_run_task(task) : -ENOMEM;
	dm_task_destroy(task);
	if (r == -EBUSY || r == -EEXIST) {
		log_error("'%s': a device of that name exists: choose another name",
			  v->name);
		return -EEXIST;
	}
	if (r < 0) {
		log_error("'%s': cannot make the device: %s", v->name,
			  strerror(-r));
		return failed(r);
	}
	return 0;
}

/* What the kernel means by the error of a table. */
static int explain_load(const struct dm_volume *v, int r)
{
	switch (r) {
	case -EBUSY:
		log_error("'%s': the device %u:%u below is in use", v->name,
			  v->major, v->minor);
		return r;
	case -ENOKEY:
	case -EKEYREVOKED:
	case -EKEYEXPIRED:
		log_error("'%s': the kernel finds no live key %s: the volume is locked",
			  v->name, v->volume_id);
		return -EKEYREVOKED;
	case -ENXIO:
	case -ENODEV:
		log_error("'%s': the device %u:%u below is gone", v->name,
			  v->major, v->minor);
		return -EIO;
	default:
		log_error("'%s': the kernel refuses the table (%s): its log says why",
			  v->name, strerror(-r));
		return failed(r);
	}
}

int dm_volume_load(const struct dm_volume *v)
{
	char params[DM_VOLUME_PARAMS_CHARS];
	struct dm_task *task;
	int r;

	if (dm_volume_params(v, params) < 0) {
		log_error("'%s': the table line cannot be written", v->name);
		return -EINVAL;
	}
	r = dm_new_task(DM_DEVICE_RELOAD, v->name, &task);
	if (r < 0)
		return r;
	if (!dm_task_add_target(task, 0, v->size_sectors,
				target_name(v->target), params) ||
	    (v->read_only && !dm_task_set_ro(task)))
		r = -ENOMEM;
	else
		r = dm_run_task(task);
	dm_task_destroy(task);
	return r < 0 ? explain_load(v, r) : 0;
}

/* Swaps the tables; there is no need to freeze a file system for that. */
static int resume(const struct dm_volume *v)
{
	struct dm_task *task;
	int r;

	r = dm_new_task(DM_DEVICE_RESUME, v->name, &task);
	if (r < 0)
		return r;
	r = dm_task_skip_lockfs(task) ? dm_run_with_udev(task, 0) : -ENOMEM;
	dm_task_destroy(task);
	if (r < 0) {
		log_error("'%s': cannot resume the device: %s", v->name,
			  strerror(-r));
		return failed(r);
	}
	return 0;
}

static int remove_device(const char *name)
{
	struct dm_task *task;
	int r;

	r = dm_new_task(DM_DEVICE_REMOVE, name, &task);
	if (r < 0)
		return r;
	/* udev's probing holds the device for moments: the library retries. */
	r = dm_task_retry_remove(task) ? dm_run_with_udev(task, 0) : -ENOMEM;
	dm_task_destroy(task);
	return r;
}

int dm_volume_create(const struct dm_volume *v)
{
	int r;

	r = create_empty(v);
	if (r < 0)
		return r;
	r = dm_volume_load(v);
	if (r == 0)
		r = resume(v);
	if (r < 0 && remove_device(v->name) < 0)
		log_error("'%s': the half-made device stays: dmsetup remove %s",
			  v->name, v->name);
	return r;
}

void dm_volume_unload(const char *name)
{
	struct dm_task *task;

	if (dm_new_task(DM_DEVICE_CLEAR, name, &task) < 0)
		return;
	dm_run_task(task);
	dm_task_destroy(task);
}

int dm_volume_reload(const struct dm_volume *v)
{
	int r;

	r = dm_volume_load(v);
	if (r == 0)
		r = resume(v);
	/* A table that stays loaded would come alive at the next resume. */
	if (r < 0)
		dm_volume_unload(v->name);
	return r;
}

int dm_volume_remove(const char *name)
{
	struct dm_volume_status status;
	int r;

	r = dm_volume_status_get(name, &status);
	if (r < 0)
		return r;
	r = remove_device(name);
	if (r == -EBUSY)
		log_error("'%s' is in use: unmount it, or close what uses it, first",
			  name);
	else if (r == -ENXIO)
		log_error("'%s' is not attached", name);
	else if (r < 0)
		log_error("'%s': cannot remove the device: %s", name,
			  strerror(-r));
	return r;
}

/* 1: @v's own device, and no table is live. */
static int is_empty(const struct dm_volume *v)
{
	char wanted[DM_VOLUME_UUID_CHARS];
	struct dm_info info = { 0 };
	struct dm_task *task;
	const char *uuid;
	int r;

	if (dm_volume_uuid(v, wanted) < 0)
		return 0;
	r = dm_new_task(DM_DEVICE_INFO, v->name, &task);
	if (r < 0)
		return r;
	r = dm_run_task(task);
	if (r == 0 && dm_task_get_info(task, &info) && info.exists) {
		uuid = dm_task_get_uuid(task);
		r = !info.live_table && uuid && strcmp(uuid, wanted) == 0;
	} else if (r == -ENXIO) {
		r = 0;
	}
	dm_task_destroy(task);
	return r;
}

int dm_volume_remove_empty(const struct dm_volume *v)
{
	int r = is_empty(v);

	if (r > 0)
		r = remove_device(v->name);
	if (r < 0) {
		log_error("'%s': the half-made device stays: dmsetup remove %s",
			  v->name, v->name);
		return failed(r);
	}
	return 0;
}

/* Ask for the one line of the device: its table, or its status. */
static int get_line(int type, const char *name, struct dm_info *info,
		    uint64_t *sectors_ret, char **target_ret, char **line_ret,
		    char uuid_ret[DM_VOLUME_UUID_CHARS])
{
	struct dm_task *task;
	uint64_t start;
	char *target = NULL;
	char *line = NULL;
	const char *uuid;
	int r;

	r = dm_new_task(type, name, &task);
	if (r < 0)
		return r;
	/* Without the flag, status would flush, and hang while locked. */
	r = dm_task_no_flush(task) ? dm_run_task(task) : -ENOMEM;
	if (r < 0 || !dm_task_get_info(task, info) || !info->exists) {
		r = r < 0 && r != -ENXIO ? r : -ENXIO;
		goto out;
	}
	dm_get_next_target(task, NULL, &start, sectors_ret, &target, &line);
	uuid = dm_task_get_uuid(task);
	if (!target || !line || !uuid) {
		r = -ENXIO;
		goto out;
	}
	snprintf(uuid_ret, DM_VOLUME_UUID_CHARS, "%s", uuid);
	*target_ret = strdup(target);
	*line_ret = strdup(line);
	r = *target_ret && *line_ret ? 0 : -ENOMEM;
out:
	dm_task_destroy(task);
	return r;
}

/* Table and dm uuid to @v. -ENXIO: not one of ours. */
static int read_table(const char *name, struct dm_info *info,
		      struct dm_volume *v)
{
	size_t prefix = strlen(DM_VOLUME_UUID_PREFIX);
	char uuid[DM_VOLUME_UUID_CHARS];
	uint64_t sectors = 0;
	char *target = NULL;
	char *line = NULL;
	int r;

	r = get_line(DM_DEVICE_TABLE, name, info, &sectors, &target, &line,
		     uuid);
	if (r == 0 && (strncmp(uuid, DM_VOLUME_UUID_PREFIX, prefix) != 0 ||
		       strlen(uuid) < prefix + HEADER_UUID_CHARS ||
		       strlen(name) >= sizeof(v->name) ||
		       dm_volume_parse_params(target, line, v) < 0))
		r = -ENXIO;
	if (r == 0) {
		snprintf(v->name, sizeof(v->name), "%s", name);
		snprintf(v->uuid, sizeof(v->uuid), "%.36s", uuid + prefix);
		v->size_sectors = sectors;
		v->read_only = info->read_only;
	}
	free(target);
	free(line);
	return r;
}

/* As dm_volume_status_get(), silently. */
static int read_status(const char *name, struct dm_volume_status *ret)
{
	struct dm_volume_status s = { 0 };
	char uuid[DM_VOLUME_UUID_CHARS];
	struct dm_info info = { 0 };
	uint64_t sectors;
	char *target = NULL;
	char *line = NULL;
	int r;

	r = read_table(name, &info, &s.volume);
	if (r == 0)
		r = get_line(DM_DEVICE_STATUS, name, &info, &sectors, &target,
			     &line, uuid);
	if (r == 0 && dm_volume_parse_status(target, line, &s) < 0)
		r = -EPROTO;
	if (r == 0) {
		s.device_major = info.major;
		s.device_minor = info.minor;
		s.open_count = info.open_count;
		s.suspended = info.suspended;
		*ret = s;
	}
	free(target);
	free(line);
	return r;
}

int dm_volume_status_get(const char *name, struct dm_volume_status *ret)
{
	int r = read_status(name, ret);

	if (r == -ENXIO)
		log_error("'%s' is not attached", name);
	else if (r == -EPROTO)
		log_error("'%s': the module speaks another version: its status line is not understood",
			  name);
	else if (r < 0 && r != -EPERM && r != -EOPNOTSUPP)
		log_error("'%s': no status: %s", name, strerror(-r));
	return r == -EPROTO ? -EIO : r;
}

/* Collect the volumes among all devices of @task. */
static int collect(struct dm_task *task, struct dm_volume_status **ret,
		   size_t *count_ret)
{
	struct dm_names *names = dm_task_get_names(task);
	struct dm_volume_status *list = NULL;
	struct dm_volume_status *more;
	size_t count = 0;
	uint32_t next;
	int r;

	if (!names || !names->dev)
		goto done;
	do {
		more = reallocarray(list, count + 1, sizeof(*list));
		if (!more) {
			free(list);
			return -ENOMEM;
		}
		list = more;
		r = read_status(names->name, &list[count]);
		if (r == 0)
			count++;
		next = names->next;
		names = (struct dm_names *)((char *)names + next);
	} while (next);
done:
	*ret = list;
	*count_ret = count;
	return 0;
}

int dm_volume_list(struct dm_volume_status **ret, size_t *count_ret)
{
	struct dm_task *task;
	int r;

	if (access("/sys/class/misc/device-mapper", F_OK) < 0) {
		*ret = NULL;
		*count_ret = 0;
		return 0;
	}
	r = dm_new_task(DM_DEVICE_LIST, NULL, &task);
	if (r < 0)
		return r;
	r = dm_run_task(task);
	if (r == 0)
		r = collect(task, ret, count_ret);
	if (r < 0)
		log_error("device mapper does not list its devices: %s",
			  strerror(-r));
	dm_task_destroy(task);
	return r;
}

int dm_volume_message(const char *name, const char *message)
{
	struct dm_task *task;
	int r;

	r = dm_new_task(DM_DEVICE_TARGET_MSG, name, &task);
	if (r < 0)
		return r;
	if (!dm_task_set_sector(task, 0) || !dm_task_set_message(task, message))
		r = -ENOMEM;
	else
		r = dm_run_task(task);
	dm_task_destroy(task);
	if (r < 0)
		log_error("'%s' refuses the message '%s': %s", name, message,
			  strerror(-r));
	return r;
}
