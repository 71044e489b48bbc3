// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope rewrap: another KMS key for the same DEK; the data stay. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "audit.h"
#include "cmd.h"
#include "json.h"
#include "log.h"
#include "slots_by_agent.h"
#include "status.h"

struct rewrap {
	struct by_agent agent;
	const char *header;
	const char *kms_key;
	uint32_t slot;
	struct volume_access access;
	bool json;
};

/* Put what the KMS gave into the slot, in both copies, and into the pin. */
static int store_slot(struct volume *v, const struct rewrap *o,
		      const struct kms_wrapped *wrapped, const char *old_key)
{
	struct header_slot old = header_slot_get(v->header, o->slot);
	const struct header_slot slot = {
		.provider = old.provider,
		.key_id = wrapped->key_arn,
		.context = old.context,
		.ciphertext = wrapped->blob,
		.ciphertext_bytes = wrapped->blob_bytes,
	};
	int r;

	r = header_set_slot(v->header, o->slot, &slot);
	return r == 0 ? volume_store_slots(v, old_key, wrapped->key_arn) : r;
}

static int reencrypt(struct volume *v, const struct rewrap *o,
		     struct volume_kms *k, struct kms_wrapped *ret)
{
	json_t *context = NULL;
	int r;

	r = volume_check_cores(v);
	if (r == 0)
		r = volume_permit_slot(v, k, o->slot, &context);
	if (r == 0)
		r = volume_reencrypt_slot(v, k, o->slot, context, o->kms_key,
					  ret);
	json_decref(context);
	return r;
}

static int report(const struct rewrap *o, const char *volume_id,
		  const char *old_key, const char *new_key)
{
	if (o->json)
		return cli_print_json(json_pack("{ss sI ss ss}",
			"volume_id", volume_id, "slot", (json_int_t)o->slot,
			"old_key_id", old_key, "key_id", new_key));
	printf("%s: slot %u moved\n  from %s\n  to   %s\n"
	       "Header backups still hold the slot under the old key, and old slots may\n"
	       "survive in the device's spare blocks: only disabling or deleting the old\n"
	       "key makes them useless.\n",
	       volume_id, o->slot, old_key, new_key);
	return STATUS_DONE;
}

static int rewrap_by_agent(struct rewrap *o,
			   const struct by_agent_volume *where)
{
	const struct slots_wish wish = {
		.header_path = o->header, .slot = o->slot,
		.kms_key = o->kms_key,
	};
	const char *volume_id = "", *old_key = "", *key = "";
	json_t *answer = NULL;
	int r;

	r = by_agent_check("rewrap", &o->access);
	cli_patience_begin();
	if (r == 0)
		r = slots_by_agent_set(&o->agent, where, &wish, &answer);
	cli_patience_end();
	by_agent_close(&o->agent);
	(void)json_get_string(answer, "volume_id", &volume_id);
	(void)json_get_string(answer, "old_key_id", &old_key);
	(void)json_get_string(answer, "key_id", &key);
	r = r < 0 ? (int)status_from_errno(r) :
		    report(o, volume_id, old_key, key);
	json_decref(answer);
	return r;
}

static int rewrap_directly(const struct rewrap *o, const char *device)
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
	audit_verb_ended("rewrap", device, header_core(v.header)->volume_id,
			 r);
	r = r < 0 ? (int)status_from_errno(r) :
		    report(o, header_core(v.header)->volume_id, old_key,
			   wrapped.key_arn);
	kms_wrapped_free(&wrapped);
	volume_kms_close(&k);
	volume_close(&v);
	return r;
}

static int rewrap(struct rewrap *o, const char *device)
{
	struct by_agent_volume where;
	int r = by_agent_find(&o->agent, device, &where);

	if (r == 0)
		return rewrap_by_agent(o, &where);
	return r < 0 ? (int)status_from_errno(r) : rewrap_directly(o, device);
}

int cmd_rewrap(int argc, char **argv)
{
	struct rewrap o = { .access.conf.environment = true };
	const struct cli_option options[] = {
		{ "kms-key", "KEY", cli_set_text, &o.kms_key,
		  "the new KMS key: id, ARN or alias; or as of format" },
		{ "slot", "N", cli_set_number, &o.slot,
		  "which slot to move (default 0)" },
		BY_AGENT_OPTIONS(&o.agent),
		CLI_HEADER_OPTION(&o.header),
		CLI_ACCESS_OPTIONS(&o.access),
		CLI_JSON_OPTION(&o.json),
		{ 0 },
	};
	const struct cli_usage usage = {
		.verb = "rewrap",
		.arguments = "[DEVICE] --kms-key KEY",
		.about = "Wrap the data key of DEVICE under another KMS key, inside the KMS. The data\n"
			 "and the data key stay as they are, also while the volume is attached: by the\n"
			 "agent, if it has attached the volume; DEVICE may be its name then. Each is asked\n"
			 "with your own credentials: the KMS for the new slot, and then, by the agent, for\n"
			 "a grant on the new key.\n",
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
