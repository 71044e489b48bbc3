// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope-snapshot rewrap: one, or all that are under a key. */
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "json.h"
#include "log.h"
#include "status.h"

struct rewrap {
	struct store_wish store;
	const char *kms_key;
	const char *all_under;	/* key id; NULL: one snapshot */
	uint32_t slot;
	struct volume_access access;
	bool dry_run;
	bool json;
	json_t *out;		/* what was done */
};

static int rewrap_one(struct rewrap *o, struct snapshot_store *st,
		      const char *id, size_t slot)
{
	char old_key[VOLUME_KEY_ID_CHARS] = "", new_key[VOLUME_KEY_ID_CHARS];
	int r = 0;

	snprintf(new_key, sizeof(new_key), "%s", o->kms_key);
	if (!o->dry_run)
		r = snapshot_rewrap(st, id, slot, o->kms_key, &o->access,
				    old_key, new_key);
	if (r == 0 && o->json)
		return json_array_append_new(o->out, json_pack(
			"{ss sI ss* ss sb}", "snapshot_id", id, "slot",
			(json_int_t)slot, "old_key_id",
			old_key[0] ? old_key : NULL, "key_id", new_key,
			"dry_run", o->dry_run));
	if (r == 0)
		printf("%s: slot %zu %s %s\n", id, slot,
		       o->dry_run ? "would move to" : "moved to", new_key);
	return r;
}

/*
 * Every slot under the old key. Those that were moved are not found again, so
 * an interrupted run is gone on with by the same command.
 */
static int rewrap_all(struct rewrap *o, struct snapshot_store *st)
{
	json_t *ids = NULL;
	const json_t *id, *slot;
	size_t i, n;
	int bad = 0, r = snapshot_store_list(st, &ids);

	json_array_foreach(ids, i, id) {
		const char *name = json_string_value(id);
		struct snapshot_wrapper w = { 0 };
		int one = snapshot_store_wrapper(st, name, &w);

		json_array_foreach(json_object_get(w.slots, "slots"), n, slot)
			if (one == 0 && strcmp(json_text(slot, "key_id"),
					       o->all_under) == 0)
				one = rewrap_one(o, st, name, n);
		snapshot_wrapper_free(&w);
		bad = one < 0 ? one : bad;
	}
	json_decref(ids);
	return r < 0 ? r : bad;
}

static int rewrap(struct rewrap *o, const char *id)
{
	struct snapshot_store *st = NULL;
	int r = store_open(&o->store, false, &st);

	if (r == 0)
		r = id ? rewrap_one(o, st, id, o->slot) : rewrap_all(o, st);
	snapshot_store_close(st);
	if (o->json && cli_print_json(json_incref(o->out)) != STATUS_DONE)
		r = -1;
	return r < 0 ? (int)status_from_errno(r) : STATUS_DONE;
}

static int check_options(const struct rewrap *o, const char *id)
{
	if (!o->kms_key)
		return cli_usage_error("rewrap", "--kms-key is missing");
	if (!id == !o->all_under)
		return cli_usage_error("rewrap", "name a snapshot, or --all-under a key");
	return id ? check_id("rewrap", id) : CLI_GO_ON;
}

int cmd_rewrap(int argc, char **argv)
{
	struct rewrap o = { .access.conf.environment = true };
	const struct cli_option options[] = {
		STORE_OPTIONS(&o.store),
		{ "kms-key", "KEY", cli_set_text, &o.kms_key,
		  "the new key: id, ARN or alias" },
		{ "slot", "N", cli_set_number, &o.slot,
		  "which slot of SNAPSHOT to move (default 0)" },
		{ "all-under", "ARN", cli_set_text, &o.all_under,
		  "every slot of the store under this key" },
		{ "dry-run", NULL, cli_set_true, &o.dry_run,
		  "print what would be done" },
		CLI_ACCESS_OPTIONS(&o.access),
		CLI_JSON_OPTION(&o.json),
		{ 0 }
	};
	const struct cli_usage usage = {
		.verb = "rewrap",
		.arguments = "[SNAPSHOT] --kms-key KEY",
		.about = "Wrap the data key of a snapshot under another KMS key of its region, inside the\n"
			 "KMS. A snapshot keeps its key when its volume is moved to another one, and dies\n"
			 "with that key. What was interrupted is gone on with by the same command.\n",
		.max_arguments = 1,
		.options = options,
	};
	char **args;
	int status = cli_parse(&usage, argc, argv, &args);

	if (status == CLI_GO_ON)
		status = check_options(&o, args[0]);
	if (status != CLI_GO_ON)
		return status;
	o.out = json_array();
	status = o.out ? rewrap(&o, args[0]) : STATUS_FAILED;
	json_decref(o.out);
	return status;
}
