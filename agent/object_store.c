// SPDX-License-Identifier: GPL-2.0-or-later
/* Which kind of place a store of objects is. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "object_private.h"

#define DIR_SCHEME "dir:"
#define S3_SCHEME "s3://"
#define SCHEME_CHARS "abcdefghijklmnopqrstuvwxyz0123456789"

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static const char *path_of(const char *url)
{
	return begins(url, DIR_SCHEME) ? url + strlen(DIR_SCHEME) : url;
}

int object_store_open(const char *url, const struct object_access *access,
		      bool create, struct object_store **ret)
{
	int r;

	if (begins(url, S3_SCHEME)) {
		r = object_s3_open(url + strlen(S3_SCHEME), access, ret);
	} else if (begins(url, DIR_SCHEME) ||
		   url[strspn(url, SCHEME_CHARS)] != ':') {
		r = object_dir_open(path_of(url), create, ret);
	} else {
		log_error("'%s': no such kind of store: dir:PATH or s3://BUCKET/PREFIX",
			  url);
		r = -EINVAL;
	}
	if (r < 0)
		return r;
	(*ret)->url = strdup(url);
	if ((*ret)->url)
		return 0;
	object_store_close(*ret);
	return -ENOMEM;
}

void object_store_close(struct object_store *st)
{
	if (!st)
		return;
	free(st->url);
	st->ops->close(st);
}

const char *object_store_url(const struct object_store *st)
{
	return st->url;
}

bool object_store_exists(const char *url)
{
	return begins(url, S3_SCHEME) || access(path_of(url), F_OK) == 0;
}

int object_store_empty(struct object_store *st, bool *ret)
{
	return st->ops->empty(st, ret);
}

int object_put(struct object_store *st, const char *name, const void *p,
	       size_t bytes, bool replace)
{
	return st->ops->put(st, name, p, bytes, replace);
}

int object_get(struct object_store *st, const char *name, uint64_t max_bytes,
	       uint8_t **ret, size_t *bytes_ret)
{
	return st->ops->get(st, name, max_bytes, ret, bytes_ret);
}

int object_get_into(struct object_store *st, const char *name, uint8_t *room,
		    size_t room_bytes, size_t *bytes_ret)
{
	uint8_t *bytes = NULL;
	int r;

	if (st->ops->get_into)
		return st->ops->get_into(st, name, room, room_bytes,
					 bytes_ret);
	r = st->ops->get(st, name, room_bytes, &bytes, bytes_ret);
	if (r == 0)
		memcpy(room, bytes, *bytes_ret);
	free(bytes);
	return r;
}

int object_clone(struct object_store *from, struct object_store *to,
		 const char *name)
{
	if (from->ops != to->ops)
		return -EOPNOTSUPP;
	return to->ops->clone(from, to, name);
}

int object_look(struct object_store *st, const char *name,
		struct object_info *ret)
{
	return st->ops->look(st, name, ret);
}

int object_remove(struct object_store *st, const char *name)
{
	return st->ops->remove(st, name);
}

int object_each(struct object_store *st, const char *prefix,
		int (*each)(void *user, const struct object_info *info),
		void *user)
{
	return st->ops->each(st, prefix, each, user);
}
