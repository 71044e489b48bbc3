// SPDX-License-Identifier: GPL-2.0-or-later
/* The doctor asks, by DryRun, what its caller may do with a key. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor.h"

/* One region's key, and a volume that is never made. */
struct asking {
	struct doctor *d;
	const struct conf_region *region;
	const char *caller;
	const char *key;		/* as it is named */
	char key_arn[ARN_TEXT_BYTES];	/* "" until the KMS has told */
	struct header_core core;
	json_t *context;
	bool host;			/* the caller is host-principal */
};

static void denied(struct asking *a, const char *operation)
{
	char advice[DOCTOR_ADVICE_BYTES];

	doctor_policy_advice(a->d, a->region,
			     a->key_arn[0] ? a->key_arn : a->key, operation,
			     a->caller, advice);
	doctor_say(a->d, DOCTOR_FAIL, "permissions", advice,
		   "region %s: %s may not do kms:%s with key %s",
		   a->region->name, a->caller[0] ? a->caller : "the caller",
		   operation, a->key);
}

static void judge(struct asking *a, const char *operation, int r)
{
	if (r == 0)
		doctor_say(a->d, DOCTOR_OK, "permissions", NULL,
			   "region %s: kms:%s with key %s", a->region->name,
			   operation, a->key);
	else if (strcmp(kms_last_error(a->d->k.kms),
			"AccessDeniedException") == 0)
		denied(a, operation);
	else
		doctor_said(a->d, DOCTOR_FAIL, "permissions");
}

/* Who holds grants needs, and should have, no right of his own. */
static void judge_host(struct asking *a, const char *operation, int r)
{
	if (r == 0)
		doctor_say(a->d, DOCTOR_WARN, "permissions",
			   DOCTOR_STANDING_ADVICE,
			   "region %s: the host %s may do kms:%s with key %s by itself, so with any volume's key",
			   a->region->name, a->caller, operation, a->key);
	else if (strcmp(kms_last_error(a->d->k.kms),
			"AccessDeniedException") == 0)
		doctor_say(a->d, DOCTOR_OK, "permissions", NULL,
			   "region %s: the host may not do kms:%s but by a grant; kms:Decrypt is asked about with each volume",
			   a->region->name, operation);
	else
		doctor_said(a->d, DOCTOR_FAIL, "permissions");
}

static int describe(struct asking *a)
{
	struct kms_key_info info;
	int r = kms_describe_key(a->d->k.kms, a->key, &info);

	if (r == 0) {
		snprintf(a->key_arn, sizeof(a->key_arn), "%s", info.arn);
		if (!info.enabled)
			doctor_say(a->d, DOCTOR_FAIL, "key",
				   "enable it, cancel its deletion, or set another default key",
				   "region %s: key %s is %s", a->region->name,
				   a->key, info.state);
		else
			doctor_say(a->d, DOCTOR_OK, "key", NULL,
				   "region %s: key %s is %s", a->region->name,
				   a->key, info.state);
		return info.enabled ? 0 : -EACCES;
	}
	if (arn_is_key(a->key))
		snprintf(a->key_arn, sizeof(a->key_arn), "%s", a->key);
	/* A host is told by no grant of ours what state a key is in. */
	if (a->host && strcmp(kms_last_error(a->d->k.kms),
			      "AccessDeniedException") == 0)
		return 0;
	judge(a, "DescribeKey", r);
	return strcmp(kms_last_error(a->d->k.kms),
		      "AccessDeniedException") == 0 ? 0 : r;
}

/* A wrapped key is needed to ask about: one is made, and forgotten. */
static void try_decrypt(struct asking *a)
{
	struct kms_wrapped wrapped = { 0 };
	int r;

	r = kms_generate_data_key_without_plaintext(a->d->k.kms, a->key,
						    a->context, &wrapped);
	if (r < 0) {
		doctor_said(a->d, DOCTOR_FAIL, "permissions");
		return;
	}
	snprintf(a->key_arn, sizeof(a->key_arn), "%s", wrapped.key_arn);
	r = kms_try_decrypt(a->d->k.kms, wrapped.key_arn, a->context,
			    wrapped.blob, wrapped.blob_bytes);
	if (a->host)
		judge_host(a, "Decrypt", r);
	else
		judge(a, "Decrypt", r);
	kms_wrapped_free(&wrapped);
}

static int compose_grant(struct asking *a, char **body_ret, char **dry_ret)
{
	char name[GRANT_NAME_BYTES];
	struct grant g = {
		.key_arn = a->key_arn,
		.volume_id = a->core.volume_id,
		.generation = 1,
		.principal = a->region->host_principal,
		.name = name,
	};
	int r = grant_new_name("doctor", name);

	if (r == 0)
		r = grant_compose(&g, false, body_ret);
	if (r == 0)
		r = grant_dry_run(*body_ret, dry_ret);
	return r;
}

static int send_grant(struct asking *a, const char *body, const char *dry)
{
	struct grant_signature signature;
	struct kms_signed_grant request = {
		.key_arn = a->key_arn,
		.body = dry,
		.dry_run = true,
		.date = signature.date,
		.authorization = signature.dry_run_authorization,
	};
	struct kms_grant unused = { 0 };
	int r;

	r = kms_sign_grant(a->d->k.kms, a->key_arn, body, &signature,
			   &request.session_token);
	return r < 0 ? r : kms_create_grant(a->d->k.kms, &request, &unused);
}

/* A KMS that does not know the grantee says so of an ARN. */
static void judge_grant(struct asking *a, int r)
{
	if (r < 0 && strcmp(kms_last_error(a->d->k.kms),
			    "InvalidArnException") == 0)
		doctor_say(a->d, DOCTOR_FAIL, "permissions",
			   "set host-principal to a role, user or session that is there",
			   "region %s: the KMS knows no %s, which host-principal names, so nobody can let this host open a volume",
			   a->region->name, a->region->host_principal);
	else
		judge(a, "CreateGrant", r);
}

/* As an attach through the agent does first. */
static void try_grant(struct asking *a)
{
	char *body = NULL, *dry = NULL;
	int r;

	if (!a->region->host_principal || a->host || !a->key_arn[0])
		return;
	r = compose_grant(a, &body, &dry);
	if (r < 0)
		doctor_say(a->d, DOCTOR_FAIL, "permissions", NULL,
			   "region %s: no grant can be composed: %s",
			   a->region->name, strerror(-r));
	else
		judge_grant(a, send_grant(a, body, dry));
	free(dry);
	free(body);
}

static void ask_all(struct asking *a)
{
	static const char generate[] = "GenerateDataKeyWithoutPlaintext";
	int r;

	if (describe(a) < 0)
		return;
	r = kms_try_generate(a->d->k.kms, a->key, a->context);
	if (a->host)
		judge_host(a, generate, r);
	else
		judge(a, generate, r);
	if (r == 0)
		try_decrypt(a);
	try_grant(a);
}

bool doctor_is_host(const struct doctor *d, const char *key_id)
{
	struct arn arn;

	return arn_parse(key_id, &arn) == 0 &&
	       json_object_get(d->hosts, arn.region);
}

/* --kms-key counts where it is; in the other regions their default key does. */
static const char *choose_key(const struct doctor *d,
			      const struct conf_region *region)
{
	enum conf_key_from from;
	struct arn arn;

	if (d->kms_key && arn_parse(d->kms_key, &arn) == 0 ?
	    strcmp(arn.region, region->name) == 0 :
	    d->kms_key && region == conf_region_at(d->k.conf, 0))
		return d->kms_key;
	return conf_region_key(region, &from);
}

void doctor_permissions(struct doctor *d, const struct conf_region *region,
			const char *caller)
{
	const struct conf_region *where;
	char principal[CALLER_BYTES];
	struct asking a = {
		.d = d,
		.region = region,
		.caller = caller,
		.key = choose_key(d, region),
	};
	const char *host = region->host_principal;

	caller_principal(caller, principal);
	a.host = host && (strcmp(host, caller) == 0 ||
			  strcmp(host, principal) == 0);
	if (a.host)
		json_object_set_new(d->hosts, region->name, json_true());
	if (conf_allow_key(d->k.conf, a.key, &where) < 0) {
		doctor_said(d, DOCTOR_FAIL, "key");
		return;
	}
	if (where != region) {
		doctor_say(d, DOCTOR_OK, "key", NULL,
			   "region %s: key %s is looked up in the default region only: set an ARN to have it looked at here",
			   region->name, a.key);
		return;
	}
	if (header_new_identity(&a.core) < 0 ||
	    (a.core.generation = 1,
	     header_context_of(&a.core, NULL, &a.context)) < 0)
		doctor_said(d, DOCTOR_FAIL, "permissions");
	else
		ask_all(&a);
	json_decref(a.context);
}
