// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope-snapshot diff: the chunks in which two snapshots differ. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "log.h"
#include "status.h"

/* As EBS has it: where a chunk is missing it has nothing there. */
enum difference { SAME, CHANGED, ONLY_FIRST, ONLY_SECOND };

static const char *const difference_names[] = {
	[CHANGED] = "changed",
	[ONLY_FIRST] = "removed",
	[ONLY_SECOND] = "added",
};

static enum difference compare(const struct snapshot *a,
			       const struct snapshot *b, uint64_t index)
{
	const uint8_t *first = snapshot_digest(a, index);
	const uint8_t *second = snapshot_digest(b, index);

	if (!first && !second)
		return SAME;
	if (!second)
		return ONLY_FIRST;
	if (!first)
		return ONLY_SECOND;
	return memcmp(first, second, SNAPSHOT_DIGEST_BYTES) ? CHANGED : SAME;
}

static int print(const struct snapshot *a, const struct snapshot *b, bool json)
{
	uint64_t chunks_a = snapshot_chunks(a), chunks_b = snapshot_chunks(b);
	uint64_t i = 0, next_a, next_b, changed = 0;
	json_t *list = json_array();
	int r = list ? 0 : -ENOMEM;

	while (r == 0) {
		enum difference d;

		next_a = snapshot_next_stored(a, i);
		next_b = snapshot_next_stored(b, i);
		if (next_a >= chunks_a && next_b >= chunks_b)
			break;
		/* The one that has ended has its end here. */
		if (next_a >= chunks_a)
			i = next_b;
		else if (next_b >= chunks_b)
			i = next_a;
		else
			i = next_a < next_b ? next_a : next_b;
		d = compare(a, b, i);
		changed += d != SAME;
		if (d != SAME && json)
			r = json_array_append_new(list, json_pack(
				"{sI ss}", "chunk", (json_int_t)i, "change",
				difference_names[d]));
		else if (d != SAME)
			printf("%llu %s\n", (unsigned long long)i,
			       difference_names[d]);
		i++;
	}
	if (r == 0 && json)
		return cli_print_json(json_pack(
			"{ss ss si sI so}", "first", snapshot_id(a), "second",
			snapshot_id(b), "chunk_size", SNAPSHOT_CHUNK_BYTES,
			"changed_chunks", (json_int_t)changed, "chunks",
			list));
	json_decref(list);
	return r < 0 ? STATUS_FAILED : STATUS_DONE;
}

static int load(struct snapshot_store *st, const char *id,
		struct snapshot **ret)
{
	uint8_t *body = NULL;
	size_t n = 0;
	int r = snapshot_store_load(st, id, ret, &body, &n);

	free(body);
	return r;
}

/* Equal plaintexts of two lineages have nothing in common. */
static int check_lineage(const struct snapshot *a, const struct snapshot *b)
{
	const char *of_a = header_core(snapshot_header(
		(struct snapshot *)a))->lineage;
	const char *of_b = header_core(snapshot_header(
		(struct snapshot *)b))->lineage;

	if (strcmp(of_a, of_b) == 0)
		return 0;
	log_error("%s and %s are of different lineages: nothing of them can be compared",
		  snapshot_id(a), snapshot_id(b));
	return -EINVAL;
}

static int diff(const struct store_wish *wish, char **ids, bool json)
{
	struct snapshot *a = NULL, *b = NULL;
	struct snapshot_store *st = NULL;
	int r = store_open(wish, false, &st);

	if (r == 0)
		r = load(st, ids[0], &a);
	if (r == 0)
		r = load(st, ids[1], &b);
	snapshot_store_close(st);
	if (r == 0)
		r = check_lineage(a, b);
	r = r < 0 ? (int)status_from_errno(r) : print(a, b, json);
	snapshot_free(a);
	snapshot_free(b);
	return r;
}

int cmd_diff(int argc, char **argv)
{
	struct store_wish wish = { 0 };
	bool json = false;
	const struct cli_option options[] = {
		STORE_OPTIONS(&wish),
		CLI_JSON_OPTION(&json),
		{ 0 }
	};
	const struct cli_usage usage = {
		.verb = "diff",
		.arguments = "FIRST SECOND",
		.about = "List the chunks of 512 KiB in which two snapshots of one lineage differ: their\n"
			 "number, and whether they were changed, added or removed. No key is needed.\n",
		.min_arguments = 2,
		.max_arguments = 2,
		.options = options,
	};
	char **args;
	int status = cli_parse(&usage, argc, argv, &args);

	if (status == CLI_GO_ON)
		status = check_id("diff", args[0]);
	if (status == CLI_GO_ON)
		status = check_id("diff", args[1]);
	return status == CLI_GO_ON ? diff(&wish, args, json) : status;
}
