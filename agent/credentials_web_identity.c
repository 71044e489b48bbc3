// SPDX-License-Identifier: GPL-2.0-or-later
/* A role by a token that somebody else signed, as pods in Kubernetes have. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "credentials_private.h"
#include "log.h"

#define TOKEN_MAX_BYTES 20000	/* of AssumeRoleWithWebIdentity */

/* @variable, or what the profile says. NULL with 0: neither. */
static int choose(const struct credentials_run *run, const char *profile,
		  const char *variable, enum profile_setting what, char **ret)
{
	const char *value = variable ? credentials_env(run, variable) : NULL;
	struct slice s = { value, value ? strlen(value) : 0 };

	if (!value)
		s = credentials_setting(run, profile, what);
	*ret = s.len > 0 ? strndup(s.at, s.len) : NULL;
	return s.len > 0 && !*ret ? -ENOMEM : 0;
}

static int fault(const char *path, const char *what)
{
	log_error("web identity token file %s: %s", path, what);
	return -EHOSTUNREACH;
}

/* The token as a string, without the line's end that editors leave. */
static int read_token(const struct credentials_run *run, const char *path,
		      struct secret **ret)
{
	struct secret *text = NULL;
	size_t len;
	bool own;
	char *at;
	int r;

	r = credentials_file_read(path, &text, &own);
	if (r < 0)
		return r;
	if (!text)
		return fault(path, "missing; check who writes it");
	at = (char *)secret_bytes(text);
	len = strcspn(at, "\r\n");
	if (strspn(at + len, "\r\n") != strlen(at + len) || len == 0 ||
	    len > TOKEN_MAX_BYTES)
		r = fault(path, "not one line of at most 20000 bytes; check who writes it");
	else if (!own && !run->query->environment)
		r = fault(path, "others can change it, so it is not read; run chown root and chmod go-w on it");
	at[len] = '\0';
	if (r < 0)
		secret_free(text);
	else
		*ret = text;
	return r;
}

static int ask(struct credentials_run *run, const char *profile,
	       const char *role, const char *session, const char *path,
	       struct credentials **ret)
{
	struct secret *token = NULL;
	int r = read_token(run, path, &token);

	if (r == 0) {
		struct sts_field fields[] = {
			{ "RoleArn", role },
			{ "RoleSessionName", session },
			{ "WebIdentityToken",
			  (const char *)secret_cbytes(token) },
			{ 0 },
		};
		struct sts_question q = {
			.action = "AssumeRoleWithWebIdentity",
			.fields = fields,
			.role = role,
			.profile = profile,
		};

		r = credentials_ask_sts(run, &q, ret);
	}
	secret_free(token);
	return r;
}

int credentials_from_web_identity(struct credentials_run *run,
				  const char *profile, bool environment,
				  struct credentials **ret)
{
	char *path = NULL, *role = NULL, *name = NULL, *session = NULL;
	int r;

	r = choose(run, profile,
		   environment ? "AWS_WEB_IDENTITY_TOKEN_FILE" : NULL,
		   WEB_IDENTITY_TOKEN_FILE, &path);
	if (r == 0 && !path)
		return -ENOENT;
	if (r == 0)
		r = choose(run, profile, environment ? "AWS_ROLE_ARN" : NULL,
			   ROLE_ARN, &role);
	if (r == 0)
		r = choose(run, profile,
			   environment ? "AWS_ROLE_SESSION_NAME" : NULL,
			   ROLE_SESSION_NAME, &name);
	if (r == 0 && !role)
		r = fault(path, environment ?
			  "no role goes with it; set AWS_ROLE_ARN or role_arn" :
			  "no role goes with it; set role_arn");
	if (r == 0) {
		session = credentials_session_name((struct slice){
			name, name ? strlen(name) : 0 });
		r = session ? ask(run, profile, role, session, path, ret) :
			      -ENOMEM;
	}
	free(path);
	free(role);
	free(name);
	free(session);
	return r;
}
