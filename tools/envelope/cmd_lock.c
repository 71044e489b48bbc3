// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope lock: take the key of an attached volume out of the kernel. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "by_agent.h"
#include "cmd.h"
#include "json.h"
#include "status.h"

static const char about[] =
	"Lock the attached volume NAME (a device name, its path, or a volume id): its\n"
	"key leaves the kernel at once, and I/O waits or fails, by --on-lock of the\n"
	"attach. What was read or written before may stay in the page cache and in\n"
	"the memory of programs. 'envelope unlock' asks the KMS and goes on. The agent\n"
	"does it, for whom it attached the volume and for root; where it does not run,\n"
	"root does without.\n";

static int print_result(const struct volume_lock_options *o, json_t *r,
			bool json)
{
	if (json)
		return cli_print_json(r);
	printf("/dev/mapper/%s is locked: key %s\n", json_text(r, "name"),
	       json_text(r, "reason"));
	printf("%s\n", o->drop_caches ?
	       "in memory stays what programs hold: mapped, locked and unwritten pages" :
	       "in memory stays what the page cache and programs hold; --drop-caches drops most of the former");
	json_decref(r);
	return STATUS_DONE;
}

static int lock_directly(const struct volume_lock_options *o, json_t **ret)
{
	struct dm_volume_status s;
	int r = volume_lock(o, &s);

	volume_verb_ended("lock", r == 0 ? s.volume.name : o->name,
			  r == 0 ? s.volume.volume_id : NULL, r);
	if (r < 0)
		return r;
	*ret = json_pack("{s:s, s:s, s:s}", "name", s.volume.name,
			 "volume_id", s.volume.volume_id,
			 "reason", s.reason);
	return *ret ? 0 : -ENOMEM;
}

/* Writing back would wait for a volume that is locked already. */
static int write_back(struct by_agent *agent, const char *name)
{
	json_t *answer = NULL;
	bool active;
	int r;

	r = by_agent_call(agent, "Status", json_pack("{s:s}", "name", name),
			  &answer);
	if (r < 0)
		return r;
	active = strcmp(json_text(json_object_get(answer, "volume"), "state"),
			"active") == 0;
	json_decref(answer);
	return active ? volume_drop_caches(true) : 0;
}

static int lock_by_agent(struct by_agent *agent,
			 const struct volume_lock_options *o, json_t **ret)
{
	const char *name = by_agent_name(o->name);
	json_t *answer = NULL;
	int r = 0;

	if (o->drop_caches)
		r = write_back(agent, name);
	if (r == 0)
		r = by_agent_call(agent, "Lock",
				  json_pack("{s:s, s:b}", "name", name,
					    "force", o->force), &answer);
	if (r == 0 && o->drop_caches)
		r = volume_drop_caches(false);
	if (r == 0)
		*ret = json_incref(answer);
	json_decref(answer);
	return r;
}

static int lock(struct by_agent *agent, const struct volume_lock_options *o,
		json_t **ret)
{
	json_t *result = NULL;
	int r = by_agent_connect(agent);

	if (r > 0)
		r = lock_directly(o, &result);
	else if (r == 0)
		r = lock_by_agent(agent, o, &result);
	by_agent_close(agent);
	if (r < 0)
		return r;
	if (json_object_set_new(result, "state", json_string("locked")) < 0 ||
	    json_object_set_new(result, "caches_dropped",
				json_boolean(o->drop_caches)) < 0) {
		json_decref(result);
		return -ENOMEM;
	}
	*ret = result;
	return 0;
}

int cmd_lock(int argc, char **argv)
{
	struct volume_lock_options o = { 0 };
	struct by_agent agent = { 0 };
	json_t *result = NULL;
	bool json = false;
	const struct cli_option options[] = {
		BY_AGENT_OPTIONS(&agent),
		{ "drop-caches", NULL, cli_set_true, &o.drop_caches,
		  "write back, lock, then empty the host's page cache" },
		{ "force", NULL, cli_set_true, &o.force,
		  "also the volume that this system runs from" },
		CLI_JSON_OPTION(&json),
		{ 0 }
	};
	const struct cli_usage usage = {
		.verb = "lock",
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
	o.name = args[0];
	status = status_from_errno(lock(&agent, &o, &result));
	if (status == STATUS_DONE)
		status = print_result(&o, result, json);
	return status;
}
