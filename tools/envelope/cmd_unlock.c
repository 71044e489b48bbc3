// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope unlock: ask the KMS again, and let a locked volume go on. */
#include <errno.h>
#include <stdio.h>

#include "by_agent.h"
#include "cmd.h"
#include "json.h"
#include "status.h"

static const char about[] =
	"Unlock the attached volume NAME (a device name, its path, or a volume id):\n"
	"ask the KMS for its key, and let the I/O that waits go on. The agent does it,\n"
	"for whom it attached the volume and for root. --direct: this process asks the\n"
	"KMS by itself, with your credentials, and needs kms:Decrypt; all options of the\n"
	"KMS and of the lease are for it.\n";

static int print_result(json_t *r, bool json)
{
	const char *name = "";

	if (json)
		return cli_print_json(r);
	(void)json_get_string(r, "name", &name);
	printf("/dev/mapper/%s is active\n", name);
	json_decref(r);
	return STATUS_DONE;
}

static int unlock_directly(const struct volume_unlock_options *o, json_t **ret)
{
	struct dm_volume_status s;
	int r = volume_unlock(o, &s);

	if (r < 0)
		return r;
	*ret = json_pack("{s:s, s:s, s:s}", "name", s.volume.name,
			 "volume_id", s.volume.volume_id, "state", "active");
	return *ret ? 0 : -ENOMEM;
}

static int check_for_agent(const struct volume_unlock_options *o)
{
	if (!o->lease.lease_given && !o->lease.grace_given)
		return by_agent_check("unlock", &o->access);
	cli_usage_error("unlock", "--lease and --grace are for --direct: the agent has them since the attach");
	return -EINVAL;
}

static int unlock(struct by_agent *agent, const struct volume_unlock_options *o,
		  json_t **ret)
{
	int r;

	if (agent->direct)
		return unlock_directly(o, ret);
	r = check_for_agent(o);
	if (r == 0)
		r = by_agent_need(agent);
	if (r == 0)
		r = by_agent_unlock(agent, o, ret);
	by_agent_close(agent);
	return r;
}

int cmd_unlock(int argc, char **argv)
{
	struct volume_unlock_options o = { .access.conf.environment = true };
	struct by_agent agent = { 0 };
	const char *recovery = NULL;
	struct secret *key = NULL;
	json_t *result = NULL;
	bool json = false;
	const struct cli_option options[] = {
		BY_AGENT_OPTIONS(&agent),
		CLI_VOLUME_OPTION(&o.volume_id),
		CLI_LEASE_OPTIONS(&o.lease),
		CLI_RECOVERY_OPTION(&recovery),
		CLI_HEADER_OPTION(&o.header_path),
		CLI_ACCESS_OPTIONS(&o.access),
		CLI_JSON_OPTION(&json),
		{ 0 }
	};
	const struct cli_usage usage = {
		.verb = "unlock",
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
	if (recovery && !agent.direct)
		return cli_usage_error("unlock", "--recovery-key is for --direct: it is root's");
	status = status_from_errno(cli_read_recovery(recovery, &key));
	o.name = args[0];
	o.access.recovery = key;
	cli_patience_begin();
	if (status == STATUS_DONE)
		status = status_from_errno(unlock(&agent, &o, &result));
	cli_patience_end();
	secret_free(key);
	if (status == STATUS_DONE)
		status = print_result(result, json);
	return status;
}
