// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope-snapshot copy: under another key, or in another store. */
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "key_rule.h"
#include "status.h"

struct copy {
	struct store_wish store, to;
	struct snapshot_copy_options o;
	bool json;
};

static json_t *to_json(const struct snapshot_copied *c, bool dry_run)
{
	return json_pack("{ss* ss ss ss ss* sb sb sb sI sI sI sI sb so*}",
			 "snapshot_id", c->id[0] ? c->id : NULL, "source_id",
			 c->source_id, "source_key_id", c->source_key_id,
			 "key_id", c->key_id, "parent",
			 c->parent[0] ? c->parent : NULL, "rekeyed",
			 c->rekeyed, "incremental", c->parent[0] != '\0',
			 "resumed", c->resumed, "size",
			 (json_int_t)c->size_bytes, "chunks",
			 (json_int_t)c->chunks, "moved_chunks",
			 (json_int_t)c->moved, "kept_chunks",
			 (json_int_t)c->kept, "dry_run", dry_run, "key_rule",
			 c->rule.key[0] ? key_rule_json(&c->rule) : NULL);
}

/* Before anything is moved: under which key, and how much. */
static void print_plan(const struct snapshot_copied *c)
{
	fprintf(stderr, "from %s\nto   %s\n%s\n", c->source_key_id, c->key_id,
		!c->rekeyed ? "the same key: the same data key, nothing is decrypted" :
		c->parent[0] ? "another key: incremental, what has changed is encrypted anew" :
			       "another key: a full copy, encrypted anew under a data key of its own");
	if (c->rule.key[0])
		key_rule_print(&c->rule, stderr);
}

static int report(const struct copy *o, const struct snapshot_copied *c)
{
	char moved[16];

	if (o->json)
		return cli_print_json(to_json(c, o->o.dry_run));
	if (o->o.dry_run)
		return STATUS_DONE;
	cli_print_size(c->moved * SNAPSHOT_CHUNK_BYTES, moved);
	printf("%s: copy of %s, %s moved%s\n", c->id, c->source_id, moved,
	       c->resumed ? ", begun by an earlier attempt" : "");
	return STATUS_DONE;
}

static int copy(struct copy *o, const char *id)
{
	struct snapshot_store *from = NULL, *to = NULL;
	struct snapshot_copied done = { 0 };
	int r = store_open(&o->store, false, &from);

	if (r == 0 && o->to.url)
		r = store_open(&o->to, !o->o.dry_run, &to);
	o->o.from = from;
	o->o.to = to ? to : from;
	o->o.plan = o->json ? NULL : print_plan;
	if (r == 0)
		r = snapshot_copy(id, &o->o, &done);
	snapshot_store_close(from);
	snapshot_store_close(to);
	return r < 0 ? (int)status_from_errno(r) : report(o, &done);
}

static int check_options(const struct copy *o)
{
	if (o->o.same_key && o->o.kms_key)
		return cli_usage_error("copy", "--same-key and --kms-key exclude each other");
	if (o->o.same_dek && !o->o.same_key && !o->o.kms_key)
		return cli_usage_error("copy", "--same-dek goes with --same-key");
	return CLI_GO_ON;
}

int cmd_copy(int argc, char **argv)
{
	struct copy o = {
		.o.access.conf.environment = true,
		.o.source.conf.environment = true,
		.o.work.progress = cli_progress,
	};
	const struct cli_option options[] = {
		STORE_OPTIONS(&o.store),
		TO_STORE_OPTIONS(&o.to),
		{ "kms-key", "KEY", cli_set_text, &o.o.kms_key,
		  "id, ARN or alias (default: the default key)" },
		{ "same-key", NULL, cli_set_true, &o.o.same_key,
		  "the key of the source, and its data key" },
		{ "same-dek", NULL, cli_set_true, &o.o.same_dek,
		  "so also if that is of another account" },
		{ "context", "NAME=VALUE", cli_set_pair, &o.o.context,
		  "more pairs of the encryption context" },
		{ "full", NULL, cli_set_true, &o.o.full,
		  "a new data key, whatever was copied before" },
		{ "sparse", NULL, cli_set_true, &o.o.sparse,
		  "leave out what was never written, of a volume\n"
		  "                           without holes: it changes then" },
		{ "verify", NULL, cli_set_true, &o.o.whole,
		  "with the same key: read every chunk here, and\n"
		  "                           compare its SHA-256" },
		{ "no-check", NULL, cli_set_true, &o.o.unchecked,
		  "do not read back what was written" },
		{ "dry-run", NULL, cli_set_true, &o.o.dry_run,
		  "print what would be done" },
		SOURCE_OPTIONS(&o.o.source),
		WORK_OPTIONS(&o.o.work),
		CLI_ACCESS_OPTIONS(&o.o.access),
		CLI_JSON_OPTION(&o.json),
		{ 0 }
	};
	const struct cli_usage usage = {
		.verb = "copy",
		.arguments = "SNAPSHOT",
		.about = "Copy a snapshot, as Amazon EBS does: without a key under the default key, not\n"
			 "under that of the source. Under another key it is encrypted anew, under a data\n"
			 "key of its own, or, if there is an earlier copy, what has changed since then;\n"
			 "the result is read back and compared before it appears, and a copy that was\n"
			 "killed is gone on with by the same command. Under the same key (--same-key, or\n"
			 "its name) nothing is decrypted; both share a data key then.\n",
		.min_arguments = 1,
		.max_arguments = 1,
		.options = options,
	};
	char **args;
	int status = cli_parse(&usage, argc, argv, &args);

	if (status == CLI_GO_ON)
		status = check_id("copy", args[0]);
	if (status == CLI_GO_ON)
		status = check_options(&o);
	if (status == CLI_GO_ON) {
		source_default(&o.o.source, &o.o.access);
		status = copy(&o, args[0]);
	}
	json_decref(o.o.context);
	return status;
}
