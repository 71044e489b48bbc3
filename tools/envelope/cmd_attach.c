// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope attach: make the plaintext device. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "log.h"
#include "status.h"

static const char about[] =
	"Make /dev/mapper/NAME, the plaintext of the volume on DEVICE. NAME is the\n"
	"volume id by default. Never formats. --direct: this process asks the KMS by\n"
	"itself, with your credentials, and needs kms:Decrypt.\n";

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

/* Without an agent nobody renews it. */
static void print_lease(const struct volume_attach_result *r)
{
	char total[LEASE_TEXT_CHARS];

	lease_print_ms(r->lease.lease_ms + r->lease.grace_ms, total);
	printf("it locks in %s unless 'envelope renew --direct %s' comes before\n",
	       total, r->name);
}

static int print_result(const struct volume_attach_options *o,
			const struct volume_attach_result *r, bool json)
{
	char path[16 + DM_VOLUME_NAME_CHARS];
	char size[16];

	snprintf(path, sizeof(path), "/dev/mapper/%s", r->name);
	if (json)
		return cli_print_json(json_pack(
			"{s:s, s:s, s:s, s:I, s:b, s:b, s:I, s:I}", "name",
			r->name, "device", path, "volume_id",
			r->core.volume_id, "size",
			(json_int_t)r->core.size_bytes, "read_only",
			r->read_only, "dry_run", o->dry_run, "lease",
			(json_int_t)(r->lease.lease_ms / 1000), "grace",
			(json_int_t)(r->lease.grace_ms / 1000)));
	cli_print_size(r->core.size_bytes, size);
	if (o->dry_run)
		printf("%s: volume %s, %s, can be unwrapped; nothing attached\n",
		       o->device, r->core.volume_id, size);
	else
		printf("%s: volume %s, %s%s\n", path, r->core.volume_id, size,
		       r->read_only ? ", read-only" : "");
	if (r->lease.lease_ms && !o->dry_run)
		print_lease(r);
	return STATUS_DONE;
}

int cmd_attach(int argc, char **argv)
{
	struct volume_attach_options o = { .access.conf.environment = true };
	struct volume_attach_result result;
	bool direct = false;
	bool json = false;
	const struct cli_option options[] = {
		{ "direct", NULL, cli_set_true, &direct,
		  "ask the KMS from this process" },
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

	if (status != CLI_GO_ON)
		return status;
	if (!direct) {
		log_error("attach: this version has no agent that could ask the KMS: use 'envelope attach --direct'");
		return STATUS_USAGE;
	}
	o.device = args[0];
	o.name = args[1];
	cli_patience_begin();
	status = status_from_errno(volume_attach(&o, &result));
	cli_patience_end();
	if (status == STATUS_DONE)
		status = print_result(&o, &result, json);
	return status;
}
