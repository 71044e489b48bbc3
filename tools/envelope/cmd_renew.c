// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope renew: ask the KMS whether a leased volume may stay usable. */
#include <errno.h>
#include <stdio.h>

#include "by_agent.h"
#include "cmd.h"
#include "json.h"
#include "status.h"

static const char about[] =
	"Ask the KMS whether the attached volume NAME (a device name, its path, or a\n"
	"volume id) may stay usable, without unwrapping its key. Granted: its key lives\n"
	"for lease and grace from now on. Denied, and denied again after 2 seconds: it\n"
	"is locked at once. No answer: the time that is left runs on. The agent does it\n"
	"by itself, in time; this has it do it now. --direct: this process asks the KMS,\n"
	"with your credentials, and needs kms:Decrypt; kms:DescribeKey tells it more.\n"
	"All options but --socket and --json are for it.\n";

static int print_result(json_t *r, bool json)
{
	uint64_t lease = 0, grace = 0;
	char total[LEASE_TEXT_CHARS];
	const char *name = "";

	if (json)
		return cli_print_json(r);
	(void)json_get_string(r, "name", &name);
	(void)json_get_u64(r, "lease", 0, LEASE_MAX_MS / 1000, &lease);
	(void)json_get_u64(r, "grace", 0, LEASE_MAX_MS / 1000, &grace);
	lease_print_ms((lease + grace) * 1000, total);
	printf("/dev/mapper/%s: renewed; locks in %s unless it is renewed again\n",
	       name, total);
	json_decref(r);
	return STATUS_DONE;
}

static int renew_directly(const struct volume_renew_options *o, json_t **ret)
{
	struct volume_renew_result result;
	int r = volume_renew(o, &result);

	if (r < 0)
		return r;
	*ret = json_pack("{s:s, s:s, s:I, s:I}",
			 "name", result.status.volume.name,
			 "volume_id", result.status.volume.volume_id,
			 "lease", (json_int_t)(result.lease.lease_ms / 1000),
			 "grace", (json_int_t)(result.lease.grace_ms / 1000));
	return *ret ? 0 : -ENOMEM;
}

static int check_for_agent(const struct volume_renew_options *o)
{
	if (!o->lease.lease_given && !o->lease.grace_given && !o->header_path)
		return by_agent_check("renew", &o->access);
	cli_usage_error("renew", "--lease, --grace and --header are for --direct: the agent has them since the attach");
	return -EINVAL;
}

static int renew(struct by_agent *agent, const struct volume_renew_options *o,
		 json_t **ret)
{
	int r;

	if (agent->direct)
		return renew_directly(o, ret);
	r = check_for_agent(o);
	if (r == 0)
		r = by_agent_need(agent);
	if (r == 0)
		r = by_agent_call(agent, "Renew",
				  json_pack("{s:s}", "name",
					    by_agent_name(o->name)), ret);
	by_agent_close(agent);
	return r;
}

int cmd_renew(int argc, char **argv)
{
	struct volume_renew_options o = { .access.conf.environment = true };
	struct by_agent agent = { 0 };
	json_t *result = NULL;
	bool json = false;
	const struct cli_option options[] = {
		BY_AGENT_OPTIONS(&agent),
		CLI_LEASE_OPTIONS(&o.lease),
		CLI_HEADER_OPTION(&o.header_path),
		CLI_ACCESS_OPTIONS(&o.access),
		CLI_JSON_OPTION(&json),
		{ 0 }
	};
	const struct cli_usage usage = {
		.verb = "renew",
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
	cli_patience_begin();
	status = status_from_errno(renew(&agent, &o, &result));
	cli_patience_end();
	if (status == STATUS_DONE)
		status = print_result(result, json);
	return status;
}
