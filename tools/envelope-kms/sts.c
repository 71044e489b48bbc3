// SPDX-License-Identifier: GPL-2.0-or-later
/* STS operations. */
#include "sts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "access_key.h"
#include "authz.h"
#include "params.h"
#include "policy.h"
#include "session.h"

#define DURATION_MIN 900
#define DURATION_MAX 43200
#define DURATION_USUAL 3600
#define NAME_CHARS "abcdefghijklmnopqrstuvwxyz" \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+=,.@-"

static int op_get_caller_identity(struct call *c)
{
	const struct user_row *user = &c->who.user;

	/* No permission is asked for: one may always know who one is. */
	c->answer = json_pack("{s:s, s:s, s:s}", "Arn", user->arn, "UserId",
			      user->user_id, "Account", user->account);
	return c->answer ? 0 : -ENOMEM;
}

struct assume {
	const char *role_arn, *name, *policy;
	int64_t seconds;
};

static int read_assume(struct call *c, struct assume *a)
{
	const char *seconds = param_string(c, "DurationSeconds",
					   PARAM_OPTIONAL, 1, 10);

	a->role_arn = param_string(c, "RoleArn", PARAM_REQUIRED, 20, 2048);
	a->name = param_string(c, "RoleSessionName", PARAM_REQUIRED, 2, 64);
	a->policy = param_string(c, "Policy", PARAM_OPTIONAL, 1,
				 SESSION_POLICY_BYTES - 1);
	param_string(c, "ExternalId", PARAM_OPTIONAL, 2, 1224);
	a->seconds = seconds ? atoll(seconds) : DURATION_USUAL;
	if (a->name && a->name[strspn(a->name, NAME_CHARS)])
		param_violation(c, "RoleSessionName", a->name,
				"satisfy regular expression pattern: [\\w+=,.@-]*");
	if (a->seconds < DURATION_MIN)
		param_violation(c, "DurationSeconds", seconds,
				"have value greater than or equal to %d",
				DURATION_MIN);
	else if (a->seconds > DURATION_MAX)
		param_violation(c, "DurationSeconds", seconds,
				"have value less than or equal to %d",
				DURATION_MAX);
	return params_check(c);
}

static int refuse(struct call *c, const char *role_arn)
{
	return call_fail(c, ERR_ACCESS_DENIED,
			 "User: %s is not authorized to perform: sts:AssumeRole on resource: %s",
			 c->who.user.arn, role_arn);
}

/* arn:aws:iam::ACCOUNT:role/NAME. One that is not there is one denied. */
static int find_role(struct call *c, const char *arn, struct role_row *ret)
{
	static const char prefix[] = "arn:aws:iam::", middle[] = ":role/";
	const char *rest = arn + sizeof(prefix) - 1;
	char account[ACCOUNT_BYTES];
	int rc;

	if (strncmp(arn, prefix, sizeof(prefix) - 1) != 0 ||
	    strspn(rest, "0123456789") != ACCOUNT_BYTES - 1 ||
	    strncmp(rest + ACCOUNT_BYTES - 1, middle,
		    sizeof(middle) - 1) != 0)
		return call_fail(c, ERR_VALIDATION, "%s is invalid", arn);
	snprintf(account, sizeof(account), "%s", rest);
	rest += ACCOUNT_BYTES - 1 + sizeof(middle) - 1;
	rc = store_role_get(c->server->store, account, rest, ret);
	return rc == -ENOENT ? refuse(c, arn) : rc;
}

static int check_policy(struct call *c, const char *text)
{
	char why[POLICY_WHY_BYTES];
	struct policy *p = NULL;
	int rc;

	if (!text)
		return 0;
	rc = policy_parse(text, strlen(text), POLICY_IDENTITY, &p, why);
	policy_free(p);
	return rc == -EBADMSG ? call_fail(c, ERR_MALFORMED_POLICY, "%s", why) :
				rc;
}

static int check_duration(struct call *c, const struct assume *a,
			  const struct role_row *role)
{
	if (c->who.role_arn[0] && a->seconds > DURATION_USUAL)
		return call_fail(c, ERR_VALIDATION,
				 "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.");
	if (a->seconds > role->max_seconds)
		return call_fail(c, ERR_VALIDATION,
				 "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.");
	return 0;
}

static int answer_session(struct call *c, const struct session *s,
			  const char *id, const char *token)
{
	time_t expiry = (time_t)s->expiry_seconds;
	char text[32], arn[256], unique[160];
	struct tm tm;

	gmtime_r(&expiry, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	snprintf(arn, sizeof(arn), "arn:aws:sts::%s:assumed-role/%s/%s",
		 s->account, s->role, s->name);
	snprintf(unique, sizeof(unique), "%s:%s", s->role_id, s->name);
	c->answer = json_pack("{s:{s:s, s:s}, s:{s:s, s:s, s:s}}",
			      "AssumedRoleUser", "Arn", arn, "AssumedRoleId",
			      unique, "Credentials", "AccessKeyId", id,
			      "SessionToken", token, "Expiration", text);
	c->response_elements =
		json_pack("{s:{s:s, s:s}, s:{s:s, s:s}}", "assumedRoleUser",
			  "arn", arn, "assumedRoleId", unique, "credentials",
			  "accessKeyId", id, "expiration", text);
	return c->answer && c->response_elements ? 0 : -ENOMEM;
}

/* Where the session came from, which it does not outlive. */
static int set_origin(struct call *c, struct session *s)
{
	const struct identity *who = &c->who;

	strcpy(s->began_by, who->role_arn[0] ? who->began_by :
					       who->access_key_id);
	if (!who->chain)
		return 0;
	if (strlen(who->chain) >= sizeof(s->chain))
		return call_fail(c, ERR_VALIDATION,
				 "The chain of assumed roles is too long.");
	strcpy(s->chain, who->chain);
	return 0;
}

static int make_session(struct call *c, const struct assume *a,
			const struct role_row *role)
{
	struct session s = { .issued_seconds = server_now_ms() / 1000 };
	struct secret *key = NULL;
	char id[UNIQUE_ID_BYTES], *token = NULL;
	int rc = unique_id("ASIA", id);

	strcpy(s.account, role->account);
	strcpy(s.role, role->name);
	strcpy(s.role_id, role->role_id);
	snprintf(s.name, sizeof(s.name), "%s", a->name);
	snprintf(s.policy, sizeof(s.policy), "%s", a->policy ? a->policy : "");
	s.expiry_seconds = s.issued_seconds + a->seconds;
	if (rc == 0)
		rc = set_origin(c, &s);
	if (rc == 0)
		rc = secret_key_new(&key);
	if (rc == 0)
		rc = session_seal(c->server->root, &s, id, key, &token);
	if (rc == 0)
		rc = answer_session(c, &s, id, token);
	if (rc == 0) {
		c->plaintext = key;
		key = NULL;
	}
	secret_free(key);
	free(token);
	return rc;
}

static int op_assume_role(struct call *c)
{
	struct facts f = { .action = "sts:AssumeRole" };
	struct role_row role = { .trust = NULL };
	struct assume a;
	int rc = read_assume(c, &a);

	if (rc == 0 && (param_given(c, "PolicyArns.member.1.arn") ||
			param_given(c, "Tags.member.1.Key")))
		rc = call_fail(c, ERR_VALIDATION,
			       "This server does not offer PolicyArns and Tags.");
	if (rc == 0)
		rc = check_policy(c, a.policy);
	if (rc == 0)
		rc = find_role(c, a.role_arn, &role);
	if (rc == 0)
		rc = authorise_role(c, &f, a.role_arn, &role);
	if (rc > 0)
		rc = check_duration(c, &a, &role);
	else if (rc == 0)
		rc = refuse(c, a.role_arn);
	if (rc == 0)
		rc = make_session(c, &a, &role);
	role_row_free(&role);
	return rc;
}

static const struct operation operations[] = {
	{ .name = "AssumeRole", .handle = op_assume_role,
	  .logged = "RoleArn RoleSessionName DurationSeconds ExternalId Policy" },
	{ .name = "GetCallerIdentity", .handle = op_get_caller_identity,
	  .logged = "", .read_only = true },
};

bool sts_is_request(const struct sigv4_request *r)
{
	static const char form[] = "application/x-www-form-urlencoded";
	const char *type;

	/* One with more headers than were kept is refused, and not searched. */
	if (r->header_count > SIGV4_HEADERS_MAX)
		return false;
	type = sigv4_header(r, "content-type");
	return type && strncasecmp(type, form, sizeof(form) - 1) == 0;
}

static int hex_digit(char c)
{
	const char *digits = "0123456789abcdef", *p;

	p = c ? strchr(digits, c | 0x20) : NULL;
	return p ? (int)(p - digits) : -1;
}

/* Undoes %XX and +, in place. False: not a form's text, or a NUL in it. */
static bool decode(char *text)
{
	char *out = text;

	for (; *text; text++) {
		if (*text == '%') {
			int high = hex_digit(text[1]);
			int low = high < 0 ? -1 : hex_digit(text[2]);

			if (low < 0 || (high == 0 && low == 0))
				return false;
			*out++ = (char)(high << 4 | low);
			text += 2;
		} else {
			*out++ = *text == '+' ? ' ' : *text;
		}
	}
	*out = '\0';
	return true;
}

/* NULL: not a form, or one with a name twice. */
static json_t *read_form(char *text)
{
	json_t *params = json_object();
	char *pair, *rest = text;

	while (params && (pair = strsep(&rest, "&"))) {
		char *value = strchr(pair, '=');

		if (!*pair)
			continue;
		if (value)
			*value++ = '\0';
		else
			value = pair + strlen(pair);
		if (!decode(pair) || !decode(value) ||
		    json_object_get(params, pair) ||
		    json_object_set_new(params, pair,
					json_string(value)) < 0) {
			json_decref(params);
			return NULL;
		}
	}
	return params;
}

void sts_read(struct call *c, const char *body, size_t bytes)
{
	char *text = malloc(bytes + 1);
	const char *action;
	size_t i;

	c->target = "Unknown";
	c->source = "sts.amazonaws.com";
	if (!text)
		return;
	memcpy(text, body, bytes);
	text[bytes] = '\0';
	c->params = strlen(text) == bytes ? read_form(text) : NULL;
	free(text);
	action = json_string_value(json_object_get(c->params, "Action"));
	for (i = 0; action && i < 2; i++) {
		if (strcmp(operations[i].name, action) != 0)
			continue;
		c->operation = &operations[i];
		c->target = operations[i].name;
	}
}
