/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where AWS credentials come from, by botocore's rules and in its order:
 *
 *	1. keys in the environment
 *	2. a role that the profile assumes (role_arn with source_profile or
 *	   credential_source)
 *	3. a web identity, by the environment or the profile
 *	4. keys in the shared credentials file
 *	5. the profile's credential_process
 *	6. keys in the config file
 *	7. a container's endpoint, by the environment
 *	8. the instance metadata service, version 2 only
 *
 * Files are AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE where the
 * environment may speak, else ~/.aws/credentials and ~/.aws/config of the
 * effective user. Profiles are called [NAME] in the first and [profile NAME]
 * (or [default]) in the second. Keys in the first win.
 *
 * Where the environment may not speak (a daemon), they are in
 * CREDENTIALS_DAEMON_FOLDER if there is one, and count only if nobody but root
 * and the process's own user can change them.
 */
#ifndef ENVELOPE_CREDENTIALS_H
#define ENVELOPE_CREDENTIALS_H

#include <stdbool.h>
#include <stdint.h>

#include "secret.h"

#define CREDENTIALS_FILE_MAX_BYTES 262144
#define CREDENTIALS_DAEMON_FOLDER "/etc/envelope/aws"
/* So much before their end others are asked for. */
#define CREDENTIALS_REFRESH_S 300
/* And again after so much, where that failed. */
#define CREDENTIALS_RETRY_S 60

struct credentials {
	char *access_key_id;
	struct secret *secret_key;	/* NUL-terminated text */
	struct secret *session_token;	/* NUL-terminated text, or NULL */
	char *source;			/* for messages: "profile 'x' in FILE" */
	int64_t expires_s;		/* CLOCK_REALTIME; 0: never */
};

/* Strings are the caller's. */
struct credentials_query {
	const char *profile;		/* NULL: AWS_PROFILE's work is done by
					 * conf.h, so this means "default" */
	bool profile_by_option;		/* beats keys in the environment */
	bool environment;		/* may the environment be read at all? */
	const char *region;		/* of the STS that roles are assumed at */
	const char *sts_endpoint;	/* https://HOST[:PORT] */
	const char *ca_file;		/* of the STS; NULL: the system's */
	const char *proxy;		/* to the STS; NULL: none */
};

/*
 * Ask every source in turn, within @timeout_ms together. 0 with *@ret, not
 * expired, for credentials_free(). A sentence, and: -EHOSTUNREACH (none, or
 * the first source that applies gives none: incomplete, no such profile,
 * unreadable file, refused, no answer, expired); -ENOMEM;
 * -EIO: no libcurl.
 */
int credentials_load(const struct credentials_query *query,
		     unsigned int timeout_ms, struct credentials **ret);

/* Wipes. NULL is accepted. */
void credentials_free(struct credentials *c);

/*
 * Credentials for as long as somebody needs them: loaded at first use, and
 * anew CREDENTIALS_REFRESH_S before they expire. Not for several threads at
 * once.
 */
struct credentials_source;

/* @query and its strings outlive it. 0 with *@ret for ..._close(); -ENOMEM. */
int credentials_open(const struct credentials_query *query,
		     struct credentials_source **ret);

/* Wipes. NULL is accepted. */
void credentials_close(struct credentials_source *s);

/*
 * The credentials to use now; they stay the source's and are good until its
 * next call. While the old ones last, new ones that cannot be had are only a
 * warning. 0; a sentence and errors as credentials_load().
 */
int credentials_get(struct credentials_source *s, unsigned int timeout_ms,
		    const struct credentials **ret);

/* They were refused: the next credentials_get() loads others. */
void credentials_drop(struct credentials_source *s);

#endif
