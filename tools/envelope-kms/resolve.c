// SPDX-License-Identifier: GPL-2.0-or-later
/* Key identifiers and key states: what each form means and may do. */
#include "resolve.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "authz.h"
#include "managed.h"
#include "params.h"
#include "reaper.h"
#include "related.h"

#define ARN_PARTS 6

bool is_key_id(const char *text)
{
	static const char uuid[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	size_t i;

	if (strlen(text) != sizeof(uuid) - 1)
		return false;
	if (strncmp(text, "mrk-", 4) == 0)
		return strspn(text + 4, "0123456789abcdef") == 32;
	for (i = 0; uuid[i]; i++)
		if (uuid[i] == '-' ? text[i] != '-' :
		    !strchr("0123456789abcdef", text[i]))
			return false;
	return true;
}

static int invalid_id(struct call *c, const char *id)
{
	return call_fail(c, ERR_NOT_FOUND, "Invalid keyId '%s'", id);
}

/*
 * Looks @key_id up in this region. A key whose window has passed is gone for
 * every caller from that moment, whenever its bytes follow.
 */
static int look_up(struct call *c, const char *key_id, struct key_row *ret)
{
	struct key_row key = { .description = NULL };
	int rc = store_key_get(c->server->store, c->who.region, key_id,
			       &key);

	if (rc < 0)
		return rc;
	if (key.deletion_ms > 0 && key.deletion_ms <= server_now_ms()) {
		reaper_wake(c->server->reaper);
		key_row_free(&key);
		return -ENOENT;
	}
	/* So is material of which the date has passed. */
	if (key.expires_ms > 0 && key.expires_ms <= server_now_ms()) {
		reaper_wake(c->server->reaper);
		if (!strstr(key.state, "Deletion"))
			strcpy(key.state, "PendingImport");
	}
	*ret = key;
	return 0;
}

/* The key @key_id, which the caller names as one of @account's. */
static int by_key_id(struct call *c, const char *account, const char *key_id,
		     const struct facts *f, struct key_row *ret)
{
	struct key_row named = { .description = NULL };
	struct key_row key = { .description = NULL };
	char arn[CALL_ARN_BYTES];
	int rc;

	if (!is_key_id(key_id))
		return invalid_id(c, key_id);
	snprintf(named.account, sizeof(named.account), "%s", account);
	snprintf(named.region, sizeof(named.region), "%s", c->who.region);
	snprintf(named.key_id, sizeof(named.key_id), "%s", key_id);
	call_key_arn(&named, arn);
	rc = look_up(c, key_id, &key);
	if (rc == 0 && strcmp(key.account, account) != 0)
		rc = -ENOENT;
	if (rc == -ENOENT) {
		/* Whoever may not use it learns nothing of its absence. */
		rc = authorise_absent(c, f, &named);
		if (rc == 0)
			rc = call_fail(c, ERR_NOT_FOUND,
				       "Key '%s' does not exist", arn);
	} else if (rc == 0) {
		rc = authorise(c, f, &key);
		if (rc == 0)
			rc = call_touches(c, arn);
	}
	if (rc < 0) {
		key_row_free(&key);
		return rc;
	}
	*ret = key;
	return 0;
}

static int by_alias(struct call *c, const char *account, const char *name,
		    struct facts *f, struct key_row *ret)
{
	struct alias_row alias;
	char arn[CALL_ARN_BYTES];
	int rc = -ENOENT;

	snprintf(arn, sizeof(arn), "arn:aws:kms:%s:%s:%.256s",
		 c->who.region, account, name);
	if (strlen(name) < sizeof(alias.name))
		rc = store_alias_get(c->server->store, account,
				     c->who.region, name, &alias);
	if (rc == -ENOENT && strcmp(account, c->who.user.account) != 0)
		return authorise_other(c, f, arn);
	if (rc == -ENOENT && strcmp(name, MANAGED_ALIAS) == 0 &&
	    !c->operation->writes) {
		rc = managed_make(c);
		if (rc == 0)
			rc = store_alias_get(c->server->store, account,
					     c->who.region, name, &alias);
	}
	if (rc == -ENOENT)
		return call_fail(c, ERR_NOT_FOUND, "Alias %s is not found.",
				 arn);
	if (rc < 0)
		return rc;
	snprintf(f->alias, sizeof(f->alias), "%s", name);
	return by_key_id(c, account, alias.key_id, f, ret);
}

/*
 * Cuts arn:aws:kms:region:account:rest, the account into @account. NULL: not
 * of that form.
 */
static const char *split_arn(const char *arn, char *region,
			     size_t region_bytes,
			     char account[static ACCOUNT_BYTES])
{
	const char *part[ARN_PARTS];
	size_t len[ARN_PARTS];
	int i;

	for (i = 0; i < ARN_PARTS; i++) {
		part[i] = arn;
		len[i] = i < ARN_PARTS - 1 ? strcspn(arn, ":") : strlen(arn);
		if (i < ARN_PARTS - 1 && arn[len[i]] != ':')
			return NULL;
		arn += len[i] + 1;
	}
	if (strncmp(part[0], "arn:aws:kms:", 12) != 0 ||
	    len[3] >= region_bytes || len[4] != ACCOUNT_BYTES - 1 ||
	    strspn(part[4], "0123456789") != ACCOUNT_BYTES - 1)
		return NULL;
	snprintf(region, region_bytes, "%.*s", (int)len[3], part[3]);
	snprintf(account, ACCOUNT_BYTES, "%.*s", (int)len[4], part[4]);
	return part[5];
}

enum id_form { ID_INVALID, ID_ELSEWHERE, ID_KEY, ID_ALIAS };

/* A key id taken apart: the account and region it is said to be in. */
struct parsed_id {
	char region[REGION_BYTES], account[ACCOUNT_BYTES];
	const char *name; /* a key id, or an alias with its "alias/" */
};

static enum id_form parse_id(const struct call *c, const char *id,
			     struct parsed_id *ret)
{
	bool is_arn = strncmp(id, "arn:", 4) == 0;

	strcpy(ret->account, c->who.user.account);
	ret->name = is_arn ? split_arn(id, ret->region, sizeof(ret->region),
				       ret->account) : id;
	if (!ret->name)
		return ID_INVALID;
	if (is_arn && strcmp(ret->region, c->who.region) != 0)
		return ID_ELSEWHERE;
	if (strncmp(ret->name, "alias/", 6) == 0)
		return ID_ALIAS;
	if (is_arn && strncmp(ret->name, "key/", 4) != 0)
		return ID_INVALID;
	ret->name += is_arn ? 4 : 0;
	return ID_KEY;
}

int resolve_key(struct call *c, const char *id, enum resolve_forms forms,
		struct facts *f, struct key_row *ret)
{
	struct parsed_id p;

	switch (parse_id(c, id, &p)) {
	case ID_KEY:
		return by_key_id(c, p.account, p.name, f, ret);
	case ID_ALIAS:
		if (forms == RESOLVE_ALIAS_TOO)
			return by_alias(c, p.account, p.name, f, ret);
		break;
	case ID_ELSEWHERE:
		return call_fail(c, ERR_NOT_FOUND, "Invalid arn %s",
				 p.region);
	case ID_INVALID:
		break;
	}
	return invalid_id(c, id);
}

int resolve_means(struct call *c, const char *id, const char *key_id)
{
	struct alias_row alias;
	struct parsed_id p;
	enum id_form form = parse_id(c, id, &p);
	int rc;

	if (form == ID_KEY)
		return strcmp(p.name, key_id) == 0;
	if (form != ID_ALIAS || strlen(p.name) >= sizeof(alias.name))
		return 0;
	rc = store_alias_get(c->server->store, p.account, c->who.region,
			     p.name, &alias);
	if (rc == -ENOENT)
		return 0;
	return rc < 0 ? rc : strcmp(alias.key_id, key_id) == 0;
}

int resolve_named(struct call *c, enum resolve_forms forms, struct facts *f,
		  struct key_row *ret)
{
	const char *id = param_string(c, "KeyId", PARAM_REQUIRED, 1,
				      PARAM_KEY_ID_MAX);
	int rc = params_check(c);

	if (rc < 0)
		return rc;
	facts_read(c, NULL, f);
	return resolve_key(c, id, forms, f, ret);
}

int resolve_blob_key(struct call *c, const char *key_id,
		     const struct facts *f, struct key_row *ret)
{
	struct key_row key = { .description = NULL };
	char arn[CALL_ARN_BYTES];
	int rc = look_up(c, key_id, &key);

	if (rc < 0 && rc != -ENOENT)
		return rc;
	if (rc == 0) {
		call_key_arn(&key, arn);
		rc = authorise(c, f, &key);
		if (rc == 0)
			rc = call_touches(c, arn);
	}
	if (rc == -ENOENT || rc == -EPROTO)
		rc = call_fail(c, ERR_ACCESS_DENIED,
			       "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access.");
	if (rc < 0) {
		key_row_free(&key);
		return rc;
	}
	*ret = key;
	return 0;
}

/* What each state but Enabled answers, and the bit that refuses it. */
static const struct {
	const char *state;
	unsigned int bit;
	enum error error;
	const char *text;
} refusals[] = {
	{ "Disabled", STATE_DISABLED, ERR_DISABLED, "disabled" },
	{ "PendingDeletion", STATE_PENDING_DELETION, ERR_INVALID_STATE,
	  "pending deletion" },
	{ "PendingReplicaDeletion", STATE_PENDING_DELETION,
	  ERR_INVALID_STATE, "pending deletion" },
	{ "PendingImport", STATE_PENDING_IMPORT, ERR_INVALID_STATE,
	  "pending import" },
	{ "Unavailable", STATE_UNAVAILABLE, ERR_INVALID_STATE,
	  "unavailable" },
	{ "Creating", STATE_CREATING, ERR_INVALID_STATE, "creating" },
	{ "Updating", STATE_UPDATING, ERR_INVALID_STATE, "updating" },
};

int require_state(struct call *c, const struct key_row *key,
		  unsigned int refused)
{
	char arn[CALL_ARN_BYTES];
	size_t i;

	for (i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		if (!(refusals[i].bit & refused) ||
		    strcmp(refusals[i].state, key->state) != 0)
			continue;
		call_key_arn(key, arn);
		return call_fail(c, refusals[i].error, "%s is %s.", arn,
				 refusals[i].text);
	}
	return 0;
}

int require_primary(struct call *c, const struct key_row *key)
{
	char arn[CALL_ARN_BYTES];

	if (!is_replica(key))
		return 0;
	call_key_arn(key, arn);
	return call_fail(c, ERR_UNSUPPORTED,
			 "%s is not a multi-region primary key.", arn);
}
