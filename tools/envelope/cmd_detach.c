// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope detach: remove the plaintext device, and its key. */
#include "cli.h"
#include "status.h"

static const char about[] =
	"Remove the plaintext device of NAME (a device name, its path, or a volume\n"
	"id), then revoke and unlink its key. Asks no KMS; a locked volume goes too.\n";

int cmd_detach(int argc, char **argv)
{
	const struct cli_option options[] = { { 0 } };
	const struct cli_usage usage = {
		.verb = "detach",
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
	return status_from_errno(volume_detach(args[0]));
}
