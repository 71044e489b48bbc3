// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope lock: take the key of an attached volume out of the kernel. */
#include <stdio.h>

#include "cli.h"
#include "status.h"

static const char about[] =
	"Lock the attached volume NAME (a device name, its path, or a volume id): its\n"
	"key leaves the kernel at once, and I/O waits or fails, by --on-lock of the\n"
	"attach. What was read or written before may stay in the page cache and in\n"
	"the memory of programs. 'envelope unlock' asks the KMS and goes on.\n";

static int print_result(const struct volume_lock_options *o,
			const struct dm_volume_status *s, bool json)
{
	if (json)
		return cli_print_json(json_pack(
			"{s:s, s:s, s:s, s:s, s:b}", "name", s->volume.name,
			"volume_id", s->volume.volume_id, "state", "locked",
			"reason", s->reason, "caches_dropped",
			o->drop_caches));
	printf("/dev/mapper/%s is locked: key %s\n", s->volume.name, s->reason);
	printf("%s\n", o->drop_caches ?
	       "in memory stays what programs hold: mapped, locked and unwritten pages" :
	       "in memory stays what the page cache and programs hold; --drop-caches drops most of the former");
	return STATUS_DONE;
}

int cmd_lock(int argc, char **argv)
{
	struct volume_lock_options o = { 0 };
	struct dm_volume_status s;
	bool json = false;
	const struct cli_option options[] = {
		{ "drop-caches", NULL, cli_set_true, &o.drop_caches,
		  "write back, lock, then empty the host's page cache" },
		{ "force", NULL, cli_set_true, &o.force,
		  "also the volume that this system runs from" },
		CLI_JSON_OPTION(&json),
		{ 0 }
	};
	const struct cli_usage usage = {
		.verb = "lock",
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
	o.name = args[0];
	status = status_from_errno(volume_lock(&o, &s));
	if (status == STATUS_DONE)
		status = print_result(&o, &s, json);
	return status;
}
