// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope header-backup: both copies, good ones, in a file. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "cmd.h"
#include "log.h"
#include "status.h"

static int backup(const struct volume *v, const char *path)
{
	struct device file = DEVICE_CLOSED;
	int r;

	r = device_open(path, DEVICE_WRITE | DEVICE_CREATE, &file);
	if (r < 0)
		return r;
	r = header_write(file.fd, file.path, v->header);
	device_close(&file);
	if (r < 0)
		unlink(path);
	return r;
}

static int report(const struct volume *v, const char *path, bool json)
{
	const char *volume_id = header_core(v->header)->volume_id;

	if (json)
		return cli_print_json(json_pack("{ss ss ss}",
			"path", volume_header_name(v),
			"volume_id", volume_id, "backup", path));
	printf("%s: header saved in %s\n", volume_id, path);
	return STATUS_DONE;
}

int cmd_header_backup(int argc, char **argv)
{
	struct volume v = VOLUME_CLOSED;
	const char *header = NULL;
	bool json = false;
	const struct cli_option options[] = {
		CLI_HEADER_OPTION(&header),
		CLI_JSON_OPTION(&json),
		{ 0 },
	};
	const struct cli_usage usage = {
		.verb = "header-backup",
		.arguments = "[DEVICE] FILE",
		.about = "Save the header of DEVICE in FILE, which must not exist. Whoever has the file\n"
			 "and may use its KMS key can read the volume, also after an erase.\n",
		.min_arguments = 1,
		.max_arguments = 2,
		.options = options,
	};
	const char *file;
	char **args;
	int r;

	r = cli_parse(&usage, argc, argv, &args);
	if (r != CLI_GO_ON)
		return r;
	if (!args[1] && !header)
		return cli_usage_error("header-backup",
				       "name a device (or --header) and a file");
	file = args[1] ? args[1] : args[0];
	r = volume_open(NULL, header ? header : args[0], VOLUME_FORCE, &v);
	if (r < 0)
		return status_from_errno(r);
	if (!header_copies_agree(v.header))
		log_warn("'%s': the copies of the header differ: saving the one that serves",
			 volume_header_name(&v));
	r = backup(&v, file);
	r = r < 0 ? (int)status_from_errno(r) : report(&v, file, json);
	volume_close(&v);
	return r;
}
