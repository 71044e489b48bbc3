/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Private to credentials: one profile found in an AWS file. */
#ifndef ENVELOPE_CREDENTIALS_FILE_H
#define ENVELOPE_CREDENTIALS_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "secret.h"

/* Text inside a buffer that somebody else owns; @len 0: absent. */
struct slice {
	const char *at;
	size_t len;
};

struct profile {
	bool found;
	struct slice access_key_id, secret_key, session_token;
	bool role;		/* role_arn or web_identity_token_file */
	bool sso;		/* sso_* */
	bool process;		/* credential_process */
};

/*
 * The file's text with a NUL behind it, read by read(2) into locked memory:
 * no stdio buffer keeps it. *@ret is NULL when there is no file or nothing in
 * it. 0; with a sentence -EHOSTUNREACH (unreadable, over
 * CREDENTIALS_FILE_MAX_BYTES) or -ENOMEM.
 */
int credentials_file_read(const char *path, struct secret **ret);

/*
 * What @text says about profile @name; the slices point into @text. With
 * @config the section is [profile NAME] (or [default]), else [NAME].
 */
void credentials_file_find(const struct secret *text, bool config,
			   const char *name, struct profile *ret);

#endif
