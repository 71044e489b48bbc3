// SPDX-License-Identifier: GPL-2.0-or-later
/* Fills a directory under another name, and renames it when it is complete. */
#include "fresh.h"

#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "log.h"

/* @dir made absolute; its parent must exist, it need not. */
static char *absolute(const char *dir)
{
	char *copy = strdup(dir), *copy2 = strdup(dir);
	char *parent = copy ? realpath(dirname(copy), NULL) : NULL;
	const char *name = copy2 ? basename(copy2) : "";
	char *path = realpath(dir, NULL);

	if (!path && parent && *name && asprintf(&path, "%s/%s",
		     strcmp(parent, "/") == 0 ? "" : parent, name) < 0)
		path = NULL;
	free(parent);
	free(copy);
	free(copy2);
	return path;
}

/* An early answer; fresh_publish() keeps a full directory safe. */
static int check_target(const char *dir)
{
	DIR *d = opendir(dir);
	int entries = 0;

	if (!d && errno == ENOENT)
		return 0;
	while (d && readdir(d))
		entries++;
	if (d)
		closedir(d);
	if (d && entries == 2) /* "." and ".." */
		return 0;
	log_error("%s: %s; name a directory that is empty or does not exist",
		  dir, d ? "not empty" : strerror(errno));
	return -EEXIST;
}

int fresh_find(const char *dir, struct fresh *f)
{
	f->dir = absolute(dir);
	if (f->dir)
		return check_target(f->dir);
	log_error("%s: %s", dir, strerror(errno));
	return -EINVAL;
}

int fresh_begin(struct fresh *f, const char *what)
{
	int rc;

	if (asprintf(&f->work, "%s.%s-XXXXXX", f->dir, what) < 0) {
		f->work = NULL;
		return -ENOMEM;
	}
	if (mkdtemp(f->work))
		return 0;
	rc = -errno;
	log_error("%s: cannot make a directory: %s", f->work, strerror(-rc));
	free(f->work);
	f->work = NULL;
	return rc;
}

int fresh_publish(struct fresh *f)
{
	int rc;

	if (rename(f->work, f->dir) < 0) {
		rc = -errno;
		log_error("%s: %s; name a directory that is empty or does not exist",
			  f->dir, strerror(-rc));
		return rc;
	}
	free(f->work);
	f->work = NULL;
	return parent_sync(f->dir);
}

void fresh_end(struct fresh *f)
{
	if (f->work)
		dir_remove(f->work);
	free(f->work);
	free(f->dir);
}
