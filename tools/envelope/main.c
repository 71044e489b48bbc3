// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope: the table of verbs. */
#include "cmd.h"

static const struct command commands[] = {
	{ "format", NULL, "make a volume under a KMS key", cmd_format },
	{ "attach", "open", "make the plaintext device", cmd_attach },
	{ "detach", "close", "remove it, and its key", cmd_detach },
	{ "lock", NULL, "take its key away; it stays attached", cmd_lock },
	{ "unlock", NULL, "ask the KMS, and go on", cmd_unlock },
	{ "renew", NULL, "ask the KMS whether it may stay", cmd_renew },
	{ "status", NULL, "how an attached volume is doing", cmd_status },
	{ "events", NULL, "what happens to volumes, as it happens",
	  cmd_events },
	{ "list", NULL, "attached volumes; --all: others too", cmd_list },
	{ "inspect", NULL, "show a header, unverified", cmd_inspect },
	{ "check", NULL, "verify a header; --repair mends it", cmd_check },
	{ "rewrap", NULL, "move a volume to another KMS key", cmd_rewrap },
	{ "slot", NULL, "list, add, remove: other KMS keys", cmd_slot },
	{ "recovery-key", NULL, "add: open it without a KMS",
	  cmd_recovery_key },
	{ "resize", NULL, "grow or shrink a volume", cmd_resize },
	{ "header-backup", NULL, "save a header to a file",
	  cmd_header_backup },
	{ "header-restore", NULL, "put a saved header back",
	  cmd_header_restore },
	{ "erase", NULL, "destroy a header: the data are gone", cmd_erase },
	{ "export", NULL, "decrypt a volume to a file, in user space",
	  cmd_export },
	{ "default", NULL, "encryption by default, and with which key",
	  cmd_default },
	{ "doctor", NULL, "what would keep volumes from being attached",
	  cmd_doctor },
	{ "audit", NULL, "verify or show what was done on this host",
	  cmd_audit },
	{ "lineage", NULL, "which volumes share a data key", cmd_lineage },
	{ "tab", NULL, "list, check, attach: what envelopetab names", cmd_tab },
	{ "metrics", NULL, "what the agent counts, for Prometheus",
	  cmd_metrics },
	{ 0 }
};

int main(int argc, char **argv)
{
	return cli_main("envelope", commands, argc, argv);
}
