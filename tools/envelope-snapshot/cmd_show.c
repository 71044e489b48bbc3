// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope-snapshot show: all that can be known of one without its key. */
#include <stdio.h>
#include <stdlib.h>

#include "cmd.h"
#include "json.h"
#include "status.h"

static json_t *to_json(const struct snapshot *s,
		       const struct snapshot_wrapper *w)
{
	const struct header_core *core = header_core(snapshot_header(s));
	const struct snapshot_source *source = snapshot_source(s);
	const char *parent = snapshot_parent(s);
	json_t *o = wrapper_json(w);

	if (!o)
		return NULL;
	json_object_update_new(o, json_pack(
		"{sI sI si sb sb ss ss* ss*}", "chunks",
		(json_int_t)snapshot_chunks(s), "stored_chunks",
		(json_int_t)snapshot_stored_chunks(s), "sector_size",
		(int)core->sector_size, "holes", core->holes,
		"iv_large_sectors", core->iv_large_sectors, "original",
		snapshot_original(s), "parent", parent[0] ? parent : NULL,
		"source", source ? source->snapshot_id : NULL));
	return o;
}

static void print_slots(const struct snapshot_wrapper *w)
{
	const json_t *slot;
	size_t i;

	json_array_foreach(json_object_get(w->slots, "slots"), i, slot) {
		char *key = header_escape(json_text(slot, "key_id"));

		printf("slot %zu        %s\n", i, key ? key : "");
		free(key);
	}
}

static void print_text(const struct snapshot *s,
		       const struct snapshot_wrapper *w)
{
	const struct header_core *core = header_core(snapshot_header(s));
	const struct snapshot_source *source = snapshot_source(s);
	char size[16], stored[16];

	cli_print_size(w->size_bytes, size);
	cli_print_size(snapshot_stored_chunks(s) * SNAPSHOT_CHUNK_BYTES,
		       stored);
	printf("snapshot      %s\ncreated       %s\nvolume        %s\n",
	       w->snapshot_id, w->created, w->volume_id);
	printf("size          %s (%llu bytes), of which %s are stored\n", size,
	       (unsigned long long)w->size_bytes, stored);
	printf("chunks        %llu, %llu of them stored\n",
	       (unsigned long long)snapshot_chunks(s),
	       (unsigned long long)snapshot_stored_chunks(s));
	printf("sector size   %u\nholes         %s\nlineage       %s\n",
	       core->sector_size, core->holes ? "yes" : "no", w->lineage);
	if (w->region[0])
		printf("region        %s\n", w->region);
	if (snapshot_parent(s)[0])
		printf("parent        %s\n", snapshot_parent(s));
	if (source)
		printf("copy of       %s, under another data key\n",
		       source->snapshot_id);
	else if (w->binding == SNAPSHOT_COPY)
		printf("copy of       %s, under the same data key\n",
		       snapshot_original(s));
	print_slots(w);
	puts("Nothing of this is verified: 'envelope-snapshot verify' does that.");
}

static int show(const struct store_wish *wish, const char *id, bool json)
{
	struct snapshot_wrapper w = { 0 };
	struct snapshot_store *st = NULL;
	struct snapshot *s = NULL;
	uint8_t *body = NULL;
	size_t n = 0;
	int r = store_open(wish, false, &st);

	if (r == 0)
		r = snapshot_store_wrapper(st, id, &w);
	if (r == 0)
		r = snapshot_store_load(st, id, &s, &body, &n);
	snapshot_store_close(st);
	free(body);
	if (r < 0)
		r = status_from_errno(r);
	else if (json)
		r = cli_print_json(to_json(s, &w));
	else
		print_text(s, &w);
	snapshot_free(s);
	snapshot_wrapper_free(&w);
	return r;
}

int cmd_show(int argc, char **argv)
{
	struct store_wish wish = { 0 };
	bool json = false;
	const struct cli_option options[] = {
		STORE_OPTIONS(&wish),
		CLI_JSON_OPTION(&json),
		{ 0 }
	};
	const struct cli_usage usage = {
		.verb = "show",
		.arguments = "SNAPSHOT",
		.about = "Show one snapshot: what its wrapper and its body say, unverified.\n",
		.min_arguments = 1,
		.max_arguments = 1,
		.options = options,
	};
	char **args;
	int status = cli_parse(&usage, argc, argv, &args);

	if (status == CLI_GO_ON)
		status = check_id("show", args[0]);
	return status == CLI_GO_ON ? show(&wish, args[0], json) : status;
}
