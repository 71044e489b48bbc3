// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope-snapshot delete: the snapshot goes, its blocks wait for gc. */
#include <stdio.h>

#include "audit.h"
#include "cmd.h"
#include "status.h"

struct delete {
	struct store_wish store;
	bool dry_run;
	bool json;
};

static int report(const struct delete *o, const char *id)
{
	if (o->json)
		return cli_print_json(json_pack("{ss sb}", "snapshot_id", id,
						"dry_run", o->dry_run));
	printf("%s: %s\n", id, o->dry_run ? "would be deleted" : "deleted; "
	       "'envelope-snapshot gc' frees what nobody else needs");
	return STATUS_DONE;
}

static int delete(const struct delete *o, const char *id)
{
	struct snapshot_wrapper w = { 0 };
	struct snapshot_store *st = NULL;
	int r = store_open(&o->store, false, &st);

	if (r == 0 && o->dry_run)
		r = snapshot_store_wrapper(st, id, &w);
	else if (r == 0)
		r = snapshot_store_remove(st, id);
	snapshot_wrapper_free(&w);
	snapshot_store_close(st);
	if (!o->dry_run)
		audit_verb_ended("delete-snapshot", id, NULL, r);
	return r < 0 ? (int)status_from_errno(r) : report(o, id);
}

int cmd_delete(int argc, char **argv)
{
	struct delete o = { 0 };
	const struct cli_option options[] = {
		STORE_OPTIONS(&o.store),
		{ "dry-run", NULL, cli_set_true, &o.dry_run,
		  "print what would be done" },
		CLI_JSON_OPTION(&o.json),
		{ 0 }
	};
	const struct cli_usage usage = {
		.verb = "delete",
		.arguments = "SNAPSHOT",
		.about = "Delete a snapshot. Others stay whole, also those that were made after it; what\n"
			 "none of them needs is freed by 'envelope-snapshot gc'.\n",
		.min_arguments = 1,
		.max_arguments = 1,
		.options = options,
	};
	char **args;
	int status = cli_parse(&usage, argc, argv, &args);

	if (status == CLI_GO_ON)
		status = check_id("delete", args[0]);
	return status == CLI_GO_ON ? delete(&o, args[0]) : status;
}
