/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The frame that the commands of all programs have: table of verbs, option
 * tables, help, output.
 */
#ifndef ENVELOPE_CLI_H
#define ENVELOPE_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "pipeline.h"
#include "volume.h"

#define ENVELOPE_VERSION "0.1.0"

/* One verb. @run gets argv[0] = the verb, and returns the exit status. */
struct command {
	const char *name;
	const char *alias;	/* or NULL */
	const char *help;	/* one line */
	int (*run)(int argc, char **argv);
};

/*
 * One option. The setter converts @value (NULL if the option takes none) into
 * *target. -EINVAL: it has printed why, naming @option.
 */
struct cli_option {
	const char *name;	/* without dashes; NULL ends the table */
	const char *argument;	/* what --help calls it; NULL: takes none */
	int (*set)(void *target, const char *option, const char *value);
	void *target;
	const char *help;
};

struct cli_usage {
	const char *verb;
	const char *arguments;	/* "DEVICE [NAME]" */
	const char *about;	/* lines for --help, each ended by \n */
	int min_arguments;
	int max_arguments;
	const struct cli_option *options;
	/* What --header sets. Not NULL: that option or one argument is a must. */
	const char *const *header;
};

#define CLI_GO_ON (-1)

/*
 * Parse the options, which may stand behind arguments. --help and --version
 * are known to all verbs.
 *
 * CLI_GO_ON with the arguments in *@args_ret, which is part of @argv and ends
 * with NULL; otherwise the status to exit with, everything printed.
 */
int cli_parse(const struct cli_usage *usage, int argc, char **argv,
	      char ***args_ret);

/* Setters. Target: const char *, bool (to true), bool (to false), uint64_t,
 * uint32_t, unsigned int of milliseconds, json_t * (an object of texts), and others. */
int cli_set_text(void *target, const char *option, const char *value);
int cli_set_true(void *target, const char *option, const char *value);
int cli_set_false(void *target, const char *option, const char *value);
/* Bytes: a number, or one with K, M, G or T (powers of 1024). */
int cli_set_bytes(void *target, const char *option, const char *value);
int cli_set_number(void *target, const char *option, const char *value);
/* Seconds, 1 to 3600. */
int cli_set_seconds(void *target, const char *option, const char *value);
/*
 * Lengths of time, as lease_parse_ms(); the target is a uint64_t of milliseconds,
 * or for the next two a struct lease_wish *.
 */
int cli_set_time(void *target, const char *option, const char *value);
int cli_set_lease(void *target, const char *option, const char *value);
int cli_set_grace(void *target, const char *option, const char *value);
int cli_set_volume(void *target, const char *option, const char *value);
/* NAME=VALUE, as often as wanted; the caller frees the object. */
int cli_set_pair(void *target, const char *option, const char *value);

/* Rows that verbs share; @a is a struct volume_access *. */
#define CLI_ACCESS_OPTIONS(a) \
	{ "config", "FILE", cli_set_text, &(a)->conf.config, \
	  "instead of /etc/envelope/envelope.conf" }, \
	{ "kms-endpoint", "URL", cli_set_text, &(a)->conf.endpoint, \
	  "https address of the KMS" }, \
	{ "ca-file", "FILE", cli_set_text, &(a)->conf.ca_file, \
	  "certificates that the KMS must chain to" }, \
	{ "profile", "NAME", cli_set_text, &(a)->conf.profile, \
	  "profile of the AWS credentials" }, \
	{ "region", "REGION", cli_set_text, &(a)->conf.region, \
	  "region of the KMS, where no key ARN says it" }, \
	{ "timeout", "SECONDS", cli_set_seconds, &(a)->timeout_ms, \
	  "time for all that the KMS does (default 30)" }

/* @w is a struct lease_wish *. */
#define CLI_LEASE_OPTIONS(w) \
	{ "lease", "TIME", cli_set_lease, (w), \
	  "how long the key lives without a new grant: 15m; 0: for ever" }, \
	{ "grace", "TIME", cli_set_grace, (w), \
	  "how much longer while the KMS does not answer" }

#define CLI_HEADER_OPTION(p) \
	{ "header", "FILE", cli_set_text, (p), \
	  "the header is in FILE, not on the device" }

#define CLI_VOLUME_OPTION(p) \
	{ "volume", "ID", cli_set_volume, (p), \
	  "refuse any other; for a device that you cannot read, what\n" \
	  "you grant the use of the key for" }

#define CLI_RECOVERY_OPTION(p) \
	{ "recovery-key", "FILE", cli_set_text, (p), \
	  "open it by the recovery key in FILE (- is standard input)" }

#define CLI_JSON_OPTION(p) \
	{ "json", NULL, cli_set_true, (p), "print JSON" }

/*
 * "envelope: VERB: " + text and where help is; returns STATUS_USAGE.
 */
int cli_usage_error(const char *verb, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Print @o and a newline, free @o. 0 or STATUS_FAILED (standard output). */
int cli_print_json(json_t *o);

/* "8.0 GiB" and the like. @ret has 16 bytes. */
void cli_print_size(uint64_t bytes, char ret[16]);

/*
 * How far something is, its rate, and how long it will take: once a second, on
 * standard error if that is a terminal; with --progress to anything, ten seconds
 * apart, each on a line of its own. @now->done_bytes == total_bytes ends it.
 * What takes less than a second says nothing, unless it was asked.
 */
void cli_progress(const struct pipeline_progress *now);

/* Sets what --progress is about; for CLI_PROGRESS_OPTION. */
extern bool cli_progress_wanted;

#define CLI_PROGRESS_OPTION \
	{ "progress", NULL, cli_set_true, &cli_progress_wanted, \
	  "say how far it is, to no terminal, too" }

/*
 * Between these two calls: if it takes over a second, say on standard error
 * that the KMS is waited for, if that is a terminal.
 */
void cli_patience_begin(void);
void cli_patience_end(void);

/*
 * The verb of @verbs, which end with a row of zeros, that argv[1] names: of
 * `envelope @verb VERB`. Its status, or that of the help or the error printed.
 */
int cli_run_verb(const char *verb, const struct command *verbs, int argc,
		 char **argv);

/* The program that messages and help name; "envelope" unless told. */
void cli_set_program(const char *name);

/*
 * cli_main.c: the body of main(), with the verbs of @commands, which end with a
 * row of zeros. The exit status.
 */
int cli_main(const char *program, const struct command *commands, int argc,
	     char **argv);

#endif
