// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope-kms: the command line. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit_digest.h"
#include "certs.h"
#include "commands.h"
#include "listen.h"
#include "log.h"
#include "process.h"
#include "rotation.h"

#define VERSION "0.1.0"

enum status { STATUS_DONE = 0, STATUS_FAILED = 1, STATUS_USAGE = 2 };

static const char help[] =
	"Usage: envelope-kms init DIR [--host NAME]... [--port N] [--listen ADDR]\n"
	"                             [--region NAME]... [--account ID]\n"
	"                             [--test [--seed FILE]]\n"
	"       envelope-kms serve DIR [--listen ADDR] [--port N]\n"
	"                             [--region NAME]... [--on-demand-rotations N]\n"
	"                             [--test-clock-file FILE]\n"
	"                             [--digest-seconds N] [--rate N]\n"
	"                             [--client-ca FILE] [--journal]\n"
	"                             [--plain-http] [--socket-mode MODE]\n"
	"       envelope-kms backup DIR FILE [--json]\n"
	"       envelope-kms restore FILE DIR --from OLD [--json]\n"
	"       envelope-kms check DIR [--json]\n"
	"       envelope-kms audit verify DIR [--key FILE] [--json]\n"
	"       envelope-kms identity VERB DIR [ARGUMENT]...\n"
	"       envelope-kms policy-lint FILE\n"
	"       envelope-kms --help | --version\n"
	"\n"
	"A key management server that speaks the AWS KMS protocol.\n"
	"\n"
	"init makes DIR: root key, certificates, database, an administrator with\n"
	"credentials in AWS format, and a key called alias/envelope.\n"
	"  --host NAME     another name or address of this server, for its certificate;\n"
	"                  the first is the one that clients are told\n"
	"  --port N        port, 8443 by default\n"
	"  --listen ADDR   address to listen on, 127.0.0.1 by default\n"
	"  --region NAME   a region that the server is, us-east-1 by default\n"
	"  --account ID    account of 12 digits, 111122223333 by default\n"
	"  --test          for tests only: serve takes --test-clock-file with it\n"
	"  --seed FILE     with --test: keys with the ids and the material in FILE\n"
	"\n"
	"serve answers requests until SIGTERM.\n"
	"  --listen ADDR   in place of what init was told; unix:PATH for a UNIX socket\n"
	"  --port N        in place of what init was told; 0: any free port, which\n"
	"                  DIR/endpoint names\n"
	"  --region NAME   in place of the regions that init was told\n"
	"  --on-demand-rotations N  how often a key may be rotated on demand, 25 by\n"
	"                  default\n"
	"  --rate N        calls a second that each account may make, and twice as many\n"
	"                  at once; any number by default\n"
	"  --client-ca FILE  clients must have a certificate that one of the authorities\n"
	"                  in FILE has signed\n"
	"  --journal       copies each record of the audit trail to the journal\n"
	"  --plain-http    without TLS: on a UNIX socket, or on a loopback address,\n"
	"                  where nothing secret is answered\n"
	"  --socket-mode MODE  of the UNIX socket, in octal; 600 by default\n"
	"  --digest-seconds N  between signed digests of the audit trail, 3600 by\n"
	"                  default\n"
	"  --test-clock-file FILE  the clock is off by the seconds in FILE, which may\n"
	"                  change; refused unless init was told --test\n"
	"\n"
	"backup writes the database of DIR into an encrypted file; restore makes a\n"
	"directory of it, and of the root key, the subkeys and the audit trail, which\n"
	"are in no backup; check looks for damage. See their --help.\n"
	"\n"
	"identity manages accounts, users, roles, access keys and policies;\n"
	"policy-lint says where a policy lets too many decrypt. See their --help.\n"
	"\n"
	"Losing DIR loses every volume.\n";

static const struct option options[] = {
	{ "host", required_argument, NULL, 'h' },
	{ "port", required_argument, NULL, 'p' },
	{ "listen", required_argument, NULL, 'l' },
	{ "region", required_argument, NULL, 'r' },
	{ "on-demand-rotations", required_argument, NULL, 'o' },
	{ "account", required_argument, NULL, 'a' },
	{ "test", no_argument, NULL, 't' },
	{ "seed", required_argument, NULL, 's' },
	{ "rate", required_argument, NULL, 'R' },
	{ "digest-seconds", required_argument, NULL, 'd' },
	{ "test-clock-file", required_argument, NULL, 'c' },
	{ "client-ca", required_argument, NULL, 'C' },
	{ "journal", no_argument, NULL, 'j' },
	{ "plain-http", no_argument, NULL, 'P' },
	{ "socket-mode", required_argument, NULL, 'm' },
	{ "help", no_argument, NULL, '?' + 1 },
	{ "version", no_argument, NULL, '?' + 2 },
	{ NULL, 0, NULL, 0 },
};

struct arguments {
	const char *verb;
	struct init_options init;
	struct serve_options serve;
	int finished; /* --help or --version has been answered */
};

/* 0 to 65535; -1: not a port. */
static int parse_port(const char *text)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	if (errno || end == text || *end || n < 0 || n > 65535)
		return -1;
	return (int)n;
}

static int take_host(struct arguments *a, const char *host)
{
	if (!certs_host_ok(host)) {
		log_error("--host %s: not a host name or address", host);
		return -EINVAL;
	}
	if (a->init.host_count == HOSTS_MAX) {
		log_error("--host: more than %d", HOSTS_MAX);
		return -EINVAL;
	}
	a->init.hosts[a->init.host_count++] = host;
	return 0;
}

static int take_port(struct arguments *a, const char *text)
{
	a->serve.port = a->init.port = parse_port(text);
	if (a->init.port >= 0)
		return 0;
	log_error("--port %s: not a port number", text);
	return -EINVAL;
}

static int take_region(struct arguments *a, const char *name)
{
	int rc = region_append(a->init.regions, name);

	if (rc == 0)
		strcpy(a->serve.regions, a->init.regions);
	else if (rc == -ENOSPC)
		log_error("--region: more than fit into %d characters",
			  REGIONS_BYTES);
	else
		log_error("--region %s: %s", name, rc == -EEXIST ?
			  "named twice" : "not a region name");
	return rc;
}

static int take_limit(struct arguments *a, const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);

	a->serve.rotation_limit = (int)n;
	if (end != text && !*end && n >= 0 && n <= 1000000)
		return 0;
	log_error("--on-demand-rotations %s: not a number from 0 to 1000000",
		  text);
	return -EINVAL;
}

static int take_seconds(struct arguments *a, const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);

	a->serve.digest_seconds = (int)n;
	if (*text && !*end && n >= 1 && n <= 86400)
		return 0;
	log_error("--digest-seconds %s: not a number from 1 to 86400", text);
	return -EINVAL;
}

static int take_rate(struct arguments *a, const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);

	a->serve.rate = (unsigned int)n;
	if (*text && !*end && n >= 1 && n <= 1000000)
		return 0;
	log_error("--rate %s: not a number from 1 to 1000000", text);
	return -EINVAL;
}

static int take_mode(struct arguments *a, const char *text)
{
	char *end;
	long n = strtol(text, &end, 8);

	a->serve.socket_mode = (mode_t)n;
	if (*text && !*end && n >= 0600 && n <= 0777 && (n & 0600) == 0600)
		return 0;
	log_error("--socket-mode %s: not a mode from 600 to 777 that lets the server itself read and write",
		  text);
	return -EINVAL;
}

static int take_option(struct arguments *a, int c)
{
	switch (c) {
	case 'h':
		return take_host(a, optarg);
	case 'p':
		return take_port(a, optarg);
	case 'l':
		a->init.listen = a->serve.listen = optarg;
		return 0;
	case 'r':
		return take_region(a, optarg);
	case 'a':
		a->init.account = optarg;
		return 0;
	case 'o':
		return take_limit(a, optarg);
	case 't':
		a->init.test = 1;
		return 0;
	case 's':
		a->init.seed = optarg;
		return 0;
	case 'R':
		return take_rate(a, optarg);
	case 'd':
		return take_seconds(a, optarg);
	case 'c':
		a->serve.test_clock = optarg;
		return 0;
	case 'C':
		a->serve.client_ca = optarg;
		return 0;
	case 'j':
		a->serve.journal = true;
		return 0;
	case 'P':
		a->serve.plain_http = true;
		return 0;
	case 'm':
		return take_mode(a, optarg);
	case '?' + 1:
		fputs(help, stdout);
		a->finished = 1;
		return 0;
	case '?' + 2:
		puts("envelope-kms " VERSION);
		a->finished = 1;
		return 0;
	}
	return -EINVAL;
}

static int check_init(struct init_options *o)
{
	if (strlen(o->account) != 12 ||
	    strspn(o->account, "0123456789") != 12) {
		log_error("--account %s: not 12 digits", o->account);
		return -EINVAL;
	}
	if (o->seed && !o->test) {
		log_error("--seed: known key material is for tests only; give --test as well");
		return -EINVAL;
	}
	if (!*o->regions)
		strcpy(o->regions, DEFAULT_REGION);
	if (listen_is_unix(o->listen)) {
		log_error("--listen %s: only serve listens on a UNIX socket; give init the address of hosts",
			  o->listen);
		return -EINVAL;
	}
	if (o->port < 1) {
		log_error("--port 0: init needs a fixed port; serve may choose one");
		return -EINVAL;
	}
	return 0;
}

static int check_serve(const struct serve_options *o)
{
	if (!o->plain_http || !o->client_ca)
		return 0;
	log_error("--client-ca: plain HTTP knows no certificates; leave out --plain-http");
	return -EINVAL;
}

static int parse(int argc, char **argv, struct arguments *a)
{
	int c, rc = 0;

	while (rc == 0 && !a->finished &&
	       (c = getopt_long(argc, argv, "", options, NULL)) != -1)
		rc = take_option(a, c);
	if (rc < 0 || a->finished)
		return rc;
	if (argc - optind != 2) {
		log_error("give a verb and a directory; see envelope-kms --help");
		return -EINVAL;
	}
	a->verb = argv[optind];
	a->init.dir = a->serve.dir = argv[optind + 1];
	if (strcmp(a->verb, "init") == 0)
		return check_init(&a->init);
	if (strcmp(a->verb, "serve") == 0 && !a->init.host_count &&
	    !a->init.seed)
		return check_serve(&a->serve);
	log_error("%s: %s; see envelope-kms --help", a->verb,
		  strcmp(a->verb, "serve") ? "no such verb" :
		  a->init.seed ? "--seed belongs to init" :
				 "--host belongs to init");
	return -EINVAL;
}

/* Verbs with a command line of their own. */
static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} verbs[] = {
	{ "backup", cmd_backup },
	{ "restore", cmd_restore },
	{ "check", cmd_check },
	{ "identity", cmd_identity },
	{ "policy-lint", cmd_policy_lint },
};

static int status_of(int rc)
{
	return rc == -EINVAL ? STATUS_USAGE : rc < 0 ? STATUS_FAILED :
						       STATUS_DONE;
}

static int run(int argc, char **argv)
{
	struct arguments a = {
		.init = { .account = DEFAULT_ACCOUNT,
			  .listen = DEFAULT_LISTEN, .port = DEFAULT_PORT },
		.serve = { .port = -1, .digest_seconds = AUDIT_DIGEST_SECONDS,
			   .rotation_limit = ROTATION_LIMIT,
			   .socket_mode = LISTEN_MODE },
	};
	bool usage = false;
	size_t i;
	int rc;

	if (argc > 1 && strcmp(argv[1], "audit") == 0) {
		rc = cmd_audit(argc - 1, argv + 1, &usage);
		return usage ? STATUS_USAGE :
		       rc < 0 ? STATUS_FAILED : STATUS_DONE;
	}
	for (i = 0; argc > 1 && i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(argv[1], verbs[i].name) == 0)
			return status_of(verbs[i].run(argc - 1, argv + 1));
	if (parse(argc, argv, &a) < 0)
		return STATUS_USAGE;
	if (a.finished)
		return STATUS_DONE;
	rc = strcmp(a.verb, "init") == 0 ? cmd_init(&a.init) :
					   cmd_serve(&a.serve);
	return rc < 0 ? STATUS_FAILED : STATUS_DONE;
}

int main(int argc, char **argv)
{
	int rc = process_harden(), status;

	log_init("envelope-kms");
	if (rc < 0) {
		log_error("cannot harden the process: %s", strerror(-rc));
		return STATUS_FAILED;
	}
	status = run(argc, argv);
	if (fflush(stdout) != 0 && status == STATUS_DONE) {
		log_error("cannot write to standard output: %s",
			  strerror(errno));
		return STATUS_FAILED;
	}
	return status;
}
