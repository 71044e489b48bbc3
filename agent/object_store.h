/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Objects by their names, in a folder or in a bucket: all that a store of
 * snapshots asks of the place where it is. Names are of letters, digits, "-",
 * "." and "/", and at most OBJECT_NAME_CHARS long with the NUL.
 *
 * Under its name an object is whole or absent, whatever happened to its writer,
 * and when a call returns 0 what it did is durable. All functions may be called
 * by several threads at once. Each prints its own error, once; what is called
 * silent prints none.
 *
 * Errors that all share: -EIO, -ENOMEM, -ENOSPC; of a bucket -EACCES (refused)
 * and -EHOSTUNREACH (no usable answer in time).
 */
#ifndef ENVELOPE_OBJECT_STORE_H
#define ENVELOPE_OBJECT_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OBJECT_NAME_CHARS 200

struct object_store;

/* How to reach it, where its URL does not say that; NULL: as is usual. */
struct object_access {
	const char *endpoint;	/* https://HOST[:PORT] */
	const char *region;
	const char *profile;	/* of the AWS credentials */
	const char *ca_file;
};

struct object_info {
	const char *name;
	bool part;		/* of what never became whole; no object */
	uint64_t bytes;
	uint64_t age_seconds;	/* since it was written */
};

/*
 * Open @url, "dir:PATH", a path or "s3://BUCKET[/PREFIX]". With @create a folder
 * that is not there is made; a bucket never is. -ENOENT: it is not there.
 * -EINVAL: no such kind.
 */
int object_store_open(const char *url, const struct object_access *access,
		      bool create, struct object_store **ret);

/* NULL is accepted. */
void object_store_close(struct object_store *st);

/* As it was opened. Borrowed. */
const char *object_store_url(const struct object_store *st);

/*
 * Is there something at @url that a new store would be in the way of? Prints
 * nothing; of a bucket nobody is asked, and it is.
 */
bool object_store_exists(const char *url);

/* Is there nothing in it? What a killed creation left is nothing. */
int object_store_empty(struct object_store *st, bool *ret);

/* -EEXIST, silent: @name is there, and no @replace. */
int object_put(struct object_store *st, const char *name, const void *p,
	       size_t bytes, bool replace);

/*
 * -ENOENT, silent. -EBADMSG: more than @max_bytes, or not an object. The caller
 * frees *@ret, behind which there is room for one more byte.
 */
int object_get(struct object_store *st, const char *name, uint64_t max_bytes,
	       uint8_t **ret, size_t *bytes_ret);

/* As object_get() of at most @room_bytes, into @room. */
int object_get_into(struct object_store *st, const char *name, uint8_t *room,
		    size_t room_bytes, size_t *bytes_ret);

/*
 * Put what @from has as @name into @to, under that name, without its bytes passing
 * through here: nobody has looked at them then. What is there is replaced.
 * -EOPNOTSUPP, silent: this cannot be, between these two or at all; get and put
 * say more. -ENOENT, silent: @from has none.
 */
int object_clone(struct object_store *from, struct object_store *to,
		 const char *name);

/* -ENOENT, silent. Name and part are not filled in. */
int object_look(struct object_store *st, const char *name,
		struct object_info *ret);

/* -ENOENT, silent: of a folder; a bucket does not tell. */
int object_remove(struct object_store *st, const char *name);

/*
 * @each of the objects whose names begin with @prefix, which is "" or ends with
 * "/", in any order. It ends where that returns anything but 0, and returns
 * that.
 */
int object_each(struct object_store *st, const char *prefix,
		int (*each)(void *user, const struct object_info *info),
		void *user);

#endif
