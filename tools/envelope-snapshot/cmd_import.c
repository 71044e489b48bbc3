// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope-snapshot import: from plain to encrypted. */
#include <stdio.h>

#include "audit.h"
#include "cmd.h"
#include "key_rule.h"
#include "status.h"

struct import {
	struct store_wish store;
	struct snapshot_import_options o;
	bool json;
};

static int report(const struct import *o, const struct snapshot_made *m,
		  const struct volume_rule *rule)
{
	char size[16], stored[16];

	if (o->json)
		return cli_print_json(json_pack(
			"{ss ss ss ss sI sI sI so}", "snapshot_id", m->id,
			"created", m->created, "volume_id", m->volume_id,
			"lineage", m->lineage, "size",
			(json_int_t)m->size_bytes, "chunks",
			(json_int_t)m->chunks, "stored_chunks",
			(json_int_t)m->stored, "key_rule",
			key_rule_json(rule)));
	cli_print_size(m->size_bytes, size);
	cli_print_size(m->stored * SNAPSHOT_CHUNK_BYTES, stored);
	printf("%s: encrypted snapshot of '%s', %s, %s stored\n", m->id,
	       o->o.image, size, stored);
	key_rule_print(rule, stdout);
	return STATUS_DONE;
}

static int import(struct import *o)
{
	struct snapshot_made made = { 0 };
	struct volume_rule rule = { 0 };
	struct snapshot_store *st = NULL;
	int r = store_open(&o->store, true, &st);

	if (r == 0)
		r = snapshot_import(st, &o->o, &made, &rule);
	snapshot_store_close(st);
	audit_verb_ended("import", o->o.image,
			 r == 0 ? made.volume_id : NULL, r);
	return r < 0 ? (int)status_from_errno(r) : report(o, &made, &rule);
}

int cmd_import(int argc, char **argv)
{
	struct import o = {
		.o.access.conf.environment = true,
		.o.work.progress = cli_progress,
	};
	const struct cli_option options[] = {
		STORE_OPTIONS(&o.store),
		{ "kms-key", "KEY", cli_set_text, &o.o.kms_key,
		  "id, ARN or alias (default: the default key)" },
		{ "context", "NAME=VALUE", cli_set_pair, &o.o.context,
		  "more pairs of the encryption context" },
		{ "sector-size", "BYTES", cli_set_number, &o.o.sector_size,
		  "encryption block (default: by what is on IMAGE)" },
		{ "no-holes", NULL, cli_set_true, &o.o.no_holes,
		  "encrypt zeros, too: nobody sees where they are" },
		WORK_OPTIONS(&o.o.work),
		CLI_ACCESS_OPTIONS(&o.o.access),
		CLI_JSON_OPTION(&o.json),
		{ 0 }
	};
	const struct cli_usage usage = {
		.verb = "import",
		.arguments = "IMAGE",
		.about = "Encrypt IMAGE, a plain file or block device, into a snapshot under a data key of\n"
			 "its own: 'envelope-snapshot restore' makes volumes of it. Sectors of 512 bytes\n"
			 "stay such where a partition table or a file system counts on them.\n",
		.min_arguments = 1,
		.max_arguments = 1,
		.options = options,
	};
	char **args;
	int status = cli_parse(&usage, argc, argv, &args);

	if (status == CLI_GO_ON) {
		o.o.image = args[0];
		status = import(&o);
	}
	json_decref(o.o.context);
	return status;
}
