// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope attach: make the plaintext device. */
#include <errno.h>
#include <string.h>

#include "attaching.h"
#include "cmd.h"
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
		r = attaching_run(&agent, &o, &result);
	secret_free(key);
	status = status_from_errno(r);
	if (status == STATUS_DONE)
		status = attaching_print(&o, result, agent.direct, json);
	return status;
}
