// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope-snapshot verify: is everything there, and nothing else? */
#include <stdio.h>

#include "cmd.h"
#include "status.h"

struct verify {
	struct store_wish store;
	struct volume_access access;
	struct snapshot_work work;
	bool hashes_only;
	bool json;
};

static int report(const struct verify *o, const char *id,
		  const struct snapshot_verified *v)
{
	if (o->json)
		return cli_print_json(json_pack(
			"{ss sb sI sI sI}", "snapshot_id", id, "hashes_only",
			v->hashes_only, "chunks", (json_int_t)v->chunks,
			"stored_chunks", (json_int_t)v->stored, "bad_chunks",
			(json_int_t)v->bad));
	printf("%s: %llu of %llu chunks stored, %llu bad%s\n", id,
	       (unsigned long long)v->stored, (unsigned long long)v->chunks,
	       (unsigned long long)v->bad,
	       v->hashes_only ? "; hashes only: nobody knows who made it" :
				"; made by who had its key");
	return STATUS_DONE;
}

static int verify(const struct verify *o, const char *id)
{
	struct snapshot_verified v = { 0 };
	struct snapshot_store *st = NULL;
	int r = store_open(&o->store, false, &st), status = STATUS_DONE;

	if (r == 0)
		r = snapshot_verify(st, id, o->hashes_only ? NULL : &o->access,
				    &o->work, &v);
	snapshot_store_close(st);
	if (r == 0 || v.bad)
		status = report(o, id, &v);
	return r < 0 ? (int)status_from_errno(r) : status;
}

int cmd_verify(int argc, char **argv)
{
	struct verify o = {
		.access.conf.environment = true,
		.work.progress = cli_progress,
	};
	const struct cli_option options[] = {
		STORE_OPTIONS(&o.store),
		{ "hashes-only", NULL, cli_set_true, &o.hashes_only,
		  "without the key: finds accidents, not intent" },
		WORK_OPTIONS(&o.work),
		CLI_ACCESS_OPTIONS(&o.access),
		CLI_JSON_OPTION(&o.json),
		{ 0 }
	};
	const struct cli_usage usage = {
		.verb = "verify",
		.arguments = "SNAPSHOT",
		.about = "Read all of a snapshot: every chunk against its SHA-256, and the table of them\n"
			 "against the HMAC of the snapshot's data key, which takes one Decrypt. Every bad\n"
			 "chunk is named; exit status 6 then.\n",
		.min_arguments = 1,
		.max_arguments = 1,
		.options = options,
	};
	char **args;
	int status = cli_parse(&usage, argc, argv, &args);

	if (status == CLI_GO_ON)
		status = check_id("verify", args[0]);
	return status == CLI_GO_ON ? verify(&o, args[0]) : status;
}
