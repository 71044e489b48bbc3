// SPDX-License-Identifier: GPL-2.0-or-later
/* Option tables to getopt_long(3) and back, and what all verbs print alike. */
#include "cli.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "status.h"

#define MAX_OPTIONS 64
/* Values of getopt_long() for our rows start above any character. */
#define FIRST_OPTION 1000

static const char *program = "envelope";

void cli_set_program(const char *name)
{
	program = name;
}

int cli_usage_error(const char *verb, const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	log_error("%s: %s; see '%s %s --help'", verb, text, program, verb);
	return STATUS_USAGE;
}

static void print_option(const struct cli_option *o)
{
	char left[48];

	snprintf(left, sizeof(left), "--%s%s%s", o->name,
		 o->argument ? " " : "", o->argument ? o->argument : "");
	printf("  %-24s %s\n", left, o->help);
}

static void print_help(const struct cli_usage *usage)
{
	const struct cli_option *o;

	printf("usage: %s %s [OPTION...] %s\n\n%s\n", program, usage->verb,
	       usage->arguments, usage->about);
	for (o = usage->options; o && o->name; o++)
		print_option(o);
	puts("  --help                   this text\n"
	     "  --version                print the version");
}

static int fill_long_options(const struct cli_usage *usage,
			     struct option ret[MAX_OPTIONS + 3])
{
	int n = 0;

	for (; usage->options && usage->options[n].name; n++) {
		if (n == MAX_OPTIONS)
			abort();
		ret[n] = (struct option){
			.name = usage->options[n].name,
			.has_arg = usage->options[n].argument ?
				   required_argument : no_argument,
			.val = FIRST_OPTION + n,
		};
	}
	ret[n] = (struct option){ "help", no_argument, NULL, 'h' };
	ret[n + 1] = (struct option){ "version", no_argument, NULL, 'V' };
	ret[n + 2] = (struct option){ 0 };
	return n;
}

/* getopt_long() says '?' for the unknown, the ambiguous and the unwanted. */
static int complain(const struct cli_usage *usage, char **argv, int c)
{
	const char *word = argv[optind - 1];

	if (c == ':')
		return cli_usage_error(usage->verb, "'%s' needs a value", word);
	if (optopt >= FIRST_OPTION)
		return cli_usage_error(usage->verb, "'--%s' takes no value",
			usage->options[optopt - FIRST_OPTION].name);
	if (optopt && optopt != 'h' && optopt != 'V')
		return cli_usage_error(usage->verb, "no option '-%c'", optopt);
	return cli_usage_error(usage->verb, "no option '%s'", word);
}

static int check_count(const struct cli_usage *usage, int n)
{
	if (n < usage->min_arguments)
		return cli_usage_error(usage->verb,
				       "too few arguments, want: %s",
				       usage->arguments);
	if (n > usage->max_arguments)
		return cli_usage_error(usage->verb,
				       "too many arguments, want: %s",
				       usage->arguments);
	if (usage->header && !*usage->header && n < 1)
		return cli_usage_error(usage->verb,
				       "name a device, or --header");
	return CLI_GO_ON;
}

int cli_parse(const struct cli_usage *usage, int argc, char **argv,
	      char ***args_ret)
{
	struct option options[MAX_OPTIONS + 3];
	const struct cli_option *o;
	int c;

	fill_long_options(usage, options);
	optind = 0;
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":hV", options, NULL)) != -1) {
		if (c == 'h') {
			print_help(usage);
			return STATUS_DONE;
		}
		if (c == 'V') {
			printf("%s " ENVELOPE_VERSION "\n", program);
			return STATUS_DONE;
		}
		if (c < FIRST_OPTION)
			return complain(usage, argv, c);
		o = &usage->options[c - FIRST_OPTION];
		if (o->set(o->target, o->name, optarg) < 0)
			return STATUS_USAGE;
	}
	*args_ret = argv + optind;
	return check_count(usage, argc - optind);
}

int cli_set_text(void *target, const char *option, const char *value)
{
	if (!*value) {
		log_error("--%s: the value is empty", option);
		return -EINVAL;
	}
	*(const char **)target = value;
	return 0;
}

int cli_set_true(void *target, const char *option, const char *value)
{
	(void)option;
	(void)value;
	*(bool *)target = true;
	return 0;
}

int cli_set_false(void *target, const char *option, const char *value)
{
	(void)option;
	(void)value;
	*(bool *)target = false;
	return 0;
}

/* Decimal digits only: strtoull(3) would take signs, blanks and octal. */
static int parse_digits(const char **at, uint64_t *ret)
{
	uint64_t n = 0;

	if (!isdigit((unsigned char)**at))
		return -EINVAL;
	for (; isdigit((unsigned char)**at); (*at)++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(**at - '0'), &n))
			return -EINVAL;
	*ret = n;
	return 0;
}

static int unit_shift(const char *unit)
{
	static const char letters[] = "KMGT";
	const char *at;

	if (!*unit)
		return 0;
	at = strchr(letters, toupper((unsigned char)*unit));
	if (!at || (unit[1] && strcmp(unit + 1, "iB") != 0))
		return -EINVAL;
	return 10 * (int)(at - letters + 1);
}

int cli_set_bytes(void *target, const char *option, const char *value)
{
	const char *at = value;
	uint64_t n;
	int shift;

	if (parse_digits(&at, &n) < 0 || (shift = unit_shift(at)) < 0 ||
	    n == 0 || n > (UINT64_MAX >> 1) >> shift) {
		log_error("--%s: '%s' is no size; want bytes, or a number with K, M, G or T",
			  option, value);
		return -EINVAL;
	}
	*(uint64_t *)target = n << shift;
	return 0;
}

int cli_set_number(void *target, const char *option, const char *value)
{
	const char *at = value;
	uint64_t n;

	if (parse_digits(&at, &n) < 0 || *at || n > UINT32_MAX) {
		log_error("--%s: '%s' is no number", option, value);
		return -EINVAL;
	}
	*(uint32_t *)target = n;
	return 0;
}

int cli_set_seconds(void *target, const char *option, const char *value)
{
	const char *at = value;
	uint64_t n;

	if (parse_digits(&at, &n) < 0 || *at || n < 1 || n > 3600) {
		log_error("--%s: '%s' is not 1 to 3600 seconds", option, value);
		return -EINVAL;
	}
	*(unsigned int *)target = n * 1000;
	return 0;
}

static int set_length(const char *option, const char *value, uint64_t *ms)
{
	int r = lease_parse_ms(value, ms);

	if (r < 0)
		log_error("--%s: '%s' is no length of time up to 30d; want a number and s, m, h or d",
			  option, value);
	return r;
}

int cli_set_time(void *target, const char *option, const char *value)
{
	return set_length(option, value, target);
}

int cli_set_lease(void *target, const char *option, const char *value)
{
	struct lease_wish *wish = target;

	wish->lease_given = true;
	return set_length(option, value, &wish->terms.lease_ms);
}

int cli_set_grace(void *target, const char *option, const char *value)
{
	struct lease_wish *wish = target;

	wish->grace_given = true;
	return set_length(option, value, &wish->terms.grace_ms);
}

int cli_set_volume(void *target, const char *option, const char *value)
{
	if (!header_volume_id_valid(value)) {
		log_error("--%s: '%s' is no volume id", option, value);
		return -EINVAL;
	}
	return cli_set_text(target, option, value);
}

int cli_set_pair(void *target, const char *option, const char *value)
{
	json_t **pairs = target;
	const char *equals = strchr(value, '=');
	char *name;
	int r = 0;

	if (!equals || equals == value) {
		log_error("--%s: '%s' is not NAME=VALUE", option, value);
		return -EINVAL;
	}
	if (!*pairs)
		*pairs = json_object();
	name = strndup(value, equals - value);
	if (!name || !*pairs) {
		log_error("--%s: out of memory", option);
		r = -ENOMEM;
	} else if (json_object_get(*pairs, name)) {
		log_error("--%s: '%s' is given twice", option, name);
		r = -EINVAL;
	} else if (json_object_set_new(*pairs, name,
				       json_string(equals + 1)) < 0) {
		log_error("--%s: '%s' is not UTF-8", option, name);
		r = -EINVAL;
	}
	free(name);
	return r;
}

int cli_run_verb(const char *verb, const struct command *verbs, int argc,
		 char **argv)
{
	const struct command *c;

	if (argc > 1 && strcmp(argv[1], "--help") == 0) {
		printf("usage: %s %s VERB [OPTION...] [ARGUMENT...]\n\n",
		       program, verb);
		for (c = verbs; c->name; c++)
			printf("  %-15s %s\n", c->name, c->help);
		printf("\n'%s %s VERB --help' tells more.\n", program,
		       verb);
		return STATUS_DONE;
	}
	for (c = verbs; argc > 1 && c->name; c++)
		if (strcmp(argv[1], c->name) == 0)
			return c->run(argc - 1, argv + 1);
	if (argc > 1)
		return cli_usage_error(verb, "no verb '%s'", argv[1]);
	return cli_usage_error(verb, "a verb is missing");
}

int cli_print_json(json_t *o)
{
	int r = json_dumpf(o, stdout, JSON_INDENT(2) |
			   JSON_ENCODE_ANY | JSON_ENSURE_ASCII);

	json_decref(o);
	if (r < 0 || putchar('\n') == EOF || fflush(stdout) != 0) {
		log_error("cannot write to standard output: %s",
			  strerror(errno));
		return STATUS_FAILED;
	}
	return STATUS_DONE;
}

void cli_print_size(uint64_t bytes, char ret[16])
{
	static const char *const units[] = {
		"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"
	};
	double n = bytes;
	size_t i = 0;

	while (n >= 1024 && i + 1 < sizeof(units) / sizeof(units[0])) {
		n /= 1024;
		i++;
	}
	snprintf(ret, 16, i ? "%.1f %s" : "%.0f %s", n, units[i]);
}

/* A signal handler may do no more than write(2). */
static void say_waiting(int signal)
{
	static const char text[] = ": waiting for the KMS\n";
	ssize_t n;

	(void)signal;
	n = write(STDERR_FILENO, program, strlen(program));
	n = write(STDERR_FILENO, text, sizeof(text) - 1);
	(void)n;
}

void cli_patience_begin(void)
{
	struct sigaction action = {
		.sa_handler = say_waiting,
		.sa_flags = SA_RESTART,
	};

	if (!isatty(STDERR_FILENO))
		return;
	sigaction(SIGALRM, &action, NULL);
	alarm(1);
}

void cli_patience_end(void)
{
	alarm(0);
}
