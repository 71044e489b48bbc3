// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope resize: grow or shrink a volume. */
#include <inttypes.h>
#include <stdio.h>

#include "cmd.h"
#include "status.h"

static const char about[] =
	"Grow VOLUME (an attached one's name or volume id, or a device) to all that\n"
	"its device has, or to --size; attached or not. Then grow the file system:\n"
	"resize2fs, xfs_growfs. Shrinking needs a detached volume and --force, after\n"
	"the file system was shrunk. Unwraps the key, as attach does.\n";

static int print_result(const struct volume_resize_result *r, bool json)
{
	if (json)
		return cli_print_json(json_pack(
			"{s:s, s:I, s:I, s:b}", "volume_id", r->volume_id,
			"old_size", (json_int_t)r->old_bytes, "new_size",
			(json_int_t)r->new_bytes, "attached", r->attached));
	if (r->old_bytes == r->new_bytes)
		printf("%s: has %" PRIu64 " bytes already\n", r->volume_id,
		       r->new_bytes);
	else
		printf("%s: from %" PRIu64 " to %" PRIu64 " bytes\n",
		       r->volume_id, r->old_bytes, r->new_bytes);
	return STATUS_DONE;
}

int cmd_resize(int argc, char **argv)
{
	struct volume_resize_options o = { .access.conf.environment = true };
	struct volume_resize_result result;
	const char *recovery = NULL;
	struct secret *key = NULL;
	bool json = false;
	const struct cli_option options[] = {
		{ "size", "BYTES", cli_set_bytes, &o.size_bytes,
		  "new size of the data (default: all there is)" },
		{ "force", NULL, cli_set_true, &o.force,
		  "shrink; a detached header follows a device without a name" },
		CLI_RECOVERY_OPTION(&recovery),
		CLI_HEADER_OPTION(&o.header_path),
		CLI_ACCESS_OPTIONS(&o.access),
		CLI_JSON_OPTION(&json),
		{ 0 }
	};
	const struct cli_usage usage = {
		.verb = "resize",
		.arguments = "VOLUME",
		.about = about,
		.min_arguments = 1,
		.max_arguments = 1,
		.options = options,
	};
	char **args;
	int status = cli_parse(&usage, argc, argv, &args);
	int r;

	if (status != CLI_GO_ON)
		return status;
	r = cli_read_recovery(recovery, &key);
	if (r < 0)
		return status_from_errno(r);
	o.target = args[0];
	o.access.recovery = key;
	cli_patience_begin();
	r = volume_resize(&o, &result);
	cli_patience_end();
	secret_free(key);
	volume_verb_ended("resize", o.target, r == 0 ? result.volume_id : NULL,
			  r);
	status = status_from_errno(r);
	if (status == STATUS_DONE)
		status = print_result(&result, json);
	return status;
}
