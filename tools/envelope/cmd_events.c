// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope events: what happens to volumes, as it happens. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "by_agent.h"
#include "cmd.h"
#include "json.h"
#include "log.h"
#include "status.h"

static const char about[] =
	"Print what happens to your volumes, as root to all of them, a line each, until\n"
	"it is interrupted: attachVolume, reattachVolume (an unlock), detachVolume,\n"
	"lockVolume and renewLease, succeeded or failed, and why. --json: an object a\n"
	"line. What happened before is in the journal: journalctl ENVELOPE_EVENT=...\n";

static void print_text(const json_t *e)
{
	const char *device = json_text(e, "device");
	const char *cause = json_text(e, "cause");

	printf("%s %s %s: %s%s%s%s%s\n", json_text(e, "time"),
	       json_text(e, "name"), json_text(e, "result"),
	       json_text(e, "volume_id"), device[0] ? " " : "", device,
	       cause[0] ? ": " : "", cause);
}

/* The first answer has none: from then on nothing is missed. */
static int on_event(void *user, const json_t *parameters)
{
	const json_t *e = json_object_get(parameters, "event");
	const bool *json = user;

	if (!e)
		return 0;
	if (*json) {
		json_dumpf(e, stdout, JSON_COMPACT);
		putchar('\n');
	} else {
		print_text(e);
	}
	if (fflush(stdout) == 0)
		return 0;
	log_error("cannot write to standard output: %s", strerror(errno));
	return -EIO;
}

static int listen_to(struct by_agent *agent, bool *json)
{
	json_t *last = NULL;
	int r = by_agent_need(agent);

	if (r == 0)
		r = agent_call_more(agent->client, "Subscribe", NULL, NULL, 0,
				    AGENT_FOREVER, on_event, json, &last);
	json_decref(last);
	by_agent_close(agent);
	return r;
}

int cmd_events(int argc, char **argv)
{
	struct by_agent agent = { 0 };
	bool json = false;
	const struct cli_option options[] = {
		BY_AGENT_SOCKET_OPTION(&agent),
		CLI_JSON_OPTION(&json),
		{ 0 }
	};
	const struct cli_usage usage = {
		.verb = "events",
		.arguments = "",
		.about = about,
		.options = options,
	};
	char **args;
	int status = cli_parse(&usage, argc, argv, &args);

	if (status != CLI_GO_ON)
		return status;
	return status_from_errno(listen_to(&agent, &json));
}
