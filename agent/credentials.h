/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where AWS credentials come from: the environment, then the shared
 * credentials and config files, by botocore's rules.
 *
 * Files are AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE where the
 * environment may speak, else ~/.aws/credentials and ~/.aws/config of the
 * effective user. Profiles are called [NAME] in the first and [profile NAME]
 * (or [default]) in the second. Keys in the first win.
 */
#ifndef ENVELOPE_CREDENTIALS_H
#define ENVELOPE_CREDENTIALS_H

#include <stdbool.h>

#include "secret.h"

#define CREDENTIALS_FILE_MAX_BYTES 262144

struct credentials {
	char *access_key_id;
	struct secret *secret_key;	/* NUL-terminated text */
	struct secret *session_token;	/* NUL-terminated text, or NULL */
	char *source;			/* for messages: "profile 'x' in FILE" */
};

struct credentials_query {
	const char *profile;		/* NULL: AWS_PROFILE's work is done by
					 * conf.h, so this means "default" */
	bool profile_by_option;		/* beats keys in the environment */
	bool environment;		/* may the environment be read at all? */
};

/*
 * 0 with *@ret for credentials_free(). A sentence, and: -EHOSTUNREACH (none,
 * incomplete, no such profile, unreadable file, or a profile that gets its
 * credentials by role_arn, sso or credential_process); -ENOMEM.
 */
int credentials_load(const struct credentials_query *query,
		     struct credentials **ret);

/* Wipes. NULL is accepted. */
void credentials_free(struct credentials *c);

#endif
