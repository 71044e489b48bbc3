// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope renew: ask the KMS whether a leased volume may stay usable. */
#include <stdio.h>

#include "cli.h"
#include "log.h"
#include "status.h"

static const char about[] =
	"Ask the KMS whether the attached volume NAME (a device name, its path, or a\n"
	"volume id) may stay usable, without unwrapping its key. Granted: its key lives\n"
	"for lease and grace from now on. Denied, and denied again after 2 seconds: it\n"
	"is locked at once. No answer: the time that is left runs on. --direct: this\n"
	"process asks the KMS by itself, with your credentials, and needs kms:Decrypt;\n"
	"kms:DescribeKey tells it more.\n";

static int print_result(const struct volume_renew_result *r, bool json)
{
	const char *name = r->status.volume.name;
	char total[LEASE_TEXT_CHARS];

	if (json)
		return cli_print_json(json_pack(
			"{s:s, s:s, s:I, s:I}", "name", name, "volume_id",
			r->status.volume.volume_id, "lease",
			(json_int_t)(r->lease.lease_ms / 1000), "grace",
			(json_int_t)(r->lease.grace_ms / 1000)));
	lease_print_ms(r->lease.lease_ms + r->lease.grace_ms, total);
	printf("/dev/mapper/%s: renewed; locks in %s unless it is renewed again\n",
	       name, total);
	return STATUS_DONE;
}

int cmd_renew(int argc, char **argv)
{
	struct volume_renew_options o = { .access.conf.environment = true };
	struct volume_renew_result result;
	bool direct = false;
	bool json = false;
	const struct cli_option options[] = {
		{ "direct", NULL, cli_set_true, &direct,
		  "ask the KMS from this process" },
		CLI_LEASE_OPTIONS(&o.lease),
		CLI_HEADER_OPTION(&o.header_path),
		CLI_ACCESS_OPTIONS(&o.access),
		CLI_JSON_OPTION(&json),
		{ 0 }
	};
	const struct cli_usage usage = {
		.verb = "renew",
		.arguments = "NAME",
		.about = about,
		.min_arguments = 1,
		.max_arguments = 1,
		.options = options,
	};
	char **args;
	int status = cli_parse(&usage, argc, argv, &args);

	if (status != CLI_GO_ON)
		return status;
	if (!direct) {
		log_error("renew: the agent of this version renews no lease: use 'envelope renew --direct'");
		return STATUS_USAGE;
	}
	o.name = args[0];
	cli_patience_begin();
	status = status_from_errno(volume_renew(&o, &result));
	cli_patience_end();
	if (status == STATUS_DONE)
		status = print_result(&result, json);
	return status;
}
