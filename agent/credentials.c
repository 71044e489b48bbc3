// SPDX-License-Identifier: GPL-2.0-or-later
/* AWS credentials: which source applies, and what is wrong with it. */
#include "credentials.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "credentials_file.h"
#include "log.h"

#define KEY_ID_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

void credentials_free(struct credentials *c)
{
	if (!c)
		return;
	free(c->access_key_id);
	secret_free(c->secret_key);
	secret_free(c->session_token);
	free(c->source);
	free(c);
}

/* They become header lines: no control characters, no blanks within. */
static bool printable(struct slice s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if (s.at[i] <= ' ' || s.at[i] > '~')
			return false;
	return true;
}

static bool key_id_valid(struct slice s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if (s.at[i] == '\0' || !strchr(KEY_ID_CHARS, s.at[i]))
			return false;
	return s.len <= 128;
}

static int copy_secret(struct slice s, struct secret **ret)
{
	struct secret *secret = secret_new(s.len + 1);

	if (!secret) {
		log_error("credentials: no locked memory for them: %s",
			  strerror(errno));
		return -ENOMEM;
	}
	memcpy(secret_bytes(secret), s.at, s.len);
	*ret = secret;
	return 0;
}

/* Copies out of @p, which points into a buffer that is about to be wiped. */
static int build(const struct profile *p, const char *source,
		 struct credentials **ret)
{
	struct credentials *c = NULL;
	int r = -EHOSTUNREACH;

	if (!key_id_valid(p->access_key_id) || !printable(p->secret_key) ||
	    !printable(p->session_token)) {
		log_error("%s: the credentials have characters that no AWS key has; copy them again",
			  source);
		goto out;
	}
	r = -ENOMEM;
	c = calloc(1, sizeof(*c));
	if (!c)
		goto out;
	c->access_key_id = strndup(p->access_key_id.at, p->access_key_id.len);
	c->source = strdup(source);
	if (!c->access_key_id || !c->source)
		goto out;
	r = copy_secret(p->secret_key, &c->secret_key);
	if (r == 0 && p->session_token.len > 0)
		r = copy_secret(p->session_token, &c->session_token);
	if (r < 0)
		goto out;
	*ret = c;
	c = NULL;
out:
	credentials_free(c);
	return r;
}

static struct slice env_slice(const char *name)
{
	const char *value = getenv(name);
	struct slice s = { value, value ? strlen(value) : 0 };

	return s;
}

/*
 * -ENOENT when the environment has no key id. The secret stays where the
 * caller put it, in the environment; only our copy is locked.
 */
static int from_environment(struct credentials **ret)
{
	struct profile p = {
		.access_key_id = env_slice("AWS_ACCESS_KEY_ID"),
		.secret_key = env_slice("AWS_SECRET_ACCESS_KEY"),
		.session_token = env_slice("AWS_SESSION_TOKEN"),
	};

	if (p.access_key_id.len == 0)
		return -ENOENT;
	if (p.secret_key.len == 0) {
		log_error("AWS_ACCESS_KEY_ID is set but AWS_SECRET_ACCESS_KEY is not; set both or none");
		return -EHOSTUNREACH;
	}
	return build(&p, "the environment", ret);
}

/* ~/ is the effective user's home; HOME counts where the environment does. */
static int default_path(const char *variable, const char *tail,
			bool environment, char **ret)
{
	const char *named = environment ? getenv(variable) : NULL;
	const char *home = environment ? getenv("HOME") : NULL;
	struct passwd *pw;
	int n;

	if (!home || !*home) {
		pw = getpwuid(geteuid());
		home = pw ? pw->pw_dir : "/root";
	}
	if (named && strncmp(named, "~/", 2) == 0)
		n = asprintf(ret, "%s/%s", home, named + 2);
	else if (named && *named)
		n = asprintf(ret, "%s", named);
	else
		n = asprintf(ret, "%s/.aws/%s", home, tail);
	if (n < 0)
		*ret = NULL;
	return n < 0 ? -ENOMEM : 0;
}

/* Both files with what they say about one profile. */
struct files {
	char *path[2];			/* credentials, config */
	struct secret *text[2];
	struct profile profile[2];
};

static void files_free(struct files *f)
{
	size_t i;

	for (i = 0; i < 2; i++) {
		free(f->path[i]);
		secret_free(f->text[i]);
	}
}

static int files_read(struct files *f, const char *profile, bool environment)
{
	size_t i;
	int r;

	r = default_path("AWS_SHARED_CREDENTIALS_FILE", "credentials",
			 environment, &f->path[0]);
	if (r == 0)
		r = default_path("AWS_CONFIG_FILE", "config", environment,
				 &f->path[1]);
	for (i = 0; r == 0 && i < 2; i++) {
		r = credentials_file_read(f->path[i], &f->text[i]);
		if (r == 0 && f->text[i])
			credentials_file_find(f->text[i], i == 1, profile,
					      &f->profile[i]);
	}
	return r;
}

/* A source of credentials that botocore would ask and this chain does not. */
static const char *other_source(const struct files *f)
{
	size_t i;

	for (i = 0; i < 2; i++)
		if (f->profile[i].role)
			return "role_arn";
	for (i = 0; i < 2; i++)
		if (f->profile[i].sso)
			return "sso";
	if (f->profile[0].access_key_id.len > 0)
		return NULL;
	for (i = 0; i < 2; i++)
		if (f->profile[i].process)
			return "credential_process";
	return NULL;
}

static int none_found(const struct files *f,
		      const struct credentials_query *query)
{
	if (query->profile && !f->profile[0].found && !f->profile[1].found)
		log_error("profile '%s' is neither in %s nor in %s; write it there or choose another profile",
			  query->profile, f->path[0], f->path[1]);
	else if (query->environment)
		log_error("no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write aws_access_key_id and aws_secret_access_key of profile '%s' into %s",
			  query->profile ? query->profile : "default",
			  f->path[0]);
	else
		log_error("no credentials; write aws_access_key_id and aws_secret_access_key of profile '%s' into %s",
			  query->profile ? query->profile : "default",
			  f->path[0]);
	return -EHOSTUNREACH;
}

/* The pair from one file; botocore does not mix files either. */
static int from_profile(const struct files *f, size_t i, const char *name,
			struct credentials **ret)
{
	char *source;
	int r;

	if (f->profile[i].secret_key.len == 0) {
		log_error("profile '%s' in %s has aws_access_key_id but no aws_secret_access_key; write both",
			  name, f->path[i]);
		return -EHOSTUNREACH;
	}
	if (asprintf(&source, "profile '%s' in %s", name, f->path[i]) < 0)
		return -ENOMEM;
	r = build(&f->profile[i], source, ret);
	free(source);
	return r;
}

static int from_files(const struct credentials_query *query,
		      struct credentials **ret)
{
	const char *name = query->profile ? query->profile : "default";
	struct files f = { 0 };
	const char *other;
	int r;

	r = files_read(&f, name, query->environment);
	if (r < 0)
		goto out;
	other = other_source(&f);
	if (other) {
		log_error("profile '%s' gets its credentials by %s, and only keys written in %s can be used; write a profile with keys there",
			  name, other, f.path[0]);
		r = -EHOSTUNREACH;
	} else if (f.profile[0].access_key_id.len > 0) {
		r = from_profile(&f, 0, name, ret);
	} else if (f.profile[1].access_key_id.len > 0) {
		r = from_profile(&f, 1, name, ret);
	} else {
		r = none_found(&f, query);
	}
out:
	files_free(&f);
	return r;
}

int credentials_load(const struct credentials_query *query,
		     struct credentials **ret)
{
	int r = -ENOENT;

	if (query->environment && !query->profile_by_option)
		r = from_environment(ret);
	if (r == -ENOENT)
		r = from_files(query, ret);
	return r;
}
