// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope-snapshot share: what another account needs, and what it gets. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "log.h"
#include "snapshot_key.h"
#include "status.h"

struct share {
	struct store_wish store;
	struct volume_access access;
	const char *principal;
	bool same_dek;
	bool json;
};

/* The permissions that EBS's page on sharing names. */
static json_t *statement(const struct share *o, const char *volume_or_snapshot,
			 const char *id)
{
	char name[64];

	snprintf(name, sizeof(name),
		 "kms:EncryptionContext:envelope:%s", volume_or_snapshot);
	return json_pack("{ss ss s{ss} s[sssss] ss s{s{ss}}}", "Sid",
			 "ShareSnapshot", "Effect", "Allow", "Principal",
			 "AWS", o->principal, "Action", "kms:DescribeKey",
			 "kms:CreateGrant", "kms:Decrypt", "kms:ReEncrypt*",
			 "kms:GenerateDataKey*", "Resource", "*", "Condition",
			 "StringEqualsIfExists", name, id);
}

static int print(const struct share *o, const struct snapshot *s,
		 const char *key_id)
{
	bool copy = snapshot_binding(s) == SNAPSHOT_COPY;
	json_t *policy = statement(o, copy ? "snapshot-id" : "volume-id",
				   copy ? snapshot_id(s) :
				   header_core(snapshot_header(
					(struct snapshot *)s))->volume_id);
	char *text;

	if (o->json)
		return cli_print_json(json_pack(
			"{ss ss ss so}", "snapshot_id", snapshot_id(s),
			"key_id", key_id, "principal", o->principal,
			"key_policy_statement", policy));
	text = json_dumps(policy, JSON_INDENT(2));
	json_decref(policy);
	printf("To let %s use %s:\n\n"
	       "1. Add this statement to the policy of the key\n   %s:\n\n%s\n\n"
	       "2. Let them read the objects of the snapshot in the store.\n\n"
	       "They should copy it under a key of their own at once ('envelope-snapshot copy'):\n"
	       "the copy stays theirs when this statement is taken back; what they made of the\n"
	       "snapshot itself does not.\n",
	       o->principal, snapshot_id(s), key_id, text ? text : "");
	free(text);
	return STATUS_DONE;
}

/* Who has one member of a lineage can read and forge all of it. */
static int check_dek(const struct share *o, const struct snapshot *s)
{
	if (snapshot_source(s))
		return 0;
	if (o->same_dek) {
		log_warn("%s shares its data key with %s: who can use it can read and forge all volumes and snapshots of that lineage",
			 snapshot_id(s), header_core(snapshot_header(
				(struct snapshot *)s))->volume_id);
		return 0;
	}
	log_error("%s shares its data key with a volume of yours, and who can use it could read and forge that: share a copy under another key, or say --same-dek",
		  snapshot_id(s));
	return -EINVAL;
}

static int check_key(const struct share *o, const char *key_id)
{
	struct kms_key_info info = { 0 };
	struct volume_kms k = { 0 };
	int r = volume_kms_open(&o->access, &k);

	if (r == 0)
		r = kms_describe_key(k.kms, key_id, &info);
	volume_kms_close(&k);
	if (r == 0 && strcmp(info.manager, "AWS") == 0) {
		log_error("key '%s' is managed by AWS, and its policy is not yours to change: copy the snapshot under a key of your own first",
			  key_id);
		r = -EINVAL;
	}
	return r;
}

static int share(const struct share *o, const char *id)
{
	struct snapshot_store *st = NULL;
	char key_id[VOLUME_KEY_ID_CHARS];
	struct snapshot *s = NULL;
	uint8_t *body = NULL;
	size_t n = 0, slot = 0;
	int r = store_open(&o->store, false, &st);

	if (r == 0)
		r = snapshot_store_load(st, id, &s, &body, &n);
	snapshot_store_close(st);
	free(body);
	if (r == 0)
		r = snapshot_kms_slot(s, &slot);
	if (r == 0)
		r = check_dek(o, s);
	if (r == 0) {
		snprintf(key_id, sizeof(key_id), "%s", header_slot_get(
			snapshot_header(s), slot).key_id);
		r = check_key(o, key_id);
	}
	r = r < 0 ? (int)status_from_errno(r) : print(o, s, key_id);
	snapshot_free(s);
	return r;
}

int cmd_share(int argc, char **argv)
{
	struct share o = { .access.conf.environment = true };
	const struct cli_option options[] = {
		STORE_OPTIONS(&o.store),
		{ "principal", "ARN", cli_set_text, &o.principal,
		  "who shall use it: a role, user or account" },
		{ "same-dek", NULL, cli_set_true, &o.same_dek,
		  "although it shares its data key with others" },
		CLI_ACCESS_OPTIONS(&o.access),
		CLI_JSON_OPTION(&o.json),
		{ 0 }
	};
	const struct cli_usage usage = {
		.verb = "share",
		.arguments = "SNAPSHOT --principal ARN",
		.about = "Print what lets somebody of another account use a snapshot: the statement for\n"
			 "the policy of its key. Nothing is changed. As with Amazon EBS, a snapshot under\n"
			 "a key that AWS manages cannot be shared, and nothing is public. Only a copy\n"
			 "with a data key of its own is, unless --same-dek.\n",
		.min_arguments = 1,
		.max_arguments = 1,
		.options = options,
	};
	char **args;
	int status = cli_parse(&usage, argc, argv, &args);

	if (status == CLI_GO_ON)
		status = check_id("share", args[0]);
	if (status == CLI_GO_ON && !o.principal)
		status = cli_usage_error("share", "--principal is missing");
	return status == CLI_GO_ON ? share(&o, args[0]) : status;
}
