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

enum profile_setting {
	ACCESS_KEY_ID,
	SECRET_KEY,
	SESSION_TOKEN,
	ROLE_ARN,
	SOURCE_PROFILE,
	CREDENTIAL_SOURCE,
	ROLE_SESSION_NAME,
	EXTERNAL_ID,
	DURATION_SECONDS,
	MFA_SERIAL,
	WEB_IDENTITY_TOKEN_FILE,
	CREDENTIAL_PROCESS,
	SSO_START_URL,
	SSO_SESSION,
	METADATA_ENDPOINT,
	METADATA_MODE,
	METADATA_TIMEOUT,
	METADATA_ATTEMPTS,
	PROFILE_SETTINGS,
};

struct profile {
	bool found;
	struct slice value[PROFILE_SETTINGS];
};

/*
 * The file's text with a NUL behind it, read by read(2) into locked memory:
 * no stdio buffer keeps it. *@ret is NULL when there is no file.
 * *@own_ret: nobody but root and this process's user can change the file.
 * 0; with a sentence -EHOSTUNREACH (unreadable, over
 * CREDENTIALS_FILE_MAX_BYTES) or -ENOMEM.
 */
int credentials_file_read(const char *path, struct secret **ret,
			  bool *own_ret);

/*
 * What @text says about profile @name; the slices point into @text. With
 * @config the section is [profile NAME] (or [default]), else [NAME].
 */
void credentials_file_find(const struct secret *text, bool config,
			   const char *name, struct profile *ret);

#endif
