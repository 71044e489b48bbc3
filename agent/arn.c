// SPDX-License-Identifier: GPL-2.0-or-later
/* KMS key names taken apart, and allow-keys patterns matched. */
#include "arn.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define LOWER_DIGIT_DASH "abcdefghijklmnopqrstuvwxyz0123456789-"
#define DIGITS "0123456789"
#define HEX DIGITS "abcdef"
#define ID_CHARS LOWER_DIGIT_DASH "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define ALIAS_CHARS ID_CHARS ":/_"
#define ALIAS_MAX 256
#define KEY_ID_MAX 128
/* Of paths and names of users, roles and sessions: IAM's limits. */
#define PRINCIPAL_CHARS ID_CHARS "/+=,.@_"

/* All of @len bytes at @text from @set, and at least one. */
static bool made_of(const char *text, size_t len, const char *set)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (!strchr(set, text[i]) || text[i] == '\0')
			return false;
	return len > 0;
}

/*
 * Copy the field in front of the next colon and step over it. No field may
 * hold anything that is not in @set.
 */
static bool take_field(const char **at, const char *set, char *ret,
		       size_t ret_bytes)
{
	const char *colon = strchr(*at, ':');
	size_t len;

	if (!colon)
		return false;
	len = colon - *at;
	if (len >= ret_bytes || !made_of(*at, len, set))
		return false;
	memcpy(ret, *at, len);
	ret[len] = '\0';
	*at = colon + 1;
	return true;
}

static bool resource_valid(const char *resource)
{
	size_t len = strlen(resource);

	if (strncmp(resource, "key/", 4) == 0)
		return len - 4 <= KEY_ID_MAX &&
		       made_of(resource + 4, len - 4, ID_CHARS);
	if (strncmp(resource, "alias/", 6) == 0)
		return len <= ALIAS_MAX &&
		       made_of(resource + 6, len - 6, ALIAS_CHARS);
	return false;
}

/* Everything up to the resource, which is left to the caller. */
static bool parse_prefix(const char *text, const char *account_set,
			 struct arn *ret, const char **resource_ret)
{
	const char *at = text;

	if (strncmp(at, "arn:", 4) != 0)
		return false;
	at += 4;
	if (!take_field(&at, LOWER_DIGIT_DASH, ret->partition,
			sizeof(ret->partition)))
		return false;
	if (strncmp(at, "kms:", 4) != 0)
		return false;
	at += 4;
	if (!take_field(&at, LOWER_DIGIT_DASH, ret->region,
			sizeof(ret->region)) ||
	    !take_field(&at, account_set, ret->account, sizeof(ret->account)))
		return false;
	*resource_ret = at;
	return true;
}

int arn_parse(const char *text, struct arn *ret)
{
	const char *resource;
	struct arn arn;

	if (!parse_prefix(text, DIGITS, &arn, &resource) ||
	    strlen(arn.account) != ARN_ACCOUNT_BYTES - 1 ||
	    !resource_valid(resource))
		return -EINVAL;
	strcpy(arn.resource, resource);
	*ret = arn;
	return 0;
}

static bool is_uuid(const char *id)
{
	static const size_t group[] = { 8, 4, 4, 4, 12 };
	size_t i;

	for (i = 0; i < sizeof(group) / sizeof(group[0]); i++) {
		if (strlen(id) < group[i] || !made_of(id, group[i], HEX))
			return false;
		id += group[i];
		if (*id != (i < 4 ? '-' : '\0'))
			return false;
		id++;
	}
	return true;
}

int arn_key_form(const char *key, enum key_form *ret)
{
	struct arn arn;

	if (arn_parse(key, &arn) == 0)
		*ret = arn.resource[0] == 'k' ? KEY_FORM_ARN :
						KEY_FORM_ALIAS_ARN;
	else if (strncmp(key, "alias/", 6) == 0 && resource_valid(key))
		*ret = KEY_FORM_ALIAS;
	else if (is_uuid(key) ||
		 (strncmp(key, "mrk-", 4) == 0 && strlen(key) == 36 &&
		  made_of(key + 4, 32, HEX)))
		*ret = KEY_FORM_ID;
	else
		return -EINVAL;
	return 0;
}

bool arn_is_key(const char *arn)
{
	enum key_form form;

	return arn_key_form(arn, &form) == 0 && form == KEY_FORM_ARN;
}

/* Step over @text at *@at. */
static bool skip(const char **at, const char *text)
{
	size_t len = strlen(text);

	if (strncmp(*at, text, len) != 0)
		return false;
	*at += len;
	return true;
}

bool arn_is_principal(const char *arn)
{
	char partition[ARN_WORD_BYTES], account[ARN_ACCOUNT_BYTES];
	const char *at = arn;
	bool session;

	if (strlen(arn) >= ARN_PRINCIPAL_BYTES || !skip(&at, "arn:") ||
	    !take_field(&at, LOWER_DIGIT_DASH, partition, sizeof(partition)))
		return false;
	session = skip(&at, "sts::");
	if ((!session && !skip(&at, "iam::")) ||
	    !take_field(&at, DIGITS, account, sizeof(account)) ||
	    strlen(account) != ARN_ACCOUNT_BYTES - 1)
		return false;
	if (session ? !skip(&at, "assumed-role/") :
		      !skip(&at, "role/") && !skip(&at, "user/"))
		return false;
	return made_of(at, strlen(at), PRINCIPAL_CHARS) && *at != '/' &&
	       at[strlen(at) - 1] != '/' && (!session || strchr(at, '/'));
}

static bool parse_pattern(const char *pattern, struct arn *ret)
{
	const char *resource;
	size_t len;

	if (!parse_prefix(pattern, DIGITS "*", ret, &resource))
		return false;
	if (strcmp(ret->account, "*") != 0 &&
	    (strlen(ret->account) != ARN_ACCOUNT_BYTES - 1 ||
	     strchr(ret->account, '*')))
		return false;
	len = strlen(resource);
	if (strncmp(resource, "key/", 4) != 0 || len < 5 ||
	    len - 4 > KEY_ID_MAX)
		return false;
	strcpy(ret->resource, resource);
	if (resource[len - 1] == '*')
		len--;
	return len == 4 || made_of(resource + 4, len - 4, ID_CHARS);
}

bool arn_pattern_valid(const char *pattern)
{
	struct arn parts;

	return parse_pattern(pattern, &parts);
}

/* Does the "key/..." of a pattern cover this "key/..."? */
static bool covers_resource(const char *pattern, const char *resource)
{
	size_t len = strlen(pattern);

	if (pattern[len - 1] == '*')
		return strncmp(pattern, resource, len - 1) == 0;
	return strcmp(pattern, resource) == 0;
}

static bool covers_place(const struct arn *p, const struct arn *a)
{
	return strcmp(p->partition, a->partition) == 0 &&
	       strcmp(p->region, a->region) == 0 &&
	       (strcmp(p->account, "*") == 0 ||
		strcmp(p->account, a->account) == 0);
}

bool arn_pattern_covers(const char *pattern, const char *key)
{
	enum key_form form;
	struct arn p, a;

	if (!parse_pattern(pattern, &p) || arn_key_form(key, &form) < 0)
		return false;
	if (form == KEY_FORM_ALIAS)
		return true;
	if (form == KEY_FORM_ID) {
		strcpy(a.resource, "key/");
		strcat(a.resource, key);
		return covers_resource(p.resource, a.resource);
	}
	if (arn_parse(key, &a) < 0 || !covers_place(&p, &a))
		return false;
	return form == KEY_FORM_ALIAS_ARN ||
	       covers_resource(p.resource, a.resource);
}

bool arn_pattern_in_region(const char *pattern, const char *region)
{
	struct arn p;

	return parse_pattern(pattern, &p) && strcmp(p.region, region) == 0;
}
