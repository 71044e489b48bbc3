// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope detach: remove the plaintext device, and its key. */
#include "by_agent.h"
#include "cmd.h"
#include "status.h"

static const char about[] =
	"Remove the plaintext device of NAME (a device name, its path, or a volume\n"
	"id), then revoke and unlink its key. Asks no KMS; a locked volume goes too.\n"
	"The agent does it, for whom it attached the volume and for root; where it\n"
	"does not run, root does without.\n";

static int detach(struct by_agent *agent, const char *name)
{
	struct dm_volume_status s;
	json_t *answer = NULL;
	const char *id;
	int r;

	r = by_agent_connect(agent);
	if (r > 0) {
		/* What is not there has no id, and the detach says so. */
		r = volume_find_quietly(name, &s);
		id = r == 0 ? s.volume.volume_id : NULL;
		r = volume_detach(name);
		volume_verb_ended("detach", name, id, r);
		return r;
	}
	if (r == 0)
		r = by_agent_call(agent, "Detach",
				  json_pack("{s:s}", "name",
					    by_agent_name(name)), &answer);
	json_decref(answer);
	by_agent_close(agent);
	return r;
}

int cmd_detach(int argc, char **argv)
{
	struct by_agent agent = { 0 };
	const struct cli_option options[] = {
		BY_AGENT_OPTIONS(&agent),
		{ 0 }
	};
	const struct cli_usage usage = {
		.verb = "detach",
		.arguments = "NAME",
		.about = about,
		.min_arguments = 1,
		.max_arguments = 1,
		.options = options,
	};
	char **args;
	int status = cli_parse(&usage, argc, argv, &args);

	if (status != CLI_GO_ON)
		return status;
	return status_from_errno(detach(&agent, args[0]));
}
