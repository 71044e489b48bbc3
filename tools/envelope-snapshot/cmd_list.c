// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope-snapshot list: what a store has. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "json.h"
#include "status.h"

struct list {
	struct store_wish store;
	const char *volume_id;	/* NULL: of every volume */
	const char *lineage;
	bool json;
};

static bool wanted(const struct list *o, const struct snapshot_wrapper *w)
{
	return (!o->volume_id || strcmp(o->volume_id, w->volume_id) == 0) &&
	       (!o->lineage || strcmp(o->lineage, w->lineage) == 0);
}

static void print_row(const struct snapshot_wrapper *w)
{
	const json_t *slots = json_object_get(w->slots, "slots");
	const json_t *slot = json_array_get(slots, 0);
	char *key = header_escape(json_text(slot, "key_id"));
	char size[16];

	cli_print_size(w->size_bytes, size);
	printf("%-22s  %s  %-21s  %9s  %-8s  %s\n", w->snapshot_id, w->created,
	       w->volume_id, size,
	       w->binding == SNAPSHOT_COPY ? "copy" : "snapshot",
	       key ? key : "");
	free(key);
}

/* One whose wrapper cannot be read is told, and makes the list incomplete. */
static int collect(const struct list *o, struct snapshot_store *st,
		   const json_t *ids, json_t *out, int *bad_ret)
{
	const json_t *id;
	size_t i;

	json_array_foreach(ids, i, id) {
		struct snapshot_wrapper w = { 0 };
		int r = snapshot_store_wrapper(st, json_string_value(id), &w);

		/* It may have been deleted meanwhile. */
		if (r < 0 && r != -ENOENT)
			*bad_ret = r;
		if (r < 0)
			continue;
		if (wanted(o, &w) && o->json)
			r = json_array_append_new(out, wrapper_json(&w));
		else if (wanted(o, &w))
			print_row(&w);
		snapshot_wrapper_free(&w);
		if (r < 0)
			return -ENOMEM;
	}
	return 0;
}

static int list(const struct list *o)
{
	struct snapshot_store *st = NULL;
	json_t *ids = NULL, *out = json_array();
	int bad = 0;
	int r = out ? store_open(&o->store, false, &st) : -ENOMEM;

	if (r == 0)
		r = snapshot_store_list(st, &ids);
	if (r == 0)
		r = collect(o, st, ids, out, &bad);
	snapshot_store_close(st);
	json_decref(ids);
	if (r == 0 && o->json) {
		if (cli_print_json(json_incref(out)) != STATUS_DONE)
			r = -EIO;
	}
	json_decref(out);
	return status_from_errno(r < 0 ? r : bad);
}

int cmd_list(int argc, char **argv)
{
	struct list o = { 0 };
	const struct cli_option options[] = {
		STORE_OPTIONS(&o.store),
		{ "volume", "ID", cli_set_volume, &o.volume_id,
		  "of this volume alone" },
		{ "lineage", "DIGITS", cli_set_text, &o.lineage,
		  "that share this data key" },
		CLI_JSON_OPTION(&o.json),
		{ 0 }
	};
	const struct cli_usage usage = {
		.verb = "list",
		.arguments = "",
		.about = "List the snapshots of a store: id, time, volume, size of the volume, whether\n"
			 "it is a copy, and the key. Nobody is asked for a key, and what is shown is\n"
			 "unverified. A snapshot that cannot be read is named, and the exit status is 6.\n",
		.options = options,
	};
	char **args;
	int status = cli_parse(&usage, argc, argv, &args);

	return status == CLI_GO_ON ? list(&o) : status;
}
