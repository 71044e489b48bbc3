// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope attach: make the plaintext device. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "by_agent.h"
#include "cmd.h"
#include "json.h"
#include "log.h"
#include "status.h"

static const char about[] =
	"Make /dev/mapper/NAME, the plaintext of the volume on DEVICE. NAME is the\n"
	"volume id by default. Never formats. The agent does it, as its policy allows\n"
	"you. --direct: this process asks the KMS by itself, with your credentials,\n"
	"and needs kms:Decrypt and root; all options of the KMS are for it.\n";

static int set_on_lock(void *target, const char *option, const char *value)
{
	enum dm_on_lock *on_lock = target;

	if (strcmp(value, "queue") == 0) {
		*on_lock = DM_ON_LOCK_QUEUE;
	} else if (strcmp(value, "error") == 0) {
		*on_lock = DM_ON_LOCK_ERROR;
	} else {
		log_error("--%s: '%s' is neither queue nor error", option,
			  value);
		return -EINVAL;
	}
	return 0;
}

static int set_target(void *target, const char *option, const char *value)
{
	enum dm_target *t = target;

	if (strcmp(value, "envelope") == 0) {
		*t = DM_TARGET_ENVELOPE;
	} else if (strcmp(value, "crypt") == 0) {
		*t = DM_TARGET_CRYPT;
	} else {
		log_error("--%s: '%s' is neither envelope nor crypt", option,
			  value);
		return -EINVAL;
	}
	return 0;
}

static uint64_t number_of(const json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

/* Without an agent nobody renews it. */
static void print_lease(const json_t *r, bool direct)
{
	char total[LEASE_TEXT_CHARS];

	lease_print_ms((number_of(r, "lease") + number_of(r, "grace")) * 1000,
		       total);
	if (direct)
		printf("it locks in %s unless 'envelope renew --direct %s' comes before\n",
		       total, json_text(r, "name"));
	else
		printf("the agent renews its lease; it locks when the KMS denies, or after %s without an answer\n",
		       total);
}

/* Takes the reference to @r, the same object from agent and library. */
static int print_result(const struct volume_attach_options *o, json_t *r,
			bool direct, bool json)
{
	bool read_only = json_is_true(json_object_get(r, "read_only"));
	char size[16];

	json_object_del(r, "warnings");
	if (json)
		return cli_print_json(r);
	cli_print_size(number_of(r, "size"), size);
	if (o->dry_run)
		printf("%s: volume %s, %s, can be unwrapped; nothing attached\n",
		       o->device, json_text(r, "volume_id"), size);
	else
		printf("%s: volume %s, %s%s\n", json_text(r, "device"),
		       json_text(r, "volume_id"), size,
		       read_only ? ", read-only" : "");
	if (number_of(r, "lease") && !o->dry_run)
		print_lease(r, direct);
	json_decref(r);
	return STATUS_DONE;
}

static int attach_directly(const struct volume_attach_options *o, json_t **ret)
{
	struct volume_attach_result result;
	char path[16 + DM_VOLUME_NAME_CHARS];
	int r;

	cli_patience_begin();
	r = volume_attach(o, &result);
	cli_patience_end();
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "/dev/mapper/%s", result.name);
	*ret = json_pack("{s:s, s:s, s:s, s:I, s:b, s:b, s:I, s:I}",
			 "name", result.name, "device", path,
			 "volume_id", result.core.volume_id,
			 "size", (json_int_t)result.core.size_bytes,
			 "read_only", result.read_only, "dry_run", o->dry_run,
			 "lease", (json_int_t)(result.lease.lease_ms / 1000),
			 "grace", (json_int_t)(result.lease.grace_ms / 1000));
	return 0;
}

static int check_for_agent(const struct volume_attach_options *o)
{
	const char *option = o->target == DM_TARGET_CRYPT ? "target crypt" :
			     o->force ? "force" : NULL;

	if (!option)
		return by_agent_check("attach", &o->access);
	cli_usage_error("attach", "--%s is for --direct: the agent has it from /etc/envelope",
			option);
	return -EINVAL;
}

static int attach_by_agent(struct by_agent *b,
			   const struct volume_attach_options *o, json_t **ret)
{
	int r = check_for_agent(o);

	if (r == 0)
		r = by_agent_need(b);
	if (r < 0)
		return r;
	cli_patience_begin();
	r = by_agent_attach(b, o, ret);
	cli_patience_end();
	return r;
}

int cmd_attach(int argc, char **argv)
{
	struct volume_attach_options o = { .access.conf.environment = true };
	struct by_agent agent = { 0 };
	json_t *result = NULL;
	const char *recovery = NULL;
	struct secret *key = NULL;
	bool json = false;
	const struct cli_option options[] = {
		BY_AGENT_OPTIONS(&agent),
		CLI_VOLUME_OPTION(&o.volume_id),
		{ "readonly", NULL, cli_set_true, &o.read_only,
		  "the plaintext device cannot be written" },
		{ "allow-discards", NULL, cli_set_true, &o.allow_discards,
		  "pass discards on: shows which blocks are free" },
		{ "on-lock", "queue|error", set_on_lock, &o.on_lock,
		  "what I/O does while the volume is locked (default queue)" },
		{ "dry-run", NULL, cli_set_true, &o.dry_run,
		  "check header, pin, KMS and HMAC; attach nothing" },
		{ "target", "envelope|crypt", set_target, &o.target,
		  "crypt: stock dm-crypt, where the module is missing" },
		CLI_LEASE_OPTIONS(&o.lease),
		CLI_HEADER_OPTION(&o.header_path),
		{ "force", NULL, cli_set_true, &o.force,
		  "also if a detached header names another device, or\n"
		  "a lease what this system runs from" },
		CLI_RECOVERY_OPTION(&recovery),
		CLI_ACCESS_OPTIONS(&o.access),
		CLI_JSON_OPTION(&json),
		{ 0 }
	};
	const struct cli_usage usage = {
		.verb = "attach",
		.arguments = "DEVICE [NAME]",
		.about = about,
		.min_arguments = 1,
		.max_arguments = 2,
		.options = options,
	};
	char **args;
	int status = cli_parse(&usage, argc, argv, &args);
	int r;

	if (status != CLI_GO_ON)
		return status;
	o.device = args[0];
	o.name = args[1];
	if (recovery && !agent.direct)
		return cli_usage_error("attach", "--recovery-key is for --direct: it is root's");
	r = cli_read_recovery(recovery, &key);
	o.access.recovery = key;
	if (r == 0)
		r = agent.direct ? attach_directly(&o, &result) :
				   attach_by_agent(&agent, &o, &result);
	secret_free(key);
	status = status_from_errno(r);
	by_agent_close(&agent);
	if (status == STATUS_DONE)
		status = print_result(&o, result, agent.direct, json);
	return status;
}
