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
#include "listen.h"
#include "log.h"
#include "messages.h"
#include "process.h"
#include "server.h"
#include "status.h"

struct options {
	const char *socket;
	const char *state_dir;
};

#define GO_ON (-1)

static void print_help(void)
{
	puts("usage: envelope-agent [OPTION...]\n\n"
	     "Attach volumes for those whom /etc/envelope/agent.policy lets; systemd starts\n"
	     "it when somebody asks at " AGENT_SOCKET ". See envelope-agent(8).\n\n"
	     "  --socket PATH    listen there, where systemd passes no socket\n"
	     "  --state FOLDER   instead of " AGENT_STATE_DIR "\n"
	     "  --help           this text\n"
	     "  --version        print the version");
}

static int parse(int argc, char **argv, struct options *o)
{
	static const struct option table[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "state", required_argument, NULL, 'd' },
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

static int prepare_loop(struct agent *a)
{
	sigset_t set;
	int r;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	r = sd_event_new(&a->event);
	if (r >= 0)
		r = sd_event_add_signal(a->event, NULL, SIGTERM, on_signal,
					NULL);
	if (r >= 0)
		r = sd_event_add_signal(a->event, NULL, SIGINT, on_signal,
					NULL);
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

static int serve(const struct options *o)
{
	struct agent a = { .state_dir = o->state_dir };
	int fd;
	int r;

	r = lock_memory();
	if (r == 0)
		r = prepare_loop(&a);
	if (r == 0)
		r = attachments_load(a.state_dir, &a.attachments);
	if (r == 0) {
		fd = listen_open(o->socket);
		r = fd < 0 ? fd : server_new(&a, fd, &a.server);
	}
	if (r == 0) {
		messages_start();
		sd_notify(0, "READY=1\nSTATUS=serving");
		r = sd_event_loop(a.event);
		sd_notify(0, "STOPPING=1");
	}
	server_free(a.server);
	attachments_free(a.attachments);
	sd_event_unref(a.event);
	return r;
}

int main(int argc, char **argv)
{
	struct options o = {
		.socket = AGENT_SOCKET,
		.state_dir = AGENT_STATE_DIR,
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
	status = parse(argc, argv, &o);
	if (status != GO_ON)
		return status;
	if (geteuid() != 0) {
		log_error("the agent must be root: systemd starts it, by envelope-agent.socket");
		return STATUS_FAILED;
	}
	return status_from_errno(serve(&o));
}
