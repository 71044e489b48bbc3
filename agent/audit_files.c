// SPDX-License-Identifier: GPL-2.0-or-later
/* The audit's folder: which files are there, and what its head says. */
#include "audit_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *audit_parent = AUDIT_PARENT;

void audit_set_parent(const char *dir)
{
	audit_parent = dir ? dir : AUDIT_PARENT;
}

void audit_folder(char ret[AUDIT_PATH_BYTES])
{
	snprintf(ret, AUDIT_PATH_BYTES, "%s/" AUDIT_FOLDER, audit_parent);
}

static bool is_full_file(const char *name)
{
	return strncmp(name, "audit-", 6) == 0 &&
	       strspn(name + 6, "0123456789") == 20 &&
	       strcmp(name + 26, ".log") == 0;
}

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

int audit_list(int dir, char (**ret)[AUDIT_NAME_BYTES], size_t *count_ret)
{
	char (*names)[AUDIT_NAME_BYTES] = NULL;
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	size_t count = 0;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return -EIO;
	}
	while ((e = readdir(d))) {
		void *more;

		if (!is_full_file(e->d_name))
			continue;
		more = reallocarray(names, count + 1, sizeof(*names));
		if (!more) {
			free(names);
			closedir(d);
			return -ENOMEM;
		}
		names = more;
		strcpy(names[count++], e->d_name);
	}
	closedir(d);
	if (count)
		qsort(names, count, sizeof(*names), compare);
	*ret = names;
	*count_ret = count;
	return 0;
}

int audit_head_read(int dir, struct audit_mark *ret)
{
	char text[128];
	int fd = openat(dir, AUDIT_HEAD, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return errno == ENOENT ? -ENOENT : -EBADMSG;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n < 1 || text[n - 1] != '\n')
		return -EBADMSG;
	text[n - 1] = '\0';
	return audit_mark_parse(text, ret);
}
