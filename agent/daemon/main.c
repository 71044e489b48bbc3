// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope-agent: options, hardening, the loop. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "agent.h"
#include "agent_client.h"
#include "attachments.h"
#include "audit.h"
#include "conf.h"
#include "evidence.h"
#include "grant_journal.h"
#include "grants.h"
#include "known.h"
#include "leases.h"
#include "listen.h"
#include "log.h"
#include "messages.h"
#include "opening.h"
#include "policy.h"
#include "process.h"
#include "restore.h"
#include "server.h"
#include "status.h"
#include "worker.h"

struct options {
	const char *socket;
	const char *state_dir;
	const char *policy;
	const char *config;
};

#define GO_ON (-1)

static void print_help(void)
{
	puts("usage: envelope-agent [OPTION...]\n\n"
	     "Attach volumes for those whom /etc/envelope/agent.policy lets; systemd starts\n"
	     "it when somebody asks at " AGENT_SOCKET ". See envelope-agent(8).\n\n"
	     "  --socket PATH    listen there, where systemd passes no socket\n"
	     "  --state FOLDER   instead of " AGENT_STATE_DIR "; pins are above it\n"
	     "  --policy FILE    instead of " AGENT_POLICY "\n"
	     "  --config FILE    instead of " CONF_PATH "; the AWS files\n"
	     "                   credentials and config are beside it\n"
	     "  --help           this text\n"
	     "  --version        print the version");
}

static int parse(int argc, char **argv, struct options *o)
{
	static const struct option table[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "state", required_argument, NULL, 'd' },
		{ "policy", required_argument, NULL, 'p' },
		{ "config", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 }
	};
	int c;

	while ((c = getopt_long(argc, argv, "hV", table, NULL)) != -1) {
		switch (c) {
		case 's':
			o->socket = optarg;
			break;
		case 'd':
			o->state_dir = optarg;
			break;
		case 'p':
			o->policy = optarg;
			break;
		case 'c':
			o->config = optarg;
			break;
		case 'h':
			print_help();
			return STATUS_DONE;
		case 'V':
			puts("envelope-agent " AGENT_VERSION);
			return STATUS_DONE;
		default:
			return STATUS_USAGE;
		}
	}
	if (optind == argc)
		return GO_ON;
	log_error("no argument is wanted, but there is '%s'", argv[optind]);
	return STATUS_USAGE;
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *si,
		     void *data)
{
	(void)si;
	(void)data;
	return sd_event_exit(sd_event_source_get_event(source), 0);
}

/* A policy with a mistake in it changes nothing: the one before goes on. */
static int on_reload(sd_event_source *source, const struct signalfd_siginfo *si,
		     void *data)
{
	struct agent *a = data;
	struct policy *p = NULL;

	(void)source;
	(void)si;
	sd_notify(0, "RELOADING=1");
	if (policy_load(a->policy_path, &p) == 0) {
		policy_free(a->policy);
		a->policy = p;
		log_info("%s: read again", a->policy_path);
	} else {
		log_warn("%s: going on with what it said before",
			 a->policy_path);
	}
	sd_notify(0, "READY=1");
	return 0;
}

static int prepare_loop(struct agent *a)
{
	sigset_t set;
	int r;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	r = sd_event_new(&a->event);
	if (r >= 0)
		r = sd_event_add_signal(a->event, NULL, SIGTERM, on_signal,
					NULL);
	if (r >= 0)
		r = sd_event_add_signal(a->event, NULL, SIGINT, on_signal,
					NULL);
	if (r >= 0)
		r = sd_event_add_signal(a->event, NULL, SIGHUP, on_reload, a);
	/* Where the unit asks for it. */
	if (r >= 0)
		r = sd_event_set_watchdog(a->event, 1);
	if (r < 0)
		log_error("cannot set up the event loop: %s", strerror(-r));
	return r < 0 ? r : 0;
}

/*
 * What is swapped out could not answer when the disk below is the one that
 * waits for us. Pages are locked when they are first used: the libraries have
 * many that never are.
 */
static int lock_memory(void)
{
	if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0)
		return 0;
	log_error("cannot lock memory: %s: raise LimitMEMLOCK",
		  strerror(errno));
	return -errno;
}

/* The folder that @path is in. NULL: no memory. */
static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash != path ? strndup(path, slash - path) :
					strdup(slash ? "/" : ".");
}

static int place_folders(struct agent *a)
{
	a->aws_dir = folder_of(a->config_path);
	a->known_dir = folder_of(a->state_dir);
	if (!a->aws_dir || !a->known_dir) {
		log_error("out of memory");
		return -ENOMEM;
	}
	known_set_dir(a->known_dir);
	audit_set_parent(a->known_dir);
	grant_journal_set_dir(a->state_dir);
	return 0;
}

static int serve(const struct options *o)
{
	struct agent a = {
		.state_dir = o->state_dir,
		.policy_path = o->policy,
		.config_path = o->config,
	};
	bool serving;
	int fd;
	int r;

	r = place_folders(&a);
	if (r == 0)
		r = lock_memory();
	if (r == 0)
		r = prepare_loop(&a);
	if (r == 0)
		r = policy_load(a.policy_path, &a.policy);
	if (r == 0)
		r = attachments_load(a.state_dir, &a.attachments);
	if (r == 0)
		r = restore(&a);
	if (r == 0) {
		fd = listen_open(o->socket);
		r = fd < 0 ? fd : server_new(&a, fd, &a.server);
	}
	serving = r == 0;
	if (serving) {
		messages_start();
		evidence_self("start");
		grants_tidy(&a);
		leases_resume(&a);
		sd_notify(0, "READY=1\nSTATUS=serving");
		r = sd_event_loop(a.event);
		sd_notify(0, "STOPPING=1");
	}
	server_free(a.server);
	/* The last record: who is sent away has one, too. */
	if (serving)
		evidence_self("stop");
	leases_stop();
	openings_stop();
	grants_stop();
	policy_free(a.policy);
	attachments_free(a.attachments);
	sd_event_unref(a.event);
	free(a.aws_dir);
	free(a.known_dir);
	return r;
}

int main(int argc, char **argv)
{
	struct options o = {
		.socket = AGENT_SOCKET,
		.state_dir = AGENT_STATE_DIR,
		.policy = AGENT_POLICY,
		.config = CONF_PATH,
	};
	int status;

	log_init("envelope-agent");
	if (getenv("JOURNAL_STREAM"))
		log_use_journal();
	if (process_harden() < 0) {
		log_error("cannot harden the process");
		return STATUS_FAILED;
	}
	signal(SIGPIPE, SIG_IGN);
	if (argc == 2 && strcmp(argv[1], WORKER_VERB) == 0)
		return worker_main();
	status = parse(argc, argv, &o);
	if (status != GO_ON)
		return status;
	if (geteuid() != 0) {
		log_error("the agent must be root: systemd starts it, by envelope-agent.socket");
		return STATUS_FAILED;
	}
	return status_from_errno(serve(&o));
}
