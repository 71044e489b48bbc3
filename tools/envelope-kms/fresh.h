/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A directory that is there as a whole or not at all. */
#ifndef KMS_FRESH_H
#define KMS_FRESH_H

/* Starts as { NULL, NULL }. */
struct fresh {
	char *dir;  /* what the user named, absolute; need not exist */
	char *work; /* the unfinished one, beside it; NULL: none */
};

/*
 * Finds what @dir names, which must be empty or not exist, then makes
 * DIR.@what-XXXXXX to be filled. 0; -EINVAL; -EEXIST; -errno, with a message
 * printed.
 */
int fresh_find(const char *dir, struct fresh *f);
int fresh_begin(struct fresh *f, const char *what);

/* The one step by which it comes into being. As fresh_begin(). */
int fresh_publish(struct fresh *f);

/* Removes what was not published, and frees. */
void fresh_end(struct fresh *f);

#endif
