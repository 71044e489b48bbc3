/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a kind of object store has to bring along. */
#ifndef ENVELOPE_OBJECT_PRIVATE_H
#define ENVELOPE_OBJECT_PRIVATE_H

#include "object_store.h"

struct object_ops {
	void (*close)(struct object_store *st);
	int (*put)(struct object_store *st, const char *name, const void *p,
		   size_t bytes, bool replace);
	int (*get)(struct object_store *st, const char *name,
		   uint64_t max_bytes, uint8_t **ret, size_t *bytes_ret);
	/* NULL: by get. */
	int (*get_into)(struct object_store *st, const char *name,
			uint8_t *room, size_t room_bytes, size_t *bytes_ret);
	/* @from is of the same kind. */
	int (*clone)(struct object_store *from, struct object_store *to,
		     const char *name);
	int (*look)(struct object_store *st, const char *name,
		    struct object_info *ret);
	int (*remove)(struct object_store *st, const char *name);
	int (*each)(struct object_store *st, const char *prefix,
		    int (*each)(void *user, const struct object_info *info),
		    void *user);
	int (*empty)(struct object_store *st, bool *ret);
};

/* The first member of each kind's own. */
struct object_store {
	const struct object_ops *ops;
	char *url;
};

/* object_dir.c */
int object_dir_open(const char *path, bool create, struct object_store **ret);

/* object_s3.c: what is behind s3:// */
int object_s3_open(const char *place, const struct object_access *access,
		   struct object_store **ret);

#endif
