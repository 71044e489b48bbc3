// SPDX-License-Identifier: GPL-2.0-or-later
/* The agent's memory of volumes: read strictly, replaced atomically. */
#include "attachments.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "json.h"
#include "log.h"

#define STATE_FILE "volumes.json"
#define STATE_NEW "volumes.json.new"
#define STATE_MAX_BYTES (256u << 20)	/* 2000 of the longest headers */
#define STATE_MAX_DEPTH 16	/* a header is in it */

struct attachments {
	const char *path;
	int dir;
	struct attachment *first;
};

static const char *const stages[] = {
	[ATTACHMENT_ATTACHING] = "attaching",
	[ATTACHMENT_ATTACHED] = "attached",
	[ATTACHMENT_DETACHING] = "detaching",
};

#define STAGES (sizeof(stages) / sizeof(stages[0]))

static void attachment_free(struct attachment *a)
{
	json_decref(a->more);
	free(a);
}

void attachments_free(struct attachments *list)
{
	struct attachment *next;

	if (!list)
		return;
	for (; list->first; list->first = next) {
		next = list->first->next;
		attachment_free(list->first);
	}
	if (list->dir >= 0)
		close(list->dir);
	free(list);
}

/* A text that fits into @ret, whole. */
static int take_text(const json_t *o, const char *name, char *ret, size_t bytes)
{
	const char *text;
	int r = json_get_string(o, name, &text);

	if (r < 0 || strlen(text) >= bytes)
		return -EBADMSG;
	strcpy(ret, text);
	return 0;
}

static int take_stage(const json_t *o, enum attachment_stage *ret)
{
	const char *text;
	size_t i;

	if (json_get_string(o, "stage", &text) < 0)
		return -EBADMSG;
	for (i = 0; i < STAGES; i++) {
		if (strcmp(stages[i], text) != 0)
			continue;
		*ret = i;
		return 0;
	}
	return -EBADMSG;
}

static int take_one(struct attachments *list, const json_t *o)
{
	struct attachment *a = calloc(1, sizeof(*a));
	uint64_t uid;

	if (!a)
		return -ENOMEM;
	if (take_text(o, "name", a->name, sizeof(a->name)) < 0 ||
	    take_text(o, "volume_id", a->volume_id,
		      sizeof(a->volume_id)) < 0 ||
	    take_text(o, "uuid", a->uuid, sizeof(a->uuid)) < 0 ||
	    !dm_volume_name_valid(a->name) ||
	    !header_volume_id_valid(a->volume_id) ||
	    json_get_u64(o, "uid", 0, UINT32_MAX - 1, &uid) < 0 ||
	    take_stage(o, &a->stage) < 0 ||
	    json_get_object(o, "more", &a->more) < 0) {
		free(a);
		return -EBADMSG;
	}
	a->uid = uid;
	json_incref(a->more);
	a->next = list->first;
	list->first = a;
	return 0;
}

static int take_all(struct attachments *list, const char *text, size_t bytes)
{
	char why[JSON_WHY_BYTES];
	json_t *o = NULL;
	json_t *volumes;
	size_t i;
	int r;

	r = json_parse_strict(text, bytes, STATE_MAX_DEPTH, &o, why);
	volumes = r == 0 ? json_object_get(o, "volumes") : NULL;
	if (r == 0 && !json_is_array(volumes))
		r = -EBADMSG;
	for (i = 0; r == 0 && i < json_array_size(volumes); i++)
		r = take_one(list, json_array_get(volumes, i));
	json_decref(o);
	return r;
}

static int read_file(struct attachments *list)
{
	int fd = openat(list->dir, STATE_FILE,
			O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	char *text;
	ssize_t n;
	int r = 0;

	if (fd < 0)
		return errno == ENOENT ? 0 : -EIO;
	if (fstat(fd, &st) < 0 || st.st_size > STATE_MAX_BYTES) {
		close(fd);
		return -EBADMSG;
	}
	text = malloc(st.st_size + 1);
	n = text ? read(fd, text, st.st_size) : 0;
	if (!text)
		r = -ENOMEM;
	else
		r = n == st.st_size ? take_all(list, text, n) : -EIO;
	free(text);
	close(fd);
	return r;
}

static int report(const struct attachments *list, int r)
{
	if (r == -EBADMSG)
		log_error("'%s/%s' is damaged: move it away; volumes that are attached now are root's then",
			  list->path, STATE_FILE);
	else if (r < 0)
		log_error("'%s/%s': %s", list->path, STATE_FILE,
			  strerror(-r));
	return r;
}

/* Each folder on the way, as /var/lib/envelope may not be there. */
static void make_folders(const char *dir)
{
	char path[4096];
	char *slash;

	if (strlen(dir) >= sizeof(path))
		return;
	strcpy(path, dir);
	for (slash = strchr(path + 1, '/'); slash;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(path, 0700);
		*slash = '/';
	}
	mkdir(path, 0700);
}

int attachments_load(const char *dir, struct attachments **ret)
{
	struct attachments *list = calloc(1, sizeof(*list));
	int r;

	if (!list) {
		log_error("out of memory");
		return -ENOMEM;
	}
	make_folders(dir);
	list->path = dir;
	list->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = report(list, list->dir < 0 ? -errno : read_file(list));
	if (r < 0)
		attachments_free(list);
	else
		*ret = list;
	return r;
}

struct attachment *attachments_first(struct attachments *list)
{
	return list->first;
}

struct attachment *attachments_find(struct attachments *list, const char *name)
{
	struct attachment *a;

	for (a = list->first; a; a = a->next)
		if (strcmp(a->name, name) == 0)
			return a;
	for (a = list->first; a; a = a->next)
		if (strcmp(a->volume_id, name) == 0)
			return a;
	return NULL;
}

struct attachment *attachments_of(struct attachments *list,
				  const struct dm_volume *v)
{
	struct attachment *a;

	for (a = list->first; a; a = a->next)
		if (strcmp(a->name, v->name) == 0 &&
		    strcmp(a->uuid, v->uuid) == 0)
			return a;
	return NULL;
}

static json_t *compose(const struct attachments *list)
{
	json_t *volumes = json_array();
	const struct attachment *a;

	for (a = list->first; volumes && a; a = a->next) {
		json_t *o = json_pack("{s:s, s:s, s:s, s:I, s:s, s:O}",
				      "name", a->name,
				      "volume_id", a->volume_id,
				      "uuid", a->uuid,
				      "uid", (json_int_t)a->uid,
				      "stage", stages[a->stage],
				      "more", a->more);

		if (json_array_append_new(volumes, o) < 0) {
			json_decref(volumes);
			volumes = NULL;
		}
	}
	return volumes ? json_pack("{s:o}", "volumes", volumes) : NULL;
}

static int write_file(const struct attachments *list, const char *text)
{
	int fd = openat(list->dir, STATE_NEW,
			O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
			0600);
	size_t bytes = strlen(text);
	int r = 0;

	if (fd < 0)
		return -errno;
	errno = EIO;
	if (write(fd, text, bytes) != (ssize_t)bytes || fsync(fd) < 0)
		r = -errno;
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r == 0 && (renameat(list->dir, STATE_NEW, list->dir,
				STATE_FILE) < 0 || fsync(list->dir) < 0))
		r = -errno;
	return r;
}

int attachments_save(struct attachments *list)
{
	json_t *o = compose(list);
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	int r;

	r = report(list, text ? write_file(list, text) : -ENOMEM);
	free(text);
	json_decref(o);
	return r == 0 || r == -ENOMEM ? r : -EIO;
}

int attachments_add(struct attachments *list, const struct attachment *a,
		    struct attachment **ret)
{
	struct attachment *copy = malloc(sizeof(*copy));
	int r;

	if (!copy)
		return report(list, -ENOMEM);
	*copy = *a;
	copy->more = a->more ? json_incref(a->more) : json_object();
	copy->next = list->first;
	list->first = copy;
	r = attachments_save(list);
	if (r < 0) {
		list->first = copy->next;
		attachment_free(copy);
	} else {
		*ret = copy;
	}
	return r;
}

int attachments_remove(struct attachments *list, struct attachment *a)
{
	struct attachment **at = &list->first;

	while (*at && *at != a)
		at = &(*at)->next;
	if (*at)
		*at = a->next;
	attachment_free(a);
	return attachments_save(list);
}
