// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope unlock: ask the KMS again, and let a locked volume go on. */
#include <stdio.h>

#include "cli.h"
#include "log.h"
#include "status.h"

static const char about[] =
	"Unlock the attached volume NAME (a device name, its path, or a volume id):\n"
	"ask the KMS for its key, and let the I/O that waits go on. --direct: this\n"
	"process asks the KMS by itself, with your credentials, and needs kms:Decrypt.\n";

static int print_result(const struct dm_volume_status *s, bool json)
{
	if (json)
		return cli_print_json(json_pack(
			"{s:s, s:s, s:s}", "name", s->volume.name,
			"volume_id", s->volume.volume_id, "state", "active"));
	printf("/dev/mapper/%s is active\n", s->volume.name);
	return STATUS_DONE;
}

int cmd_unlock(int argc, char **argv)
{
	struct volume_unlock_options o = { .access.conf.environment = true };
	struct dm_volume_status s;
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
		.verb = "unlock",
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
		log_error("unlock: the agent of this version unlocks no volume: use 'envelope unlock --direct'");
		return STATUS_USAGE;
	}
	o.name = args[0];
	cli_patience_begin();
	status = status_from_errno(volume_unlock(&o, &s));
	cli_patience_end();
	if (status == STATUS_DONE)
		status = print_result(&s, json);
	return status;
}
