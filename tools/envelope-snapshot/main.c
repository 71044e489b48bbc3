// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope-snapshot: the table of verbs. */
#include "cmd.h"

static const struct command commands[] = {
	{ "create", NULL, "make a snapshot of a volume", cmd_create },
	{ "list", NULL, "the snapshots of a store", cmd_list },
	{ "show", NULL, "one snapshot, unverified", cmd_show },
	{ "verify", NULL, "read all of a snapshot", cmd_verify },
	{ "restore", NULL, "make a volume of a snapshot", cmd_restore },
	{ "copy", NULL, "under another key, or to another store", cmd_copy },
	{ "rewrap", NULL, "another KMS key for the same data key",
	  cmd_rewrap },
	{ "import", NULL, "make a snapshot of a plain image", cmd_import },
	{ "export", NULL, "decrypt a snapshot to a plain image", cmd_export },
	{ "diff", NULL, "the chunks that differ between two", cmd_diff },
	{ "share", NULL, "what another account needs to use it", cmd_share },
	{ "delete", NULL, "remove a snapshot", cmd_delete },
	{ "gc", NULL, "remove blocks that no snapshot needs", cmd_gc },
	{ "clean", NULL, "remove what a killed create has left", cmd_clean },
	{ 0 }
};

int main(int argc, char **argv)
{
	return cli_main("envelope-snapshot", commands, argc, argv);
}
