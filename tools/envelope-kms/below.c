// SPDX-License-Identifier: GPL-2.0-or-later
/* A KMS whose state is on a volume that only this KMS can attach. */
#include "below.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "log.h"

#define UUID_PREFIX "ENVELOPE-"
#define MAX_DEPTH 8
#define PATH_BYTES 4300

/* The first line of the file @name in @folder; empty where there is none. */
static void read_line(const char *folder, const char *name, char *ret,
		      int bytes)
{
	char *path = NULL;
	FILE *f = NULL;

	ret[0] = '\0';
	if (asprintf(&path, "%s/%s", folder, name) >= 0)
		f = fopen(path, "re");
	if (f && !fgets(ret, bytes, f))
		ret[0] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
	if (f)
		fclose(f);
	free(path);
}

static bool find_volume(const char *folder, int depth, char name_ret[128]);

static bool find_in_device(dev_t device, int depth, char name_ret[128])
{
	char folder[64];

	snprintf(folder, sizeof(folder), "/sys/dev/block/%u:%u", major(device),
		 minor(device));
	return find_volume(folder, depth, name_ret);
}

static bool find_in_slaves(const char *folder, int depth, char name_ret[128])
{
	char path[PATH_BYTES];
	bool found = false;
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/slaves", folder);
	dir = opendir(path);
	while (dir && !found && (e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/slaves/%s", folder, e->d_name);
		found = find_volume(path, depth, name_ret);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* The first envelope volume among the device in @folder and those below it. */
static bool find_volume(const char *folder, int depth, char name_ret[128])
{
	char text[PATH_BYTES];
	struct stat st;

	read_line(folder, "dm/uuid", text, sizeof(text));
	if (strncmp(text, UUID_PREFIX, strlen(UUID_PREFIX)) == 0) {
		read_line(folder, "dm/name", name_ret, 128);
		return true;
	}
	if (depth == 0)
		return false;
	read_line(folder, "partition", text, sizeof(text));
	if (text[0]) {
		snprintf(text, sizeof(text), "%s/..", folder);
		return find_volume(text, depth - 1, name_ret);
	}
	read_line(folder, "loop/backing_file", text, sizeof(text));
	if (text[0] && stat(text, &st) == 0)
		return find_in_device(st.st_dev, depth - 1, name_ret);
	return find_in_slaves(folder, depth - 1, name_ret);
}

void below_warn(const char *dir)
{
	struct stat st;
	char name[128];

	if (stat(dir, &st) == 0 && find_in_device(st.st_dev, MAX_DEPTH, name))
		log_warn("%s is on the encrypted volume '%s': if its key is in this KMS, it can never be attached again once it is detached; move the directory elsewhere",
			 dir, name);
}
