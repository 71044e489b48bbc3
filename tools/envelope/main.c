// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope: the table of verbs. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "log.h"
#include "process.h"
#include "status.h"
#include "volume.h"

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
	{ "metrics", NULL, "what the agent counts, for Prometheus",
	  cmd_metrics },
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_verbs(FILE *to)
{
	size_t i;

	fputs("usage: envelope VERB [OPTION...] [ARGUMENT...]\n\n", to);
	for (i = 0; i < COMMANDS; i++)
		fprintf(to, "  %-15s %s%s%s%s\n", commands[i].name,
			commands[i].help, commands[i].alias ? " (alias " : "",
			commands[i].alias ? commands[i].alias : "",
			commands[i].alias ? ")" : "");
	fputs("\n'envelope VERB --help' tells more; so does envelope(8).\n",
	      to);
}

static const struct command *find_command(const char *verb)
{
	size_t i;

	for (i = 0; i < COMMANDS; i++)
		if (strcmp(verb, commands[i].name) == 0 ||
		    (commands[i].alias && strcmp(verb, commands[i].alias) == 0))
			return &commands[i];
	return NULL;
}

static int run(int argc, char **argv)
{
	const struct command *command;

	if (argc < 2) {
		print_verbs(stderr);
		return STATUS_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
		print_verbs(stdout);
		return STATUS_DONE;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("envelope " ENVELOPE_VERSION);
		return STATUS_DONE;
	}
	if (strcmp(argv[1], VOLUME_REHEARSE_VERB) == 0)
		return status_from_errno(volume_rehearse());
	command = find_command(argv[1]);
	if (!command) {
		log_error("no verb '%s': see 'envelope --help'", argv[1]);
		return STATUS_USAGE;
	}
	return command->run(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
	int status;
	int r;

	log_init("envelope");
	r = process_harden();
	if (r < 0) {
		log_error("cannot harden the process: %s", strerror(-r));
		return STATUS_FAILED;
	}
	/* A closed pipe is an error of write(2), so that undo steps run. */
	signal(SIGPIPE, SIG_IGN);
	status = run(argc, argv);
	if ((fflush(stdout) != 0 || ferror(stdout)) && status == STATUS_DONE) {
		log_error("cannot write to standard output: %s",
			  strerror(errno));
		return STATUS_FAILED;
	}
	return status;
}
