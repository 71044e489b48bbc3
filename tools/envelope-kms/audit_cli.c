// SPDX-License-Identifier: GPL-2.0-or-later
/* The command line of `envelope-kms audit`. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "log.h"

static const struct option options[] = {
	{ "key", required_argument, NULL, 'k' },
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static const char help[] =
	"Usage: envelope-kms audit verify DIR [--key FILE] [--json]\n"
	"\n"
	"Checks every digest and log file of the audit trail in DIR.\n"
	"  --key FILE      the public key that was kept elsewhere, in place of\n"
	"                  DIR/audit.pem\n"
	"  --json          one JSON object in place of lines of text\n"
	"\n"
	"The exit status is 1 when anything is wrong.\n";

/* 1: help was printed. */
static int parse(int argc, char **argv, struct audit_verify_options *o)
{
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'h') {
			fputs(help, stdout);
			return 1;
		}
		if (c == 'k')
			o->key = optarg;
		else if (c == 'j')
			o->json = true;
		else
			return -EINVAL;
	}
	if (argc - optind != 2 || strcmp(argv[optind], "verify") != 0) {
		log_error("audit: give verify and a directory; see envelope-kms audit --help");
		return -EINVAL;
	}
	o->dir = argv[optind + 1];
	return 0;
}

int cmd_audit(int argc, char **argv, bool *usage_ret)
{
	struct audit_verify_options o = { .dir = NULL };
	int rc = parse(argc, argv, &o);

	*usage_ret = rc < 0;
	return rc != 0 ? rc : cmd_audit_verify(&o);
}
