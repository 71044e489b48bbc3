// SPDX-License-Identifier: GPL-2.0-or-later
/* AWS credentials: which source applies, and when others are due. */
#include "credentials.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "credentials_private.h"
#include "log.h"

struct credentials_source {
	const struct credentials_query *query;
	struct credentials *now;	/* NULL: none yet */
	int64_t retry_s;		/* not before; CLOCK_REALTIME */
};

const char *credentials_env(const struct credentials_run *run,
			    const char *name)
{
	const char *value = run->query->environment ? getenv(name) : NULL;

	/* Empty is unset, as in the AWS programs. */
	return value && *value ? value : NULL;
}

static struct slice env_slice(const struct credentials_run *run,
			      const char *name)
{
	const char *value = credentials_env(run, name);

	return (struct slice){ value, value ? strlen(value) : 0 };
}

/*
 * The secret stays where the caller put it, in the environment; only our copy
 * is locked.
 */
int credentials_from_environment(const struct credentials_run *run,
				 struct credentials **ret)
{
	struct credentials_parts p = {
		.access_key_id = env_slice(run, "AWS_ACCESS_KEY_ID"),
		.secret_key = env_slice(run, "AWS_SECRET_ACCESS_KEY"),
		.session_token = env_slice(run, "AWS_SESSION_TOKEN"),
		.expiration = env_slice(run, "AWS_CREDENTIAL_EXPIRATION"),
	};

	if (p.access_key_id.len == 0)
		return -ENOENT;
	if (p.secret_key.len == 0) {
		log_error("AWS_ACCESS_KEY_ID is set but AWS_SECRET_ACCESS_KEY is not; set both or none");
		return -EHOSTUNREACH;
	}
	return credentials_make(&p, "the environment", ret);
}

static int none_found(const struct credentials_run *run)
{
	const char *variables = run->query->environment ?
		"set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or " : "";

	log_error("no credentials; %swrite aws_access_key_id and aws_secret_access_key of profile '%s' into %s%s%s%s",
		  variables, run->name, run->path[0],
		  run->metadata[0] ? " (no instance metadata service either: " :
				     "",
		  run->metadata, run->metadata[0] ? ")" : "");
	return -EHOSTUNREACH;
}

/* Points 2 to 8 of credentials.h. */
static int from_files_and_host(struct credentials_run *run,
			       struct credentials **ret)
{
	int r = credentials_files_read(run);

	if (r < 0)
		return r;
	if (run->query->profile &&
	    !credentials_profile_exists(run, run->name)) {
		log_error("profile '%s' is neither in %s nor in %s; write it there or choose another profile",
			  run->name, run->path[0], run->path[1]);
		return -EHOSTUNREACH;
	}
	r = credentials_from_profile(run, ret);
	if (r == -ENOENT)
		r = credentials_from_container(run, ret);
	if (r == -ENOENT)
		r = credentials_from_imds(run, false, ret);
	if (r == -ENOENT)
		r = none_found(run);
	return r;
}

int credentials_load(const struct credentials_query *query,
		     unsigned int timeout_ms, struct credentials **ret)
{
	struct credentials_run run = {
		.query = query,
		.name = query->profile ? query->profile : "default",
	};
	int r;

	/* What is spent already ends in the sentence of who needs time. */
	r = http_open(timeout_ms > 0 ? timeout_ms : 1, &run.http);
	if (r < 0)
		return r;
	r = -ENOENT;
	if (!query->profile_by_option)
		r = credentials_from_environment(&run, ret);
	if (r == -ENOENT)
		r = from_files_and_host(&run, ret);
	credentials_files_free(&run);
	http_close(run.http);
	return r;
}

int credentials_open(const struct credentials_query *query,
		     struct credentials_source **ret)
{
	struct credentials_source *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->query = query;
	*ret = s;
	return 0;
}

void credentials_close(struct credentials_source *s)
{
	if (!s)
		return;
	credentials_free(s->now);
	free(s);
}

void credentials_drop(struct credentials_source *s)
{
	credentials_free(s->now);
	s->now = NULL;
}

/* Seconds for which they are good, INT64_MAX: forever. */
static int64_t left_s(const struct credentials *c)
{
	return c->expires_s ? c->expires_s - credentials_now_s() : INT64_MAX;
}

static bool due(const struct credentials_source *s)
{
	if (!s->now)
		return true;
	if (left_s(s->now) <= 0)
		return true;
	return left_s(s->now) <= CREDENTIALS_REFRESH_S &&
	       credentials_now_s() >= s->retry_s;
}

static int refresh(struct credentials_source *s, unsigned int timeout_ms)
{
	struct credentials *fresh = NULL;
	int r;

	r = credentials_load(s->query, timeout_ms, &fresh);
	s->retry_s = credentials_now_s() + CREDENTIALS_RETRY_S;
	if (r == 0) {
		credentials_free(s->now);
		s->now = fresh;
		/* Later ones may not be there yet; or these last long. */
		if (left_s(fresh) > CREDENTIALS_REFRESH_S)
			s->retry_s = 0;
		return 0;
	}
	if (!s->now || left_s(s->now) <= 0) {
		credentials_drop(s);
		return r;
	}
	log_warn("the credentials from %s are used for the %lld seconds that they still last; asking for others again in %d s",
		 s->now->source, (long long)left_s(s->now),
		 CREDENTIALS_RETRY_S);
	return 0;
}

int credentials_get(struct credentials_source *s, unsigned int timeout_ms,
		    const struct credentials **ret)
{
	int r = due(s) ? refresh(s, timeout_ms) : 0;

	if (r == 0)
		*ret = s->now;
	return r;
}
