// SPDX-License-Identifier: GPL-2.0-or-later
/* Volumes that hold what is needed to attach or unlock them. */
#include <dirent.h>
#include <errno.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit.h"
#include "known.h"
#include "log.h"
#include "volume_private.h"

#define FSTAB "/etc/fstab"

/* Is @path @folder, or below it? */
static bool is_below(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	while (n > 1 && folder[n - 1] == '/')
		n--;
	if (n == 1)
		return true;
	return strncmp(path, folder, n) == 0 &&
	       (path[n] == '/' || path[n] == '\0');
}

/* The device of the deepest mount point in fstab that covers @path. */
static void find_source(const char *path, char *ret, size_t bytes)
{
	FILE *f = setmntent(FSTAB, "re");
	struct mntent *m;
	size_t best = 0;

	ret[0] = '\0';
	while (f && (m = getmntent(f))) {
		if (strlen(m->mnt_dir) < best || !is_below(path, m->mnt_dir))
			continue;
		best = strlen(m->mnt_dir);
		snprintf(ret, bytes, "%s", m->mnt_fsname);
	}
	if (f)
		endmntent(f);
}

int self_check_fstab(const struct conf *conf, const char *name)
{
	const struct conf_region *region;
	char device[32 + DM_VOLUME_NAME_CHARS];
	char source[512];
	size_t i;

	snprintf(device, sizeof(device), "/dev/mapper/%s", name);
	for (i = 0; (region = conf_region_at(conf, i)); i++) {
		if (!region->ca_file || access(region->ca_file, F_OK) == 0)
			continue;
		find_source(region->ca_file, source, sizeof(source));
		if (strcmp(source, device) != 0)
			continue;
		log_error("ca-file '%s' is on the volume '%s' itself, by %s, so the volume can never be attached with it: put a copy elsewhere and name that one",
			  region->ca_file, name, FSTAB);
		return -EINVAL;
	}
	return 0;
}

static bool is_kms(const char *pid)
{
	char path[300];
	char name[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (!fgets(name, sizeof(name), f))
		name[0] = '\0';
	fclose(f);
	return strcmp(name, "envelope-kms\n") == 0;
}

/* Does the process @pid have a file open that is stored on the volume? */
static bool has_file_on(const char *pid, const struct dm_volume_status *s)
{
	char path[600];
	struct dirent *e;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	dir = opendir(path);
	while (dir && !found && (e = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/%s/fd/%s", pid, e->d_name);
		found = e->d_name[0] != '.' &&
			device_holds(s->device_major, s->device_minor, path);
	}
	if (dir)
		closedir(dir);
	return found;
}

static void warn_kms_state(const struct dm_volume_status *s)
{
	DIR *dir = opendir("/proc");
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		if (e->d_name[0] < '1' || e->d_name[0] > '9' ||
		    !is_kms(e->d_name) || !has_file_on(e->d_name, s))
			continue;
		log_warn("the KMS that runs here (process %s) keeps its state on the volume '%s': if the volume's key is in that KMS, it can never be attached again once it is detached; move the state elsewhere",
			 e->d_name, s->volume.name);
		break;
	}
	if (dir)
		closedir(dir);
}

void volume_warn_self(const struct conf *conf,
		      const struct dm_volume_status *s)
{
	const struct conf_region *region;
	size_t i;

	for (i = 0; conf && (region = conf_region_at(conf, i)); i++)
		if (region->ca_file &&
		    device_holds(s->device_major, s->device_minor,
				 region->ca_file))
			log_warn("ca-file '%s' is on the volume '%s' itself, which can never be attached with it once it is detached: put a copy elsewhere and name that one",
				 region->ca_file, s->volume.name);
	warn_kms_state(s);
}

/* /proc/swaps has blanks and the like in names as \\ooo. */
static void unescape(char *text)
{
	char *to = text;
	unsigned int c;

	for (; *text; to++) {
		if (text[0] == '\\' && sscanf(text + 1, "%3o", &c) == 1) {
			*to = c;
			text += 4;
		} else {
			*to = *text++;
		}
	}
	*to = '\0';
}

static bool holds_swap(const struct dm_volume_status *s)
{
	FILE *f = fopen("/proc/swaps", "re");
	char line[4300];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f)) {
		line[strcspn(line, " \t\n")] = '\0';
		unescape(line);
		found = line[0] == '/' &&
			device_holds(s->device_major, s->device_minor, line);
	}
	if (f)
		fclose(f);
	return found;
}

const char *self_needs(const struct dm_volume_status *s, bool *swap_ret)
{
	static const char *const needed[] = {
		"/", "/usr", "/etc/envelope", KNOWN_DIR,
	};
	size_t i;

	*swap_ret = holds_swap(s);
	if (*swap_ret)
		return "swap space that is in use";
	for (i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (device_holds(s->device_major, s->device_minor, needed[i]))
			return needed[i];
	return NULL;
}

bool volume_holds_audit(const struct dm_volume_status *s)
{
	return device_holds(s->device_major, s->device_minor, KNOWN_DIR) ||
	       device_holds(s->device_major, s->device_minor,
			    KNOWN_DIR "/audit");
}

/* Is the audit behind a lock? The name of the volume that it lies on. */
static bool find_locked_audit(char name_ret[DM_VOLUME_NAME_CHARS])
{
	struct dm_volume_status *list = NULL;
	bool found = false;
	size_t count = 0, i;

	if (dm_volume_list(&list, &count) < 0)
		return false;
	for (i = 0; i < count && !found; i++) {
		found = list[i].state == DM_STATE_LOCKED &&
			volume_holds_audit(&list[i]);
		if (found)
			strcpy(name_ret, list[i].volume.name);
	}
	free(list);
	return found;
}

void volume_verb_ended(const char *event, const char *name,
		       const char *volume_id, int r)
{
	char holder[DM_VOLUME_NAME_CHARS];

	if (geteuid() == 0 && find_locked_audit(holder))
		log_warn("'%s' has this host's audit, which has no record of the %s",
			 holder, event);
	else
		audit_verb_ended(event, name, volume_id, r);
}
