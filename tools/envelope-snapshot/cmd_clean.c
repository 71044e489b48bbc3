// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope-snapshot clean: what killed ones have left below attached volumes. */
#include <stdio.h>

#include "cmd.h"
#include "live.h"
#include "status.h"

struct clean {
	const char *volume_id;	/* NULL: all */
	bool json;
};

static int clean(const struct clean *o)
{
	unsigned int count = 0;
	int r = live_clean(o->volume_id, &count);

	if (r < 0)
		return status_from_errno(r);
	if (o->json)
		return cli_print_json(json_pack("{sI}", "cleaned",
						(json_int_t)count));
	printf("removed what %u interrupted snapshots had left\n", count);
	return STATUS_DONE;
}

int cmd_clean(int argc, char **argv)
{
	struct clean o = { 0 };
	const struct cli_option options[] = {
		CLI_JSON_OPTION(&o.json),
		{ 0 }
	};
	const struct cli_usage usage = {
		.verb = "clean",
		.arguments = "[VOLUME-ID]",
		.about = "A snapshot of an attached volume that was killed leaves devices below the\n"
			 "volume, and the old data that they hold. The volume works on over them,\n"
			 "without discards; this moves it back and removes them, without a pause that\n"
			 "anybody notices. For root; 'envelope doctor' says whether there are any.\n",
		.max_arguments = 1,
		.options = options,
	};
	char **args;
	int status = cli_parse(&usage, argc, argv, &args);

	if (status != CLI_GO_ON)
		return status;
	o.volume_id = args[0];
	return clean(&o);
}
