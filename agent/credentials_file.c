// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The AWS credentials and config files, in the dialect of Python's
 * configparser, which botocore reads them with: = or : behind a name, # or ;
 * in front of a comment, deeper indented lines belong to the one above.
 */
#include "credentials_file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "credentials.h"
#include "log.h"

static bool is_own(const struct stat *st)
{
	return (st->st_uid == 0 || st->st_uid == geteuid()) &&
	       (st->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

int credentials_file_read(const char *path, struct secret **ret,
			  bool *own_ret)
{
	/* A pipe without a writer would be waited for without end. */
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct secret *text = NULL;
	struct stat st;
	size_t used = 0;
	ssize_t n = 1;
	int r = -EHOSTUNREACH;

	*ret = NULL;
	*own_ret = true;
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0) {
		log_error("%s: cannot be opened: %s", path, strerror(errno));
		goto out;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > CREDENTIALS_FILE_MAX_BYTES) {
		log_error("%s: not a file of at most %d bytes", path,
			  CREDENTIALS_FILE_MAX_BYTES);
		goto out;
	}
	text = secret_new(st.st_size + 1);
	if (!text) {
		log_error("%s: no locked memory for it: %s", path,
			  strerror(errno));
		r = -ENOMEM;
		goto out;
	}
	while (n > 0 && used < (size_t)st.st_size) {
		n = read(fd, secret_bytes(text) + used, st.st_size - used);
		if (n < 0) {
			log_error("%s: cannot be read: %s", path,
				  strerror(errno));
			goto out;
		}
		used += n;
	}
	*ret = text;
	*own_ret = is_own(&st);
	text = NULL;
	r = 0;
out:
	secret_free(text);
	if (fd >= 0)
		close(fd);
	return r;
}

static struct slice trim(struct slice s)
{
	while (s.len > 0 && isspace((unsigned char)s.at[0])) {
		s.at++;
		s.len--;
	}
	while (s.len > 0 && isspace((unsigned char)s.at[s.len - 1]))
		s.len--;
	return s;
}

static bool is(struct slice s, const char *text)
{
	return s.len == strlen(text) && strncasecmp(s.at, text, s.len) == 0;
}

/* [NAME]; in the config file [default] or [profile NAME], perhaps quoted. */
static bool is_section(struct slice line, bool config, const char *name)
{
	const char *end = memrchr(line.at, ']', line.len);
	struct slice s = { line.at + 1, end ? end - line.at - 1 : 0 };

	if (config && !(s.len == 7 && strncmp(s.at, "default", 7) == 0)) {
		if (s.len < 8 || strncmp(s.at, "profile", 7) != 0 ||
		    !isspace((unsigned char)s.at[7]))
			return false;
		s.at += 7;
		s.len -= 7;
		s = trim(s);
		if (s.len >= 2 && (s.at[0] == '"' || s.at[0] == '\'') &&
		    s.at[s.len - 1] == s.at[0]) {
			s.at++;
			s.len -= 2;
		}
	}
	return s.len == strlen(name) && memcmp(s.at, name, s.len) == 0;
}

static const char *const settings[PROFILE_SETTINGS] = {
	[ACCESS_KEY_ID] = "aws_access_key_id",
	[SECRET_KEY] = "aws_secret_access_key",
	[SESSION_TOKEN] = "aws_session_token",
	[ROLE_ARN] = "role_arn",
	[SOURCE_PROFILE] = "source_profile",
	[CREDENTIAL_SOURCE] = "credential_source",
	[ROLE_SESSION_NAME] = "role_session_name",
	[EXTERNAL_ID] = "external_id",
	[DURATION_SECONDS] = "duration_seconds",
	[MFA_SERIAL] = "mfa_serial",
	[WEB_IDENTITY_TOKEN_FILE] = "web_identity_token_file",
	[CREDENTIAL_PROCESS] = "credential_process",
	[SSO_START_URL] = "sso_start_url",
	[SSO_SESSION] = "sso_session",
	[METADATA_ENDPOINT] = "ec2_metadata_service_endpoint",
	[METADATA_MODE] = "ec2_metadata_service_endpoint_mode",
	[METADATA_TIMEOUT] = "metadata_service_timeout",
	[METADATA_ATTEMPTS] = "metadata_service_num_attempts",
};

static void take(struct slice line, struct profile *p)
{
	size_t at = 0;
	struct slice name, value;
	size_t i;

	while (at < line.len && line.at[at] != '=' && line.at[at] != ':')
		at++;
	if (at == line.len)
		return;
	name = trim((struct slice){ line.at, at });
	value = trim((struct slice){ line.at + at + 1, line.len - at - 1 });
	for (i = 0; i < PROFILE_SETTINGS; i++)
		if (is(name, settings[i]))
			p->value[i] = value;
}

/* The next line, without its end; false behind the last one. */
static bool next_line(const char **at, struct slice *ret)
{
	size_t len = strcspn(*at, "\n");

	if (**at == '\0')
		return false;
	*ret = (struct slice){ *at, len };
	*at += len + ((*at)[len] == '\n');
	return true;
}

void credentials_file_find(const struct secret *text, bool config,
			   const char *name, struct profile *ret)
{
	const char *at = (const char *)secret_cbytes(text);
	bool inside = false;	/* in the section that is asked for */
	bool option = false;	/* an option stands above, in this section */
	size_t indent = 0;	/* of that option */
	struct profile p = { 0 };
	struct slice raw, line;

	while (next_line(&at, &raw)) {
		line = trim(raw);
		if (line.len == 0 || line.at[0] == '#' || line.at[0] == ';')
			continue;
		if (option && (size_t)(line.at - raw.at) > indent)
			continue;
		indent = line.at - raw.at;
		option = line.at[0] != '[';
		if (!option) {
			inside = is_section(line, config, name);
			p.found |= inside;
		} else if (inside) {
			take(line, &p);
		}
	}
	*ret = p;
}
