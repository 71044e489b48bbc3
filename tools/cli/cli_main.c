// SPDX-License-Identifier: GPL-2.0-or-later
/* What all programs do around the verb that they are called with. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "log.h"
#include "process.h"
#include "status.h"
#include "volume.h"

static void print_verbs(const char *program, const struct command *commands,
			FILE *to)
{
	const struct command *c;

	fprintf(to, "usage: %s VERB [OPTION...] [ARGUMENT...]\n\n", program);
	for (c = commands; c->name; c++)
		fprintf(to, "  %-15s %s%s%s%s\n", c->name, c->help,
			c->alias ? " (alias " : "", c->alias ? c->alias : "",
			c->alias ? ")" : "");
	fprintf(to, "\n'%s VERB --help' tells more; so does %s(8).\n",
		program, program);
}

static const struct command *find_command(const struct command *commands,
					  const char *verb)
{
	const struct command *c;

	for (c = commands; c->name; c++)
		if (strcmp(verb, c->name) == 0 ||
		    (c->alias && strcmp(verb, c->alias) == 0))
			return c;
	return NULL;
}

static int run(const char *program, const struct command *commands, int argc,
	       char **argv)
{
	const struct command *command;

	if (argc < 2) {
		print_verbs(program, commands, stderr);
		return STATUS_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
		print_verbs(program, commands, stdout);
		return STATUS_DONE;
	}
	if (strcmp(argv[1], "--version") == 0) {
		printf("%s " ENVELOPE_VERSION "\n", program);
		return STATUS_DONE;
	}
	if (strcmp(argv[1], VOLUME_REHEARSE_VERB) == 0)
		return status_from_errno(volume_rehearse());
	command = find_command(commands, argv[1]);
	if (!command) {
		log_error("no verb '%s': see '%s --help'", argv[1], program);
		return STATUS_USAGE;
	}
	return command->run(argc - 1, argv + 1);
}

int cli_main(const char *program, const struct command *commands, int argc,
	     char **argv)
{
	int status;
	int r;

	log_init(program);
	cli_set_program(program);
	r = process_harden();
	if (r < 0) {
		log_error("cannot harden the process: %s", strerror(-r));
		return STATUS_FAILED;
	}
	/* A closed pipe is an error of write(2), so that undo steps run. */
	signal(SIGPIPE, SIG_IGN);
	status = run(program, commands, argc, argv);
	if ((fflush(stdout) != 0 || ferror(stdout)) && status == STATUS_DONE) {
		log_error("cannot write to standard output: %s",
			  strerror(errno));
		return STATUS_FAILED;
	}
	return status;
}
