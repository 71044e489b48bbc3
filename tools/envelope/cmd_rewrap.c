// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope rewrap: another KMS key for the same DEK; the data stay. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "known.h"
#include "log.h"
#include "status.h"

struct rewrap {
	const char *header;
	const char *kms_key;
	uint32_t slot;
	struct volume_access access;
	bool json;
};

/*
 * Put what the KMS gave into the slot, in both copies, and into the pin. While
 * the copies change the pin has both keys: whenever this ends early, the host
 * believes the copy that serves.
 */
static int store_slot(struct volume *v, const struct rewrap *o,
		      const struct kms_wrapped *wrapped, const char *old_key)
{
	struct header_slot old = header_slot_get(v->header, o->slot);
	const char *volume_id = header_core(v->header)->volume_id;
	const struct header_slot slot = {
		.provider = old.provider,
		.key_id = wrapped->key_arn,
		.context = old.context,
		.ciphertext = wrapped->blob,
		.ciphertext_bytes = wrapped->blob_bytes,
	};
	int r;

	r = header_set_slot(v->header, o->slot, &slot);
	if (r == 0)
		r = known_replace_key(volume_id, NULL, wrapped->key_arn);
	if (r == 0)
		r = header_write(volume_header_fd(v), volume_header_name(v),
				 v->header);
	if (r == 0)
		r = known_replace_key(volume_id, old_key, wrapped->key_arn);
	return r;
}

/* Without the DEK nobody can tell which of two cores is the genuine one. */
static int check_cores(const struct volume *v)
{
	if (header_cores_agree(v->header))
		return 0;
	log_error("'%s': the copies of the header differ, or one is damaged: 'envelope check --repair' first",
		  volume_header_name(v));
	return -EBADMSG;
}

static int reencrypt(struct volume *v, const struct rewrap *o,
		     struct volume_kms *k, struct kms_wrapped *ret)
{
	struct header_slot slot = header_slot_get(v->header, o->slot);
	const struct conf_region *region;
	json_t *context = NULL;
	int r;

	r = check_cores(v);
	if (r == 0)
		r = volume_permit_slot(v, k, o->slot, &context);
	if (r == 0) {
		const struct kms_reencrypt_args args = {
			.source_key_arn = slot.key_id,
			.source_context = context,
			.wrapped = slot.ciphertext,
			.wrapped_bytes = slot.ciphertext_bytes,
			.key = o->kms_key,
			.context = context,
		};

		r = kms_reencrypt(k->kms, &args, ret);
	}
	if (r == 0)
		r = conf_allow_key(k->conf, ret->key_arn, &region);
	json_decref(context);
	return r;
}

static int report(const struct rewrap *o, const struct volume *v,
		  const char *old_key, const char *new_key)
{
	if (o->json)
		return cli_print_json(json_pack("{ss sI ss ss}",
			"volume_id", header_core(v->header)->volume_id,
			"slot", (json_int_t)o->slot,
			"old_key_id", old_key, "key_id", new_key));
	printf("%s: slot %u moved\n  from %s\n  to   %s\n"
	       "Header backups still hold the slot under the old key, and old slots may\n"
	       "survive in the device's spare blocks: only disabling or deleting the old\n"
	       "key makes them useless.\n",
	       header_core(v->header)->volume_id, o->slot, old_key, new_key);
	return STATUS_DONE;
}

static int rewrap(const struct rewrap *o, const char *device)
{
	struct volume v = VOLUME_CLOSED;
	struct volume_kms k = { 0 };
	struct kms_wrapped wrapped = { 0 };
	char old_key[ARN_TEXT_BYTES];
	int r;

	r = volume_open(device, o->header, VOLUME_WRITE_HEADER, &v);
	if (r < 0)
		return status_from_errno(r);
	if (o->slot >= header_slot_count(v.header)) {
		volume_close(&v);
		return cli_usage_error("rewrap", "no slot %u: 'envelope inspect' lists them",
				       o->slot);
	}
	snprintf(old_key, sizeof(old_key), "%s",
		 header_slot_get(v.header, o->slot).key_id);
	r = volume_kms_open(&o->access, &k);
	cli_patience_begin();
	if (r == 0)
		r = reencrypt(&v, o, &k, &wrapped);
	cli_patience_end();
	if (r == 0)
		r = store_slot(&v, o, &wrapped, old_key);
	r = r < 0 ? (int)status_from_errno(r) :
		    report(o, &v, old_key, wrapped.key_arn);
	kms_wrapped_free(&wrapped);
	volume_kms_close(&k);
	volume_close(&v);
	return r;
}

int cmd_rewrap(int argc, char **argv)
{
	struct rewrap o = { .access.conf.environment = true };
	const struct cli_option options[] = {
		{ "kms-key", "KEY", cli_set_text, &o.kms_key,
		  "the new KMS key: id, ARN or alias" },
		{ "slot", "N", cli_set_number, &o.slot,
		  "which slot to move (default 0)" },
		CLI_HEADER_OPTION(&o.header),
		CLI_ACCESS_OPTIONS(&o.access),
		CLI_JSON_OPTION(&o.json),
		{ 0 },
	};
	const struct cli_usage usage = {
		.verb = "rewrap",
		.arguments = "[DEVICE] --kms-key KEY",
		.about = "Wrap the data key of DEVICE under another KMS key, inside the KMS. The data\n"
			 "and the data key stay as they are, also while the volume is attached.\n",
		.max_arguments = 1,
		.options = options,
		.header = &o.header,
	};
	char **args;
	int r;

	r = cli_parse(&usage, argc, argv, &args);
	if (r != CLI_GO_ON)
		return r;
	if (!o.kms_key)
		return cli_usage_error("rewrap", "--kms-key is missing");
	return rewrap(&o, args[0]);
}
