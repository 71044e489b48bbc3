// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope slot list, add, remove: the ways to the data key of a volume. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "cmd.h"
#include "json.h"
#include "slots_by_agent.h"
#include "status.h"

struct slot_args {
	const char *header;
	const char *device;
	const char *recovery;
	struct by_agent agent;
	struct volume_slot_options add;
	uint32_t index;
	bool force;
	bool json;
};

/* @stored without what is wrapped, each with its number. */
static json_t *slots_json(const json_t *stored)
{
	json_t *slots = json_array();
	const json_t *s;
	size_t i;

	json_array_foreach(stored, i, s)
		json_array_append_new(slots, json_pack("{sI ss ss sO* ss}",
			"slot", (json_int_t)i, "provider",
			json_text(s, "provider"), "key_id",
			json_text(s, "key_id"), "context",
			json_object_get(s, "context"), "created",
			json_text(s, "created")));
	return slots;
}

static void print_slots(const json_t *stored)
{
	const json_t *s;
	size_t i;

	printf("%-4s  %-20s  %-8s  %s\n", "SLOT", "CREATED", "PROVIDER",
	       "KEY");
	json_array_foreach(stored, i, s) {
		/* Nobody verified it. */
		char *safe = header_escape(json_text(s, "key_id"));

		printf("%4zu  %-20s  %-8s  %s\n", i, json_text(s, "created"),
		       json_text(s, "provider"), safe ? safe : "?");
		free(safe);
	}
}

static int show(const struct slot_args *a, const char *volume_id,
		const json_t *stored)
{
	if (a->json)
		return cli_print_json(json_pack("{ss sb so}", "volume_id",
			volume_id, "verified", 0, "slots",
			slots_json(stored)));
	print_slots(stored);
	return STATUS_DONE;
}

static int list_by_agent(struct slot_args *a,
			 const struct by_agent_volume *where)
{
	json_t *answer = NULL;
	int r = slots_by_agent_list(&a->agent, where, a->header, &answer);

	by_agent_close(&a->agent);
	r = r < 0 ? (int)status_from_errno(r) :
		    show(a, json_text(answer, "volume_id"),
			 json_object_get(answer, "slots"));
	json_decref(answer);
	return r;
}

static int list(struct slot_args *a)
{
	struct volume v = VOLUME_CLOSED;
	struct by_agent_volume where;
	int r = by_agent_find(&a->agent, a->device, &where);

	if (r == 0)
		return list_by_agent(a, &where);
	if (r > 0)
		r = volume_open(NULL, a->header ? a->header : a->device,
				VOLUME_FORCE, &v);
	r = r < 0 ? (int)status_from_errno(r) :
		    show(a, header_core(v.header)->volume_id,
			 json_object_get(header_slots_json(v.header),
					 "slots"));
	volume_close(&v);
	return r;
}

static int report(const struct slot_args *a, const char *volume_id,
		  const char *key_id, size_t count, const char *verb)
{
	if (a->json)
		return cli_print_json(json_pack("{ss sI ss sI}",
			"volume_id", volume_id, "slot", (json_int_t)a->index,
			"key_id", key_id, "slots", (json_int_t)count));
	printf("%s: slot %u %s, %s\n", volume_id, a->index, verb, key_id);
	return STATUS_DONE;
}

static int removed(const struct slot_args *a, const char *volume_id,
		   const char *key_id, size_t count)
{
	int r = report(a, volume_id, key_id, count, "removed");

	if (!a->json)
		puts("Header backups still hold it, and so may the device's spare blocks: only\n"
		     "disabling or deleting its key makes it useless.");
	return r;
}

/* What the agent decides is not the caller's; @only is what it cannot do. */
static int check_for_agent(const char *verb, const struct slot_args *a,
			   bool given, const char *only)
{
	if (!given)
		return by_agent_check(verb, &a->add.access);
	cli_usage_error(verb, "--%s is for --direct", only);
	return -EINVAL;
}

static int change_by_agent(struct slot_args *a, bool is_new,
			   const struct by_agent_volume *where)
{
	const struct slots_wish wish = {
		.header_path = a->header,
		.slot = is_new ? SLOTS_NEW : a->index,
		.kms_key = a->add.kms_key, .context = a->add.context,
	};
	uint64_t slot = 0, count = 0;
	json_t *answer = NULL;
	int r;

	r = is_new ? check_for_agent("slot add", a, a->recovery != NULL,
				     "recovery-key") :
		     check_for_agent("slot remove", a, a->force, "force");
	cli_patience_begin();
	if (r == 0)
		r = is_new ? slots_by_agent_set(&a->agent, where, &wish,
						&answer) :
			     slots_by_agent_remove(&a->agent, where, &wish,
						   &answer);
	cli_patience_end();
	by_agent_close(&a->agent);
	(void)json_get_u64(answer, "slot", 0, HEADER_MAX_SLOTS, &slot);
	(void)json_get_u64(answer, "count", 0, HEADER_MAX_SLOTS, &count);
	a->index = slot;
	if (r < 0)
		r = status_from_errno(r);
	else if (is_new)
		r = report(a, json_text(answer, "volume_id"),
			   json_text(answer, "key_id"), count, "added");
	else
		r = removed(a, json_text(answer, "volume_id"),
			    json_text(answer, "key_id"), count);
	json_decref(answer);
	return r;
}

static int add_directly(struct slot_args *a)
{
	struct volume v = VOLUME_CLOSED;
	struct secret *key = NULL;
	size_t slot = 0;
	int r;

	r = cli_read_recovery(a->recovery, &key);
	a->add.access.recovery = key;
	if (r == 0)
		r = volume_open(a->device, a->header, VOLUME_WRITE_HEADER, &v);
	cli_patience_begin();
	if (r == 0)
		r = volume_slot_add(&v, &a->add, &slot);
	cli_patience_end();
	if (v.header)
		audit_verb_ended("slot-add", volume_header_name(&v),
				 header_core(v.header)->volume_id, r);
	a->index = slot;
	r = r < 0 ? (int)status_from_errno(r) :
		    report(a, header_core(v.header)->volume_id,
			   header_slot_get(v.header, slot).key_id,
			   header_slot_count(v.header), "added");
	secret_free(key);
	volume_close(&v);
	return r;
}

static int add(struct slot_args *a)
{
	struct by_agent_volume where;
	int r;

	if (!a->add.kms_key)
		return cli_usage_error("slot add", "--kms-key is missing");
	r = by_agent_find(&a->agent, a->device, &where);
	if (r == 0)
		return change_by_agent(a, true, &where);
	return r < 0 ? (int)status_from_errno(r) : add_directly(a);
}

static int remove_directly(struct slot_args *a)
{
	char key_id[VOLUME_KEY_ID_CHARS];
	struct volume v = VOLUME_CLOSED;
	int r;

	r = volume_open(a->device, a->header, VOLUME_WRITE_HEADER, &v);
	if (r < 0)
		return status_from_errno(r);
	if (a->index >= header_slot_count(v.header)) {
		volume_close(&v);
		return cli_usage_error("slot remove", "no slot %u: 'envelope slot list' lists them",
				       a->index);
	}
	snprintf(key_id, sizeof(key_id), "%s",
		 header_slot_get(v.header, a->index).key_id);
	cli_patience_begin();
	r = volume_slot_remove(&v, a->index, &a->add.access, a->force);
	cli_patience_end();
	audit_verb_key_ended("slot-remove", volume_header_name(&v),
			     header_core(v.header)->volume_id, key_id, r);
	r = r < 0 ? (int)status_from_errno(r) :
		    removed(a, header_core(v.header)->volume_id, key_id,
			    header_slot_count(v.header));
	volume_close(&v);
	return r;
}

static int remove_slot(struct slot_args *a)
{
	struct by_agent_volume where;
	int r = by_agent_find(&a->agent, a->device, &where);

	if (r == 0)
		return change_by_agent(a, false, &where);
	return r < 0 ? (int)status_from_errno(r) : remove_directly(a);
}

static int cmd_slot_list(int argc, char **argv)
{
	struct slot_args a = { 0 };
	const struct cli_option options[] = {
		BY_AGENT_OPTIONS(&a.agent),
		CLI_HEADER_OPTION(&a.header),
		CLI_JSON_OPTION(&a.json),
		{ 0 },
	};
	const struct cli_usage usage = {
		.verb = "slot list",
		.arguments = "[DEVICE]",
		.about = "The slots of DEVICE: each is a way to its data key. Unverified.\n",
		.max_arguments = 1,
		.options = options,
		.header = &a.header,
	};
	char **args;
	int r = cli_parse(&usage, argc, argv, &args);

	if (r != CLI_GO_ON)
		return r;
	a.device = args[0];
	return list(&a);
}

static int cmd_slot_add(int argc, char **argv)
{
	struct slot_args a = { .add.access.conf.environment = true };
	const struct cli_option options[] = {
		{ "kms-key", "KEY", cli_set_text, &a.add.kms_key,
		  "the KMS key of the new slot: id, ARN or alias" },
		{ "context", "NAME=VALUE", cli_set_pair, &a.add.context,
		  "bind the new slot to this pair too; may be repeated" },
		CLI_RECOVERY_OPTION(&a.recovery),
		BY_AGENT_OPTIONS(&a.agent),
		CLI_HEADER_OPTION(&a.header),
		CLI_ACCESS_OPTIONS(&a.add.access),
		CLI_JSON_OPTION(&a.json),
		{ 0 },
	};
	const struct cli_usage usage = {
		.verb = "slot add",
		.arguments = "[DEVICE] --kms-key KEY",
		.about = "Wrap the data key of DEVICE under one more KMS key, of another region or vendor\n"
			 "say: any slot opens the volume. The key that is wrapped passes through this\n"
			 "process, but for a volume that the agent has attached: there the KMS makes the\n"
			 "new slot of another one, in the same region. DEVICE may be its name then.\n",
		.max_arguments = 1,
		.options = options,
		.header = &a.header,
	};
	char **args;
	int r = cli_parse(&usage, argc, argv, &args);

	if (r == CLI_GO_ON) {
		a.device = args[0];
		r = add(&a);
	}
	json_decref(a.add.context);
	return r;
}

static int cmd_slot_remove(int argc, char **argv)
{
	struct slot_args a = { .add.access.conf.environment = true,
			       .index = UINT32_MAX };
	const struct cli_option options[] = {
		{ "slot", "N", cli_set_number, &a.index,
		  "which slot, as 'slot list' counts them" },
		{ "force", NULL, cli_set_true, &a.force,
		  "without another slot having opened the volume" },
		BY_AGENT_OPTIONS(&a.agent),
		CLI_HEADER_OPTION(&a.header),
		CLI_ACCESS_OPTIONS(&a.add.access),
		CLI_JSON_OPTION(&a.json),
		{ 0 },
	};
	const struct cli_usage usage = {
		.verb = "slot remove",
		.arguments = "[DEVICE] --slot N",
		.about = "Remove a slot of DEVICE and overwrite it, after another one has opened the\n"
			 "volume. The last one stays: 'envelope erase' removes that.\n",
		.max_arguments = 1,
		.options = options,
		.header = &a.header,
	};
	char **args;
	int r = cli_parse(&usage, argc, argv, &args);

	if (r != CLI_GO_ON)
		return r;
	if (a.index == UINT32_MAX)
		return cli_usage_error("slot remove", "--slot is missing");
	a.device = args[0];
	return remove_slot(&a);
}

int cmd_slot(int argc, char **argv)
{
	static const struct command verbs[] = {
		{ "list", NULL, "the slots of a volume", cmd_slot_list },
		{ "add", NULL, "one more KMS key", cmd_slot_add },
		{ "remove", NULL, "one KMS key less", cmd_slot_remove },
		{ 0 },
	};

	return cli_run_verb("slot", verbs, argc, argv);
}
