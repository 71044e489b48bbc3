// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope status: how an attached volume is doing. */
#include <inttypes.h>
#include <stdio.h>

#include "cli.h"
#include "conf.h"
#include "volume_json.h"
#include "status.h"

static const char about[] =
	"Show the attached volume NAME (a device name, its path, or a volume id).\n"
	"Exit status 10 says that it is locked.\n";

static void print_options(const struct dm_volume *v)
{
	printf("  options:     %s%s%s%son lock: %s\n",
	       v->holes ? "holes, " : "",
	       v->allow_discards ? "discards, " : "",
	       v->iv_large_sectors ? "IV of large sectors, " : "",
	       v->read_only ? "read-only, " : "",
	       v->on_lock == DM_ON_LOCK_ERROR ? "error" : "queue");
}

static void print_text(const struct dm_volume_status *s)
{
	const struct dm_volume *v = &s->volume;
	char size[16];

	cli_print_size(v->size_sectors * 512, size);
	printf("/dev/mapper/%s is %s%s%s%s\n", v->name, volume_state_name(s),
	       s->state == DM_STATE_LOCKED ? ": key " : "",
	       s->state == DM_STATE_LOCKED ? s->reason : "",
	       s->suspended ? ", suspended" : "");
	printf("  volume:      %s\n", v->volume_id);
	printf("  size:        %s (%" PRIu64 " bytes)\n", size,
	       v->size_sectors * 512);
	printf("  sector size: %" PRIu32 "\n", v->sector_size);
	printf("  target:      %s, %s\n", volume_target_name(s),
	       s->revocable ? "locks when its key ends" :
			      "does not lock when its key ends");
	printf("  on device:   %u:%u from byte %" PRIu64 "\n", v->major,
	       v->minor, v->start_sectors * 512);
	print_options(v);
	printf("  open count:  %d\n", s->open_count);
	if (s->counted)
		printf("  I/O:         %" PRIu64 " reads, %" PRIu64 " writes, %" PRIu64 " blocks read as holes, %" PRIu64 " errors\n",
		       s->reads, s->writes, s->holes, s->errors);
}

/* Without a usable configuration there is one thing less to warn about. */
static void warn_self(const struct dm_volume_status *s)
{
	const struct conf_overrides none = { 0 };
	struct conf *conf = NULL;

	if (conf_load(&none, &conf) < 0)
		conf = NULL;
	volume_warn_self(conf, s);
	conf_free(conf);
}

int cmd_status(int argc, char **argv)
{
	struct dm_volume_status s;
	bool json = false;
	const struct cli_option options[] = {
		CLI_JSON_OPTION(&json),
		{ 0 }
	};
	const struct cli_usage usage = {
		.verb = "status",
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
	status = status_from_errno(volume_find(args[0], &s));
	if (status != STATUS_DONE)
		return status;
	warn_self(&s);
	if (json)
		status = cli_print_json(volume_to_json(&s));
	else
		print_text(&s);
	if (status == STATUS_DONE && s.state == DM_STATE_LOCKED)
		status = STATUS_LOCKED;
	return status;
}
