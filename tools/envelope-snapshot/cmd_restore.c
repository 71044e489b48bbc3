// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope-snapshot restore: a new volume. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "audit.h"
#include "cmd.h"
#include "key_rule.h"
#include "log.h"
#include "status.h"

struct restore {
	struct store_wish store;
	struct snapshot_restore_options o;
	bool json;
};

static json_t *to_json(const struct snapshot_restored *t, bool dry_run)
{
	return json_pack("{ss ss ss ss ss sI si sb sb sI sb so*}", "snapshot_id",
			 t->snapshot_id, "volume_id", t->core.volume_id,
			 "source_key_id", t->source_key_id, "key_id",
			 t->key_id, "lineage", t->core.lineage, "size",
			 (json_int_t)t->core.size_bytes, "sector_size",
			 (int)t->core.sector_size, "rekeyed", t->rekeyed,
			 "detached", t->core.detached, "stored_chunks",
			 (json_int_t)t->stored, "dry_run", dry_run, "key_rule",
			 t->rule.key[0] ? key_rule_json(&t->rule) : NULL);
}

static int report(const struct restore *o, const char *target,
		  const struct snapshot_restored *t)
{
	char size[16];

	if (o->json)
		return cli_print_json(to_json(t, o->o.dry_run));
	cli_print_size(t->core.size_bytes, size);
	printf("%s: %s %s, %s, sectors of %u bytes, of %s, under %s\n", target,
	       o->o.dry_run ? "would be" : "volume",
	       o->o.dry_run ? "a volume" : t->core.volume_id, size,
	       t->core.sector_size, t->snapshot_id, t->key_id);
	puts(t->rekeyed ? "encrypted anew, under a data key of its own" :
	     "under the data key of the snapshot");
	if (t->rule.key[0])
		key_rule_print(&t->rule, stdout);
	return STATUS_DONE;
}

/* A volume is its newest snapshot. */
static int find(struct snapshot_store *st, const char *word,
		char ret[HEADER_SNAPSHOT_ID_CHARS])
{
	if (header_volume_id_valid(word))
		return find_newest(st, word, ret);
	snprintf(ret, HEADER_SNAPSHOT_ID_CHARS, "%s", word);
	return 0;
}

static int restore(const struct restore *o, const char *word)
{
	char id[HEADER_SNAPSHOT_ID_CHARS];
	struct snapshot_restored done = { 0 };
	struct snapshot_store *st = NULL;
	int r = store_open(&o->store, false, &st);

	if (r == 0)
		r = find(st, word, id);
	if (r == 0)
		r = snapshot_restore(st, id, &o->o, &done);
	if (!o->o.dry_run)
		audit_verb_ended("restore", o->o.target,
				 r == 0 ? done.core.volume_id : NULL, r);
	snapshot_store_close(st);
	return r < 0 ? (int)status_from_errno(r) :
		       report(o, o->o.target, &done);
}

static int check_word(const char *word)
{
	return header_volume_id_valid(word) ? CLI_GO_ON :
	       check_id("restore", word);
}

int cmd_restore(int argc, char **argv)
{
	struct restore o = {
		.o.access.conf.environment = true,
		.o.source.conf.environment = true,
		.o.work.progress = cli_progress,
	};
	const struct cli_option options[] = {
		STORE_OPTIONS(&o.store),
		{ "kms-key", "KEY", cli_set_text, &o.o.kms_key,
		  "another key, and data key (default: the snapshot's;\n"
		  "                           the default key if it is another account's)" },
		{ "same-dek", NULL, cli_set_true, &o.o.same_dek,
		  "keep key and data key of another account" },
		{ "context", "NAME=VALUE", cli_set_pair, &o.o.context,
		  "more pairs of the encryption context" },
		CLI_HEADER_OPTION(&o.o.header_path),
		CLI_LEASE_OPTIONS(&o.o.lease),
		{ "force", NULL, cli_set_true, &o.o.force,
		  "overwrite what is on TARGET" },
		{ "dry-run", NULL, cli_set_true, &o.o.dry_run,
		  "check key and target; write nothing" },
		SOURCE_OPTIONS(&o.o.source),
		WORK_OPTIONS(&o.o.work),
		CLI_ACCESS_OPTIONS(&o.o.access),
		CLI_JSON_OPTION(&o.json),
		{ 0 }
	};
	const struct cli_usage usage = {
		.verb = "restore",
		.arguments = "SNAPSHOT|VOLUME TARGET",
		.about = "Make a new volume of a snapshot, or of the newest one of a volume, on TARGET: a\n"
			 "block device, or a file, which is sparse then. Under the snapshot's own key its\n"
			 "ciphertext is copied, and the key wrapped anew for the new volume id; under\n"
			 "another key everything is encrypted anew. What is absent in the snapshot reads\n"
			 "as zeros. The header is written last.\n",
		.min_arguments = 2,
		.max_arguments = 2,
		.options = options,
	};
	char **args;
	int status = cli_parse(&usage, argc, argv, &args);

	if (status == CLI_GO_ON)
		status = check_word(args[0]);
	if (status == CLI_GO_ON) {
		o.o.target = args[1];
		source_default(&o.o.source, &o.o.access);
		status = restore(&o, args[0]);
	}
	json_decref(o.o.context);
	return status;
}
