/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Private to credentials: what its sources share. Each of them gives 0 with
 * credentials, or a sentence and -EHOSTUNREACH or -ENOMEM; -ENOENT, where a
 * source has it, says without a sentence that it does not apply.
 */
#ifndef ENVELOPE_CREDENTIALS_PRIVATE_H
#define ENVELOPE_CREDENTIALS_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "credentials.h"
#include "credentials_file.h"
#include "http.h"

#define CREDENTIALS_MAX_CHAIN 8	/* profiles behind each other */

/* Both files, and the budget, for one credentials_load(). */
struct credentials_run {
	const struct credentials_query *query;
	const char *name;		/* of the profile asked for */
	struct http *http;
	char *path[2];			/* credentials, config */
	struct secret *text[2];		/* NULL: no file */
	bool own[2];			/* only root and we can change it */
	char metadata[512];		/* why no metadata service answered */
};

/* credentials_make.c: parts to credentials */

struct credentials_parts {
	struct slice access_key_id, secret_key;
	struct slice session_token;	/* may be absent */
	struct slice expiration;	/* ISO 8601; absent: never */
};

/*
 * Copies out of @parts, which point into a buffer that is about to be wiped,
 * and refuses what is malformed or has expired.
 */
int credentials_make(const struct credentials_parts *parts,
		     const char *source, struct credentials **ret);

/*
 * The same from a JSON object: AccessKeyId, SecretAccessKey, @token_name,
 * Expiration. With @version there has to be "Version": 1, and token and
 * expiration may lack.
 */
int credentials_from_json(const char *text, size_t bytes,
			  const char *token_name, bool version,
			  const char *source, struct credentials **ret);

/* Seconds since 1970 of "2026-01-31T23:59:59Z" and its kin. 0; -EINVAL. */
int credentials_time(struct slice text, int64_t *ret);

/* CLOCK_REALTIME in seconds. */
int64_t credentials_now_s(void);

/* Of the environment; absent where it is closed, unset or empty. */
const char *credentials_env(const struct credentials_run *run,
			    const char *name);

/* A whole number in @text, @least to @most. 0; -EINVAL. */
int credentials_number(struct slice text, unsigned int least,
		       unsigned int most, unsigned int *ret);

/* Why @source at @url gave no answer; returns -EHOSTUNREACH. */
int credentials_no_answer(const struct credentials_run *run,
			  enum http_failure why, const char *source,
			  const char *url);

/* credentials_profile.c: who is asked for a profile */

int credentials_files_read(struct credentials_run *run);
void credentials_files_free(struct credentials_run *run);

/* Is the profile in any file? */
bool credentials_profile_exists(const struct credentials_run *run,
				const char *name);

/* What the profile says; the credentials file goes before the config file. */
struct slice credentials_setting(const struct credentials_run *run,
				 const char *name, enum profile_setting what);

/* Points 2 to 6 of credentials.h. -ENOENT: nothing of it in the profile. */
int credentials_from_profile(struct credentials_run *run,
			     struct credentials **ret);

/* credentials.c. -ENOENT: no key id there. */
int credentials_from_environment(const struct credentials_run *run,
				 struct credentials **ret);

/* credentials_sts.c */

struct sts_field {
	const char *name;
	const char *value;		/* NULL: not sent; may be a secret */
};

struct sts_question {
	const char *action;		/* "AssumeRole" */
	const struct sts_field *fields;	/* to one without name */
	const struct credentials *by;	/* NULL: not signed */
	const char *role;		/* ARN, for sentences */
	const char *profile;		/* for sentences */
};

int credentials_ask_sts(struct credentials_run *run,
			const struct sts_question *q,
			struct credentials **ret);

/*
 * @name, or "envelope-HOST": the same each time, so that a grant can name the
 * session. For free(3). NULL: no memory.
 */
char *credentials_session_name(struct slice name);

/* credentials_web_identity.c. -ENOENT: no token file is named. */
int credentials_from_web_identity(struct credentials_run *run,
				  const char *profile, bool environment,
				  struct credentials **ret);

/* credentials_process.c. @own: nobody else can change @command's file. */
int credentials_from_process(struct credentials_run *run, const char *profile,
			     struct slice command, bool own,
			     struct credentials **ret);

/* credentials_container.c. -ENOENT: the environment names no endpoint. */
int credentials_from_container(struct credentials_run *run,
			       struct credentials **ret);

/*
 * credentials_imds.c. -ENOENT: switched off, or nobody answers, with the
 * reason in run->metadata; with @must that is an error, too.
 */
int credentials_from_imds(struct credentials_run *run, bool must,
			  struct credentials **ret);

#endif
