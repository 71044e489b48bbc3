/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an S3 server says in XML. */
#ifndef ENVELOPE_OBJECT_S3_LIST_H
#define ENVELOPE_OBJECT_S3_LIST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A ListBucketResult: @each object by its key, its size and the time that it was
 * written at, as the server writes it. *@next_ret is for free(3): where the list
 * goes on, or NULL. -EBADMSG: it is no such text; silent. -ENOMEM. What @each
 * returns other than 0.
 */
int s3_list_parse(const uint8_t *text, size_t bytes,
		  int (*each)(void *user, const char *key, uint64_t size,
			      const char *modified),
		  void *user, char **next_ret);

/* The Code of an Error; "" if there is none. @ret has @room bytes. */
void s3_error_code(const uint8_t *text, size_t bytes, char *ret, size_t room);

/* Is it the answer to a copy that was made? */
bool s3_says_copied(const uint8_t *text, size_t bytes);

#endif
