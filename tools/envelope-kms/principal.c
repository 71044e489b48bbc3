// SPDX-License-Identifier: GPL-2.0-or-later
/* Principals by ARN: their shapes, whether they exist, and who they were. */
#include "principal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_memory.h"
#include "store_identities.h"

static int invalid(struct call *c, const char *arn)
{
	return call_fail(c, ERR_INVALID_ARN,
			 "ARN does not refer to a valid principal: %s", arn);
}

/*
 * The part of arn:aws:SERVICE::ACCOUNT:REST behind @prefix
 * ("arn:aws:iam::"), its account in @account. NULL: not of that form.
 */
static const char *split(const char *arn, const char *prefix,
			 char account[static ACCOUNT_BYTES])
{
	size_t n = strlen(prefix);

	if (strncmp(arn, prefix, n) != 0 ||
	    strspn(arn + n, "0123456789") != ACCOUNT_BYTES - 1 ||
	    arn[n + ACCOUNT_BYTES - 1] != ':')
		return NULL;
	snprintf(account, ACCOUNT_BYTES, "%.*s", ACCOUNT_BYTES - 1, arn + n);
	return arn + n + ACCOUNT_BYTES;
}

/* -ENOENT: nobody's. */
static int find_user(struct store *s, const char *account, const char *arn,
		     char uid_ret[static PRINCIPAL_UID_BYTES])
{
	struct user_row user;
	int rc = store_user_by_arn(s, account, arn, &user);

	if (rc == 0)
		strcpy(uid_ret, user.user_id);
	return rc;
}

/* The role called by the first @n bytes of @name. -ENOENT. */
static int find_role(struct store *s, const char *account, const char *name,
		     size_t n, char uid_ret[static PRINCIPAL_UID_BYTES])
{
	char copy[IDENTITY_NAME_BYTES];
	struct role_row role;
	int rc;

	if (n >= sizeof(copy))
		return -ENOENT;
	snprintf(copy, sizeof(copy), "%.*s", (int)n, name);
	rc = store_role_get(s, account, copy, &role);
	if (rc < 0)
		return rc;
	strcpy(uid_ret, role.role_id);
	role_row_free(&role);
	return 0;
}

/* assumed-role/ROLE/SESSION: sessions come and go, the role must be there. */
static int find_session(struct store *s, const char *account,
			const char *rest,
			char uid_ret[static PRINCIPAL_UID_BYTES])
{
	static const char prefix[] = "assumed-role/";
	const char *name = rest + sizeof(prefix) - 1;
	const char *slash;

	if (strncmp(rest, prefix, sizeof(prefix) - 1) != 0)
		return -ENOENT;
	slash = strchr(name, '/');
	if (!slash || !slash[1] || strchr(slash + 1, '/'))
		return -ENOENT;
	return find_role(s, account, name, (size_t)(slash - name), uid_ret);
}

int principal_find(struct store *s, const char *arn,
		   char uid_ret[static PRINCIPAL_UID_BYTES])
{
	char account[ACCOUNT_BYTES];
	const char *rest = split(arn, "arn:aws:sts::", account);

	uid_ret[0] = '\0';
	if (rest)
		return find_session(s, account, rest, uid_ret);
	rest = split(arn, "arn:aws:iam::", account);
	if (!rest)
		return -ENOENT;
	if (strcmp(rest, "root") == 0)
		return store_account_get(s, account);
	if (strncmp(rest, "role/", 5) == 0)
		return find_role(s, account, rest + 5, strlen(rest + 5),
				 uid_ret);
	return find_user(s, account, arn, uid_ret);
}

int principal_check(struct call *c, const char *arn,
		    char uid_ret[static PRINCIPAL_UID_BYTES])
{
	int rc = principal_find(c->server->store, arn, uid_ret);

	return rc == -ENOENT ? invalid(c, arn) : rc;
}

int principal_of_account(struct call *c, const char *arn)
{
	char account[ACCOUNT_BYTES];

	if (!split(arn, "arn:aws:iam::", account) &&
	    !split(arn, "arn:aws:sts::", account))
		return invalid(c, arn);
	if (strcmp(account, c->who.user.account) == 0)
		return 0;
	return call_fail(c, ERR_ACCESS_DENIED,
			 "User: %s is not authorized to perform: kms:ListRetirableGrants on resource: %s because no resource-based policy allows the kms:ListRetirableGrants action",
			 c->who.user.arn, arn);
}

/* Lines of who is who, as policy.h has them. */
struct binding {
	struct store *store;
	FILE *out;
};

void principal_account(const char *arn, char ret[static ACCOUNT_BYTES])
{
	static const char prefix[] = "arn:aws:iam::"; /* or sts */

	snprintf(ret, ACCOUNT_BYTES, "%s", arn + sizeof(prefix) - 1);
}

/* 1: there is nobody of that ARN. Of accounts elsewhere it is not known. */
static int bind_one(const char *arn, void *arg)
{
	char uid[PRINCIPAL_UID_BYTES], account[ACCOUNT_BYTES];
	struct binding *b = arg;
	int rc;

	principal_account(arn, account);
	rc = store_account_get(b->store, account);
	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	rc = principal_find(b->store, arn, uid);
	if (rc == 0)
		fprintf(b->out, "%s %s\n", arn, uid);
	return rc == -ENOENT ? 1 : rc;
}

int principals_bind(struct store *s, const struct policy *p, char **ret)
{
	struct binding b = { .store = s };
	char *text = NULL;
	size_t bytes;
	int rc;

	b.out = open_memstream(&text, &bytes);
	if (!b.out)
		return -ENOMEM;
	rc = policy_principals(p, bind_one, &b);
	if (fclose(b.out) != 0 && rc == 0)
		rc = -ENOMEM;
	if (rc == 0)
		*ret = text;
	else
		free(text);
	return rc;
}

int principal_dead_name(struct store *s, const char *arn, const char *uid,
			char ret[static PRINCIPAL_DEAD_BYTES])
{
	char now[PRINCIPAL_UID_BYTES];
	const char *session = strstr(arn, ":assumed-role/");
	int rc = uid[0] ? principal_find(s, arn, now) : 0;

	ret[0] = '\0';
	if (rc < 0 && rc != -ENOENT)
		return rc;
	if (!uid[0] || (rc == 0 && strcmp(now, uid) == 0))
		return 0;
	snprintf(ret, PRINCIPAL_DEAD_BYTES, "%s%s%s", uid,
		 session ? ":" : "", session ? strrchr(arn, '/') + 1 : "");
	return 0;
}

/* The list of principals @who, with @name in place of @arn. */
static void rename_in(json_t *who, const char *arn, const char *name)
{
	json_t *list = json_object_get(who, "AWS"), *one;
	size_t i;

	if (json_is_string(list)) {
		if (strcmp(json_string_value(list), arn) == 0)
			json_object_set_new(who, "AWS", json_string(name));
		return; /* @list may be gone */
	}
	json_array_foreach(list, i, one)
		if (json_is_string(one) &&
		    strcmp(json_string_value(one), arn) == 0)
			json_array_set_new(list, i, json_string(name));
}

static void rename_in_policy(json_t *policy, const char *arn,
			     const char *name)
{
	json_t *list = json_object_get(policy, "Statement");
	size_t i, n = json_is_array(list) ? json_array_size(list) : 1;

	for (i = 0; i < n; i++) {
		json_t *one = json_is_array(list) ? json_array_get(list, i) :
						    list;

		rename_in(json_object_get(one, "Principal"), arn, name);
		rename_in(json_object_get(one, "NotPrincipal"), arn, name);
	}
}

int principals_show(struct store *s, const char *text, const char *bound,
		    char **ret)
{
	char name[PRINCIPAL_DEAD_BYTES];
	char *lines = strdup(bound), *rest = lines, *line;
	json_t *policy = NULL;
	int rc = lines ? 0 : -ENOMEM;

	while (rc == 0 && (line = strsep(&rest, "\n"))) {
		char *uid = strrchr(line, ' ');

		if (!uid)
			continue;
		*uid++ = '\0';
		rc = principal_dead_name(s, line, uid, name);
		if (rc < 0 || !name[0])
			continue;
		if (!policy)
			policy = json_loads(text, 0, NULL);
		if (policy)
			rename_in_policy(policy, line, name);
		else
			rc = -EIO;
	}
	if (rc == 0) {
		*ret = policy ? json_memory_text(policy, 0) : strdup(text);
		rc = *ret ? 0 : -ENOMEM;
	}
	json_decref(policy);
	free(lines);
	return rc;
}
