// SPDX-License-Identifier: GPL-2.0-or-later
/* A profile of the AWS files: which source it names, and roles over it. */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "credentials_private.h"
#include "log.h"

/* Profiles that assumed roles led through, the first one first. */
struct chain {
	const char *name[CREDENTIALS_MAX_CHAIN];
	size_t count;
};

/*
 * ~/ is the effective user's home; HOME counts where the environment does. A
 * daemon, which may not see homes, has its files with its configuration.
 */
static int default_path(const struct credentials_run *run,
			const char *variable, const char *tail, char **ret)
{
	const char *named = credentials_env(run, variable);
	const char *home = credentials_env(run, "HOME");
	struct passwd *pw;
	int n;

	if (!home) {
		pw = getpwuid(geteuid());
		home = pw ? pw->pw_dir : "/root";
	}
	if (named && strncmp(named, "~/", 2) == 0)
		n = asprintf(ret, "%s/%s", home, named + 2);
	else if (named)
		n = asprintf(ret, "%s", named);
	else if (!run->query->environment &&
		 access(CREDENTIALS_DAEMON_FOLDER, F_OK) == 0)
		n = asprintf(ret, CREDENTIALS_DAEMON_FOLDER "/%s", tail);
	else
		n = asprintf(ret, "%s/.aws/%s", home, tail);
	if (n < 0)
		*ret = NULL;
	return n < 0 ? -ENOMEM : 0;
}

void credentials_files_free(struct credentials_run *run)
{
	size_t i;

	for (i = 0; i < 2; i++) {
		free(run->path[i]);
		secret_free(run->text[i]);
		run->path[i] = NULL;
		run->text[i] = NULL;
	}
}

int credentials_files_read(struct credentials_run *run)
{
	size_t i;
	int r;

	r = default_path(run, "AWS_SHARED_CREDENTIALS_FILE", "credentials",
			 &run->path[0]);
	if (r == 0)
		r = default_path(run, "AWS_CONFIG_FILE", "config",
				 &run->path[1]);
	for (i = 0; r == 0 && i < 2; i++) {
		r = credentials_file_read(run->path[i], &run->text[i],
					  &run->own[i]);
		if (r == 0 && !run->own[i] && !run->query->environment) {
			log_error("%s: others can change it, so it is not read; run chown root and chmod go-w on it",
				  run->path[i]);
			r = -EHOSTUNREACH;
		}
	}
	return r;
}

static struct profile look(const struct credentials_run *run, size_t file,
			   const char *name)
{
	struct profile p = { 0 };

	if (run->text[file])
		credentials_file_find(run->text[file], file == 1, name, &p);
	return p;
}

bool credentials_profile_exists(const struct credentials_run *run,
				const char *name)
{
	return look(run, 0, name).found || look(run, 1, name).found;
}

/* The file that says it, in *@file_ret if wanted. */
static struct slice setting(const struct credentials_run *run,
			    const char *name, enum profile_setting what,
			    size_t *file_ret)
{
	struct profile p = look(run, 0, name);
	size_t file = p.value[what].len > 0 ? 0 : 1;

	if (file == 1)
		p = look(run, 1, name);
	if (file_ret)
		*file_ret = file;
	return p.value[what];
}

struct slice credentials_setting(const struct credentials_run *run,
				 const char *name, enum profile_setting what)
{
	return setting(run, name, what, NULL);
}

static bool has(const struct credentials_run *run, const char *name,
		enum profile_setting what)
{
	return credentials_setting(run, name, what).len > 0;
}

/* The pair from one file; botocore does not mix files either. */
static int from_keys(struct credentials_run *run, size_t file,
		     const char *name, struct credentials **ret)
{
	struct profile p = look(run, file, name);
	struct credentials_parts parts = {
		.access_key_id = p.value[ACCESS_KEY_ID],
		.secret_key = p.value[SECRET_KEY],
		.session_token = p.value[SESSION_TOKEN],
	};
	char *source;
	int r;

	if (parts.access_key_id.len == 0)
		return -ENOENT;
	if (parts.secret_key.len == 0) {
		log_error("profile '%s' in %s has aws_access_key_id but no aws_secret_access_key; write both",
			  name, run->path[file]);
		return -EHOSTUNREACH;
	}
	if (asprintf(&source, "profile '%s' in %s", name,
		     run->path[file]) < 0)
		return -ENOMEM;
	r = credentials_make(&parts, source, ret);
	free(source);
	return r;
}

static int from_process(struct credentials_run *run, const char *name,
			struct credentials **ret)
{
	size_t file;
	struct slice command = setting(run, name, CREDENTIAL_PROCESS, &file);

	if (command.len == 0)
		return -ENOENT;
	return credentials_from_process(run, name, command, run->own[file],
					ret);
}

static int refuse_sso(const struct credentials_run *run, const char *name)
{
	if (!has(run, name, SSO_START_URL) && !has(run, name, SSO_SESSION))
		return -ENOENT;
	log_error("profile '%s' gets its credentials by sso, which needs a browser; use a profile with credential_process = aws configure export-credentials --profile %s",
		  name, name);
	return -EHOSTUNREACH;
}

/* Points 3 to 6 of credentials.h. */
static int from_own_sources(struct credentials_run *run, const char *name,
			    bool environment, struct credentials **ret)
{
	int r;

	r = credentials_from_web_identity(run, name, environment, ret);
	if (r == -ENOENT)
		r = refuse_sso(run, name);
	if (r == -ENOENT)
		r = from_keys(run, 0, name, ret);
	if (r == -ENOENT)
		r = from_process(run, name, ret);
	if (r == -ENOENT)
		r = from_keys(run, 1, name, ret);
	return r;
}

static bool assumes_role(const struct credentials_run *run, const char *name)
{
	return has(run, name, ROLE_ARN) &&
	       !has(run, name, WEB_IDENTITY_TOKEN_FILE);
}

static bool has_keys(const struct credentials_run *run, const char *name)
{
	return has(run, name, ACCESS_KEY_ID) || has(run, name, SECRET_KEY);
}

static int role_fault(const char *name, const char *what)
{
	log_error("profile '%s': %s", name, what);
	return -EHOSTUNREACH;
}

/* credential_source = @what: not the profile, but this host. */
static int from_host(struct credentials_run *run, const char *name,
		     const char *what, struct credentials **ret)
{
	bool in_env = strcmp(what, "Environment") == 0;
	int r = -ENOENT;

	if (strcmp(what, "Ec2InstanceMetadata") == 0)
		return credentials_from_imds(run, true, ret);
	if (!in_env && strcmp(what, "EcsContainer") != 0)
		return role_fault(name, "credential_source is Environment, EcsContainer or Ec2InstanceMetadata; write one of them");
	if (!run->query->environment)
		return role_fault(name, "credential_source is in the environment, which is not read here; use Ec2InstanceMetadata or source_profile");
	r = in_env ? credentials_from_environment(run, ret) :
		     credentials_from_container(run, ret);
	if (r == -ENOENT)
		r = role_fault(name, "the environment has nothing for its credential_source; set the variables or choose another source");
	return r;
}

static int assume(struct credentials_run *run, struct chain *chain,
		  const char *name, struct credentials **ret);

static int extend(struct chain *chain, const char *name)
{
	if (chain->count == CREDENTIALS_MAX_CHAIN)
		return role_fault(chain->name[0], "its source_profile leads through too many profiles; shorten the chain");
	chain->name[chain->count++] = name;
	return 0;
}

/* A profile may name itself for the keys in it, but not lead in circles. */
static bool in_circle(const struct credentials_run *run,
		      const struct chain *chain, const char *from,
		      const char *to)
{
	size_t i;

	for (i = 0; i < chain->count; i++)
		if (strcmp(chain->name[i], to) == 0)
			return strcmp(from, to) != 0 || !has_keys(run, to);
	return false;
}

static int from_source_profile(struct credentials_run *run,
			       struct chain *chain, const char *name,
			       const char *source, struct credentials **ret)
{
	int r;

	if (!credentials_profile_exists(run, source)) {
		log_error("profile '%s': its source_profile '%s' is neither in %s nor in %s; write it there",
			  name, source, run->path[0], run->path[1]);
		return -EHOSTUNREACH;
	}
	if (in_circle(run, chain, name, source))
		return role_fault(name, "its source_profile leads back to where it came from; name one with credentials");
	r = extend(chain, source);
	if (r < 0)
		return r;
	if (!has_keys(run, source) && assumes_role(run, source))
		return assume(run, chain, source, ret);
	r = from_own_sources(run, source, false, ret);
	if (r == -ENOENT) {
		log_error("profile '%s': its source_profile '%s' has no credentials; write them there",
			  name, source);
		r = -EHOSTUNREACH;
	}
	return r;
}

/* As whom the role of profile @name is assumed. */
static int role_source(struct credentials_run *run, struct chain *chain,
		       const char *name, struct credentials **ret)
{
	struct slice profile = credentials_setting(run, name, SOURCE_PROFILE);
	struct slice host = credentials_setting(run, name, CREDENTIAL_SOURCE);
	struct slice one = profile.len > 0 ? profile : host;
	char *text;
	int r;

	if (profile.len > 0 && host.len > 0)
		return role_fault(name, "it has both source_profile and credential_source; remove one");
	if (one.len == 0)
		return role_fault(name, "it has role_arn but neither source_profile nor credential_source; add one");
	text = strndup(one.at, one.len);
	if (!text)
		return -ENOMEM;
	r = profile.len > 0 ?
	    from_source_profile(run, chain, name, text, ret) :
	    from_host(run, name, text, ret);
	/* The chain keeps no name longer than its profile is asked. */
	free(text);
	return r;
}

/* What a role's profile says about the session, as text of its own. */
struct role {
	char *arn, *session_name, *external_id, *duration;
};

static void role_free(struct role *role)
{
	free(role->arn);
	free(role->session_name);
	free(role->external_id);
	free(role->duration);
}

static int copy(struct slice s, char **ret)
{
	if (s.len == 0)
		return 0;
	*ret = strndup(s.at, s.len);
	return *ret ? 0 : -ENOMEM;
}

static int role_read(const struct credentials_run *run, const char *name,
		     struct role *role)
{
	struct slice duration = credentials_setting(run, name,
						    DURATION_SECONDS);
	unsigned int seconds;
	int r;

	if (has(run, name, MFA_SERIAL))
		return role_fault(name, "mfa_serial asks for a code that nobody is here to type; use a profile with credential_process = aws configure export-credentials");
	if (duration.len > 0 &&
	    credentials_number(duration, 900, 43200, &seconds) < 0)
		return role_fault(name, "duration_seconds is a number from 900 to 43200; correct it");
	r = copy(credentials_setting(run, name, ROLE_ARN), &role->arn);
	if (r == 0)
		r = copy(credentials_setting(run, name, EXTERNAL_ID),
			 &role->external_id);
	if (r == 0)
		r = copy(duration, &role->duration);
	if (r == 0)
		role->session_name = credentials_session_name(
			credentials_setting(run, name, ROLE_SESSION_NAME));
	return r == 0 && !role->session_name ? -ENOMEM : r;
}

static int assume(struct credentials_run *run, struct chain *chain,
		  const char *name, struct credentials **ret)
{
	struct credentials *by = NULL;
	struct role role = { 0 };
	int r;

	r = role_read(run, name, &role);
	if (r == 0)
		r = role_source(run, chain, name, &by);
	if (r == 0) {
		struct sts_field fields[] = {
			{ "RoleArn", role.arn },
			{ "RoleSessionName", role.session_name },
			{ "DurationSeconds", role.duration },
			{ "ExternalId", role.external_id },
			{ 0 },
		};
		struct sts_question q = {
			.action = "AssumeRole",
			.fields = fields,
			.by = by,
			.role = role.arn,
			.profile = name,
		};

		r = credentials_ask_sts(run, &q, ret);
	}
	role_free(&role);
	credentials_free(by);
	return r;
}

int credentials_from_profile(struct credentials_run *run,
			     struct credentials **ret)
{
	struct chain chain = { { run->name }, 1 };

	if (assumes_role(run, run->name))
		return assume(run, &chain, run->name, ret);
	return from_own_sources(run, run->name,
				!run->query->profile_by_option, ret);
}
