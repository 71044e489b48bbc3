// SPDX-License-Identifier: GPL-2.0-or-later
/* What is kept of each region's defaults: read, changed, replaced as a whole. */
#include "conf_defaults.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "arn.h"
#include "json.h"
#include "log.h"

#define NEW_SUFFIX ".new"
#define MAX_DEPTH 3

/* "/etc/envelope" of "/etc/envelope/envelope.conf". NULL: no memory. */
static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return strdup(".");
	return strndup(path, slash == path ? 1 : slash - path);
}

char *conf_defaults_path(const char *conf_path)
{
	const char *slash = strrchr(conf_path, '/');
	char *path;

	if (asprintf(&path, "%.*s" DEFAULTS_FILE,
		     (int)(slash ? slash + 1 - conf_path : 0), conf_path) < 0)
		return NULL;
	return path;
}

static int fault(const char *path, const char *region, const char *what)
{
	log_error("%s: region '%s': %s; mend it, or remove it to begin anew with 'envelope default'",
		  path, region, what);
	return -EINVAL;
}

static int check_region(const char *path, const char *region, const json_t *o)
{
	const json_t *value;
	const char *name;
	struct arn arn;

	if (!conf_region_name_valid(region) || !json_is_object(o))
		return fault(path, region, "not a region and its defaults");
	json_object_foreach((json_t *)o, name, value) {
		if (strcmp(name, "encryption_by_default") == 0) {
			if (!json_is_boolean(value))
				return fault(path, region,
					     "encryption_by_default is true or false");
		} else if (strcmp(name, "key") == 0) {
			if (!json_is_string(value) ||
			    !arn_is_key(json_string_value(value)) ||
			    arn_parse(json_string_value(value), &arn) < 0 ||
			    strcmp(arn.region, region) != 0)
				return fault(path, region,
					     "key is the ARN of a KMS key of that region");
		} else {
			return fault(path, region,
				     "there is a name that is not known");
		}
	}
	return 0;
}

static int parse(const char *path, const char *text, size_t bytes,
		 json_t **ret)
{
	char why[JSON_WHY_BYTES];
	json_t *all = NULL;
	const char *region;
	json_t *o;
	int r;

	r = json_parse_strict(text, bytes, MAX_DEPTH, &all, why);
	if (r == 0 && !json_is_object(all)) {
		strcpy(why, "not an object");
		r = -EBADMSG;
	}
	if (r == -EBADMSG) {
		log_error("%s: %s; mend it, or remove it to begin anew with 'envelope default'",
			  path, why);
		r = -EINVAL;
	}
	if (r == 0)
		json_object_foreach(all, region, o)
			if (r == 0)
				r = check_region(path, region, o);
	if (r < 0)
		json_decref(all);
	else
		*ret = all;
	return r;
}

/* An empty object where there is no file. */
static int load(const char *path, json_t **ret)
{
	char *text = NULL;
	size_t bytes = 0;
	int r = conf_text_read(path, false, &text, &bytes);

	if (r == -ENOENT) {
		*ret = json_object();
		return *ret ? 0 : -ENOMEM;
	}
	if (r == 0)
		r = parse(path, text, bytes, ret);
	free(text);
	return r;
}

static int give(const json_t *o, struct conf_region *region)
{
	const char *key;
	int on = 0;

	(void)json_get_bool(o, "encryption_by_default", &on);
	region->encryption_by_default = on;
	if (json_get_string(o, "key", &key) < 0)
		return 0;
	region->kept_key = strdup(key);
	return region->kept_key ? 0 : -ENOMEM;
}

int conf_defaults_read(const char *conf_path,
		       const struct conf_regions *regions)
{
	char *path = conf_defaults_path(conf_path);
	json_t *all = NULL;
	const json_t *o;
	size_t i;
	int r;

	r = path ? load(path, &all) : -ENOMEM;
	for (i = 0; r == 0 && i < regions->count; i++) {
		o = json_object_get(all, regions->at[i]->name);
		if (o)
			r = give(o, regions->at[i]);
	}
	json_decref(all);
	free(path);
	return r;
}

static int edit(json_t *all, const char *region,
		const struct conf_default_change *change)
{
	json_t *o = json_object_get(all, region);
	int r = 0;

	if (!o) {
		o = json_object();
		if (json_object_set_new(all, region, o) < 0)
			return -ENOMEM;
	}
	switch (change->what) {
	case CONF_DEFAULT_ENCRYPTION:
		r = json_object_set_new(o, "encryption_by_default",
					json_boolean(change->on));
		break;
	case CONF_DEFAULT_KEY:
		if (change->key_arn)
			r = json_object_set_new(o, "key",
					json_string(change->key_arn));
		else
			json_object_del(o, "key");
		break;
	}
	return r < 0 ? -ENOMEM : 0;
}

/* Everybody may read it: it has no secrets, and users format, too. */
static int write_new(const char *path, const json_t *all)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW |
		      O_CLOEXEC, 0644);
	FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
	int r = -1;

	if (!f) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	if (fchmod(fd, 0644) == 0 &&
	    json_dumpf(all, f, JSON_INDENT(2) | JSON_SORT_KEYS) == 0 &&
	    fputc('\n', f) != EOF && fflush(f) == 0)
		r = fsync(fd);
	return fclose(f) == 0 ? r : -1;
}

static int store(int folder, const char *path, const json_t *all)
{
	char *new;
	int r;

	if (asprintf(&new, "%s" NEW_SUFFIX, path) < 0)
		return -ENOMEM;
	r = write_new(new, all);
	if (r == 0)
		r = rename(new, path);
	if (r == 0)
		r = fsync(folder);
	if (r < 0) {
		log_error("%s: cannot be written: %s; nothing was changed",
			  path, strerror(errno));
		unlink(new);
		r = -EIO;
	}
	free(new);
	return r;
}

/* Locked, so that of two changes at once none is lost. */
static int open_folder(const char *path, int *ret)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0 && flock(fd, LOCK_EX) == 0) {
		*ret = fd;
		return 0;
	}
	log_error("%s: cannot be opened: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -EIO;
}

int conf_default_change(const struct conf *conf, const char *region,
			const struct conf_default_change *change)
{
	char *path = conf_defaults_path(conf_path(conf));
	char *folder = folder_of(conf_path(conf));
	json_t *all = NULL;
	int fd = -1;
	int r;

	r = path && folder ? open_folder(folder, &fd) : -ENOMEM;
	if (r == 0)
		r = load(path, &all);
	if (r == 0)
		r = edit(all, region, change);
	if (r == 0)
		r = store(fd, path, all);
	json_decref(all);
	if (fd >= 0)
		close(fd);
	free(folder);
	free(path);
	return r;
}
