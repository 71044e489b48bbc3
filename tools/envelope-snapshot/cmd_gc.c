// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope-snapshot gc: what nobody needs any more. */
#include <stdio.h>

#include "cmd.h"
#include "snapshot_gc.h"
#include "status.h"

struct gc {
	struct store_wish store;
	struct snapshot_gc_options o;
	bool json;
};

static int report(const struct gc *o, const struct snapshot_gc_result *g)
{
	char bytes[16];

	if (o->json)
		return cli_print_json(json_pack(
			"{sI sI sI sI sI sI sb}", "removed_blocks",
			(json_int_t)g->blocks, "removed_bytes",
			(json_int_t)g->bytes, "removed_bodies",
			(json_int_t)g->bodies, "removed_parts",
			(json_int_t)g->parts, "kept_blocks",
			(json_int_t)g->kept, "young_blocks",
			(json_int_t)g->young, "dry_run", o->o.dry_run));
	cli_print_size(g->bytes, bytes);
	printf("%s %llu blocks, %s; %llu are needed, %llu too young to tell\n",
	       o->o.dry_run ? "would remove" : "removed",
	       (unsigned long long)g->blocks, bytes,
	       (unsigned long long)g->kept, (unsigned long long)g->young);
	return STATUS_DONE;
}

static int gc(const struct gc *o)
{
	struct snapshot_gc_result g = { 0 };
	struct snapshot_store *st = NULL;
	int r = store_open(&o->store, false, &st);

	if (r == 0)
		r = snapshot_gc(st, &o->o, &g);
	snapshot_store_close(st);
	return r < 0 ? (int)status_from_errno(r) : report(o, &g);
}

int cmd_gc(int argc, char **argv)
{
	struct gc o = { .o.min_age_ms = SNAPSHOT_GC_AGE_MS };
	const struct cli_option options[] = {
		STORE_OPTIONS(&o.store),
		{ "min-age", "TIME", cli_set_time, &o.o.min_age_ms,
		  "what is younger stays (default 1d); less only where\n"
		  "                           nobody writes to the store" },
		{ "dry-run", NULL, cli_set_true, &o.o.dry_run,
		  "count; remove nothing" },
		CLI_JSON_OPTION(&o.json),
		{ 0 }
	};
	const struct cli_usage usage = {
		.verb = "gc",
		.arguments = "",
		.about = "Remove the blocks that no snapshot of the store needs. What is younger than a\n"
			 "day stays, and all of a lineage that somebody is writing a snapshot of, so it\n"
			 "may run at any time. Where one snapshot of a lineage cannot be read nothing of\n"
			 "that lineage is removed.\n",
		.options = options,
	};
	char **args;
	int status = cli_parse(&usage, argc, argv, &args);

	return status == CLI_GO_ON ? gc(&o) : status;
}
