// SPDX-License-Identifier: GPL-2.0-or-later
/* Operations on the life of a key: create, describe, list, state, deletion. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authz.h"
#include "key_policy.h"
#include "grant_tokens.h"
#include "import.h"
#include "material.h"
#include "metadata.h"
#include "operations.h"
#include "page.h"
#include "params.h"
#include "reaper.h"
#include "replicate.h"
#include "resolve.h"
#include "tags.h"

#define DESCRIPTION_MAX 8192
#define WINDOW_DAYS_MIN 7
#define WINDOW_DAYS_MAX 30
#define WINDOW_DAYS_MODEL_MAX 365
#define DAY_MS (24 * 60 * 60 * INT64_C(1000))

static const char *const key_usages[] = {
	"SIGN_VERIFY", "ENCRYPT_DECRYPT", "GENERATE_VERIFY_MAC",
	"KEY_AGREEMENT", NULL
};

static const char *const key_specs[] = {
	"RSA_2048", "RSA_3072", "RSA_4096", "ECC_NIST_P256", "ECC_NIST_P384",
	"ECC_NIST_P521", "ECC_SECG_P256K1", "SYMMETRIC_DEFAULT", "HMAC_224",
	"HMAC_256", "HMAC_384", "HMAC_512", "SM2", "ML_DSA_44", "ML_DSA_65",
	"ML_DSA_87", "ECC_NIST_EDWARDS25519", NULL
};

static const char *const origins[] = {
	"AWS_KMS", "EXTERNAL", "AWS_CLOUDHSM", "EXTERNAL_KEY_STORE", NULL
};

static int answer_metadata(struct call *c, const struct key_row *key)
{
	json_t *m = key_metadata(c->server->store, key);

	c->answer = json_pack("{s:o}", "KeyMetadata", m);
	return c->answer ? 0 : -ENOMEM;
}

static int unsupported(struct call *c, const char *what)
{
	return call_fail(c, ERR_UNSUPPORTED,
			 "This server does not offer %s.", what);
}

/* What of CreateKey is in the model but not in this server. */
static int check_offered(struct call *c, const char *spec, const char *usage,
			 const char *origin)
{
	if (strcmp(spec, "SYMMETRIC_DEFAULT") != 0)
		return unsupported(c, "keys other than SYMMETRIC_DEFAULT");
	if (strcmp(usage, "ENCRYPT_DECRYPT") != 0)
		return call_fail(c, ERR_VALIDATION,
				 "KeyUsage %s is not compatible with KeySpec %s",
				 usage, spec);
	if (strcmp(origin, "AWS_KMS") != 0 && strcmp(origin, "EXTERNAL") != 0)
		return unsupported(c, "key origins other than AWS_KMS and EXTERNAL");
	if (param_given(c, "CustomKeyStoreId") || param_given(c, "XksKeyId"))
		return unsupported(c, "custom key stores");
	return 0;
}

static int read_new_key(struct call *c, const char **description_ret,
			const json_t **tags_ret)
{
	const char *spec, *old_spec, *usage, *origin;
	int rc;

	*description_ret = param_string(c, "Description", PARAM_OPTIONAL, 0,
					DESCRIPTION_MAX);
	spec = param_enum(c, "KeySpec", key_specs);
	old_spec = param_enum(c, "CustomerMasterKeySpec", key_specs);
	usage = param_enum(c, "KeyUsage", key_usages);
	origin = param_enum(c, "Origin", origins);
	param_bool(c, "MultiRegion");
	param_bool(c, "BypassPolicyLockoutSafetyCheck");
	*tags_ret = param_tags(c, PARAM_OPTIONAL);
	rc = params_check(c);
	if (rc == 0)
		rc = tags_check(c, *tags_ret);
	if (rc < 0)
		return rc;
	if (spec && old_spec)
		return call_fail(c, ERR_VALIDATION,
				 "You cannot specify KeySpec and CustomerMasterKeySpec in the same request. CustomerMasterKeySpec is deprecated.");
	spec = spec ? spec : old_spec ? old_spec : "SYMMETRIC_DEFAULT";
	if (!usage && strcmp(spec, "SYMMETRIC_DEFAULT") != 0)
		return call_fail(c, ERR_VALIDATION,
				 "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.");
	return check_offered(c, spec, usage ? usage : "ENCRYPT_DECRYPT",
			     origin ? origin : "AWS_KMS");
}

/* No key yet: only policies of the caller count. Tags need leave, too. */
static int may_create(struct call *c, const json_t *tags)
{
	struct facts f = { .action = "kms:CreateKey" };
	int rc = authorise_other(c, &f, "*");

	f.action = "kms:TagResource";
	if (rc == 0 && json_array_size(tags))
		rc = authorise_other(c, &f, "*");
	return rc;
}

int op_create_key(struct call *c)
{
	struct key_row key = { .description = NULL };
	const char *description, *policy = param_policy(c, PARAM_OPTIONAL);
	const json_t *tags;
	char arn[CALL_ARN_BYTES];
	int rc = read_new_key(c, &description, &tags);

	if (rc == 0)
		rc = may_create(c, tags);
	if (rc < 0)
		return rc;
	rc = check_key_count(c, c->who.region);
	if (rc < 0)
		return rc;
	strcpy(key.account, c->who.user.account);
	strcpy(key.region, c->who.region);
	if (param_given(c, "Origin"))
		snprintf(key.origin, sizeof(key.origin), "%s",
			 json_string_value(json_object_get(c->params,
							   "Origin")));
	if (param_bool(c, "MultiRegion"))
		strcpy(key.primary_region, c->who.region);
	key.description = strdup(description ? description : "");
	rc = key.description ? key_create(c->server->store, c->server->root,
					  &key) : -ENOMEM;
	/* Only now has it an ARN; a refusal takes it all back. */
	if (rc == 0)
		rc = key_policy_set(c, policy, &key);
	if (rc == 0 && policy)
		rc = store_key_set_policy(c->server->store, &key);
	if (rc == 0)
		rc = tags_set(c, &key, tags);
	if (rc < 0)
		goto out;
	call_key_arn(&key, arn);
	rc = call_touches(c, arn);
	if (rc < 0)
		goto out;
	rc = answer_metadata(c, &key);
	if (rc < 0)
		goto out;
	c->response_elements =
		metadata_trail(&key, json_object_get(c->answer,
						     "KeyMetadata"));
out:
	key_row_free(&key);
	return rc;
}

int op_describe_key(struct call *c)
{
	struct facts f = { .action = "kms:DescribeKey" };
	struct key_row key;
	int rc;

	param_grant_tokens(c);
	rc = params_check(c);
	if (rc == 0)
		rc = grant_tokens_check(c);
	if (rc == 0)
		rc = resolve_named(c, RESOLVE_ALIAS_TOO, &f, &key);
	if (rc < 0)
		return rc;
	rc = answer_metadata(c, &key);
	key_row_free(&key);
	return rc;
}

static int take_key(const struct key_row *key, void *arg)
{
	char arn[CALL_ARN_BYTES];

	call_key_arn(key, arn);
	return page_take(arg, key->key_id,
			 json_pack("{s:s, s:s}", "KeyId", key->key_id,
				   "KeyArn", arn));
}

int op_list_keys(struct call *c)
{
	struct facts f = { .action = "kms:ListKeys" };
	struct page page;
	int rc = page_begin(c, "key", 100, 1000, &page);

	if (rc < 0)
		return rc;
	rc = params_check(c);
	if (rc == 0)
		rc = authorise_other(c, &f, "*");
	if (rc == 0)
		rc = store_key_list(c->server->store, c->who.user.account,
				    c->who.region, page.after,
				    page.limit + 1, take_key, &page);
	if (rc == 0)
		rc = page_answer(c, &page, "Keys");
	page_free(&page);
	return rc;
}

static int set_enabled(struct call *c, const char *action, const char *state)
{
	struct facts f = { .action = action };
	struct key_row key;
	int rc = resolve_named(c, RESOLVE_KEY_ONLY, &f, &key);

	if (rc < 0)
		return rc;
	rc = require_state(c, &key, STATE_PENDING_DELETION |
			   STATE_PENDING_IMPORT | STATE_CREATING |
			   STATE_UPDATING);
	if (rc == 0) {
		snprintf(key.state, sizeof(key.state), "%s", state);
		rc = store_key_set_state(c->server->store, &key);
		/* A rotation may have come due while it was disabled. */
		reaper_wake(c->server->reaper);
	}
	key_row_free(&key);
	return rc;
}

int op_enable_key(struct call *c)
{
	return set_enabled(c, "kms:EnableKey", "Enabled");
}

int op_disable_key(struct call *c)
{
	return set_enabled(c, "kms:DisableKey", "Disabled");
}

static int answer_scheduled(struct call *c, const struct key_row *key,
			    int64_t days)
{
	char arn[CALL_ARN_BYTES];

	call_key_arn(key, arn);
	c->answer = json_pack("{s:s, s:s, s:I}", "KeyId", arn, "KeyState",
			      key->state, "PendingWindowInDays",
			      (json_int_t)days);
	c->response_elements =
		json_pack("{s:s, s:s, s:I}", "keyId", arn, "keyState",
			  key->state, "pendingWindowInDays",
			  (json_int_t)days);
	if (!c->answer || !c->response_elements)
		return -ENOMEM;
	/* A primary's window begins when its last replica is gone. */
	if (!key->deletion_ms)
		return 0;
	if (json_object_set_new(c->answer, "DeletionDate",
				metadata_seconds(key->deletion_ms)) < 0 ||
	    json_object_set_new(c->response_elements, "deletionDate",
				metadata_trail_time(key->deletion_ms)) < 0)
		return -ENOMEM;
	return 0;
}

static int schedule(struct call *c, struct key_row *key, int64_t days)
{
	int waits = has_replicas(c->server->store, key);

	if (waits < 0)
		return waits;
	strcpy(key->state, waits ? "PendingReplicaDeletion" :
				   "PendingDeletion");
	key->window_days = waits ? days : 0;
	key->deletion_ms = waits ? 0 : server_now_ms() + days * DAY_MS;
	return store_key_set_state(c->server->store, key);
}

int op_schedule_key_deletion(struct call *c)
{
	struct facts f = { .action = "kms:ScheduleKeyDeletion" };
	int64_t days = WINDOW_DAYS_MAX;
	struct key_row key;
	int rc;

	param_int(c, "PendingWindowInDays", 1, WINDOW_DAYS_MODEL_MAX, &days);
	rc = params_check(c);
	if (rc < 0)
		return rc;
	if (days < WINDOW_DAYS_MIN || days > WINDOW_DAYS_MAX)
		return call_fail(c, ERR_VALIDATION,
				 "PendingWindowInDays should be between %d and %d, but it is %d",
				 WINDOW_DAYS_MIN, WINDOW_DAYS_MAX, (int)days);
	rc = facts_add_int(&f, "kms:ScheduleKeyDeletionPendingWindowInDays",
			   days);
	if (rc == 0)
		rc = resolve_named(c, RESOLVE_KEY_ONLY, &f, &key);
	facts_free(&f);
	if (rc < 0)
		return rc;
	rc = require_state(c, &key, STATE_PENDING_DELETION | STATE_UPDATING);
	if (rc < 0)
		goto out;
	rc = schedule(c, &key, days);
	if (rc < 0)
		goto out;
	rc = answer_scheduled(c, &key, days);
out:
	key_row_free(&key);
	return rc;
}

int op_cancel_key_deletion(struct call *c)
{
	struct facts f = { .action = "kms:CancelKeyDeletion" };
	char arn[CALL_ARN_BYTES];
	struct key_row key;
	int rc = resolve_named(c, RESOLVE_KEY_ONLY, &f, &key);

	if (rc < 0)
		return rc;
	call_key_arn(&key, arn);
	if (strcmp(key.state, "PendingDeletion") != 0 &&
	    strcmp(key.state, "PendingReplicaDeletion") != 0) {
		rc = call_fail(c, ERR_INVALID_STATE,
			       "%s is not pending deletion.", arn);
		goto out;
	}
	rc = import_missing(c->server->store, &key);
	if (rc < 0)
		goto out;
	strcpy(key.state, rc ? "PendingImport" : "Disabled");
	key.deletion_ms = 0;
	key.window_days = 0;
	rc = store_key_set_state(c->server->store, &key);
	if (rc < 0)
		goto out;
	c->answer = json_pack("{s:s}", "KeyId", arn);
	c->response_elements = json_pack("{s:s}", "keyId", arn);
	if (!c->answer || !c->response_elements)
		rc = -ENOMEM;
out:
	key_row_free(&key);
	return rc;
}
