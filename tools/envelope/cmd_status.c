// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope status: how an attached volume is doing. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "by_agent.h"
#include "cmd.h"
#include "conf.h"
#include "json.h"
#include "volume_json.h"
#include "status.h"

static const char about[] =
	"Show the attached volume NAME (a device name, its path, or a volume id).\n"
	"Exit status 10 says that it is locked. The agent is asked, which shows you what\n"
	"you attached, and root everything; where it does not run, root needs none.\n";

static uint64_t number_of(const json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

static bool is(const json_t *o, const char *name)
{
	return json_is_true(json_object_get(o, name));
}

static bool is_locked(const json_t *o)
{
	return strcmp(json_text(o, "state"), "locked") == 0;
}

static void print_options(const json_t *o)
{
	printf("  options:     %s%s%s%son lock: %s\n",
	       is(o, "holes") ? "holes, " : "",
	       is(o, "allow_discards") ? "discards, " : "",
	       is(o, "iv_large_sectors") ? "IV of large sectors, " : "",
	       is(o, "read_only") ? "read-only, " : "", json_text(o, "on_lock"));
}

/* What the agent says of a lease; it is how a KMS that is silent shows. */
static void print_lease(const json_t *l)
{
	char lease[LEASE_TEXT_CHARS], grace[LEASE_TEXT_CHARS];
	char next[LEASE_TEXT_CHARS], left[LEASE_TEXT_CHARS];
	const char *state = json_text(l, "state");
	bool locked = strcmp(state, "locked") == 0;

	lease_print_ms(number_of(l, "seconds") * 1000, lease);
	lease_print_ms(number_of(l, "grace") * 1000, grace);
	lease_print_ms(number_of(l, "next_check") * 1000, next);
	lease_print_ms(number_of(l, "remaining") * 1000, left);
	printf("  lease:       %s, grace %s, %s", lease, grace, state);
	if (!locked)
		printf(", the KMS is asked %s%s; locks in %s without a grant",
		       is(l, "checking") ? "now" : "in ",
		       is(l, "checking") ? "" : next, left);
	putchar('\n');
	if (number_of(l, "failures"))
		printf("  no answer:   %" PRIu64 " times in a row\n",
		       number_of(l, "failures"));
	if (json_text(l, "message")[0])
		printf("  because:     %s\n", json_text(l, "message"));
}

/* @o as volume_to_json() makes it, here or in the agent. */
static void print_text(const json_t *o)
{
	char size[16];

	cli_print_size(number_of(o, "size"), size);
	printf("%s is %s%s%s%s\n", json_text(o, "device"), json_text(o, "state"),
	       is_locked(o) ? ": key " : "",
	       is_locked(o) ? json_text(o, "reason") : "",
	       is(o, "suspended") ? ", suspended" : "");
	printf("  volume:      %s\n", json_text(o, "volume_id"));
	printf("  size:        %s (%" PRIu64 " bytes)\n", size,
	       number_of(o, "size"));
	printf("  sector size: %" PRIu64 "\n", number_of(o, "sector_size"));
	printf("  target:      %s, %s\n", json_text(o, "target"),
	       is(o, "revocable") ? "locks when its key ends" :
				    "does not lock when its key ends");
	printf("  on device:   %s from byte %" PRIu64 "\n",
	       json_text(o, "backing"), number_of(o, "data_offset"));
	print_options(o);
	printf("  open count:  %" PRIu64 "\n", number_of(o, "open_count"));
	if (json_object_get(o, "uid"))
		printf("  attached by: user %" PRIu64 "\n",
		       number_of(o, "uid"));
	if (json_object_get(o, "lease"))
		print_lease(json_object_get(o, "lease"));
	if (json_object_get(o, "reads"))
		printf("  I/O:         %" PRIu64 " reads, %" PRIu64 " writes, %" PRIu64 " blocks read as holes, %" PRIu64 " errors\n",
		       number_of(o, "reads"), number_of(o, "writes"),
		       number_of(o, "holes_read"), number_of(o, "errors"));
}

/* Without a usable configuration there is one thing less to warn about. */
static void warn_self(const struct dm_volume_status *s)
{
	const struct conf_overrides none = { 0 };
	struct conf *conf = NULL;

	if (conf_load(&none, &conf) < 0)
		conf = NULL;
	volume_warn_self(conf, s);
	conf_free(conf);
}

static int look_directly(const char *name, json_t **ret)
{
	struct dm_volume_status s;
	int r = volume_find(name, &s);

	if (r < 0)
		return r;
	warn_self(&s);
	*ret = volume_to_json(&s);
	return *ret ? 0 : -ENOMEM;
}

static int look(struct by_agent *agent, const char *name, json_t **ret)
{
	json_t *answer = NULL;
	int r = by_agent_connect(agent);

	if (r > 0)
		return look_directly(name, ret);
	if (r == 0)
		r = by_agent_call(agent, "Status",
				  json_pack("{s:s}", "name",
					    by_agent_name(name)), &answer);
	if (r == 0)
		*ret = json_incref(json_object_get(answer, "volume"));
	json_decref(answer);
	by_agent_close(agent);
	return r;
}

int cmd_status(int argc, char **argv)
{
	struct by_agent agent = { 0 };
	json_t *volume = NULL;
	bool locked;
	bool json = false;
	const struct cli_option options[] = {
		BY_AGENT_OPTIONS(&agent),
		CLI_JSON_OPTION(&json),
		{ 0 }
	};
	const struct cli_usage usage = {
		.verb = "status",
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
	status = status_from_errno(look(&agent, args[0], &volume));
	if (status != STATUS_DONE)
		return status;
	locked = is_locked(volume);
	if (json) {
		status = cli_print_json(volume);
	} else {
		print_text(volume);
		json_decref(volume);
	}
	if (status == STATUS_DONE && locked)
		status = STATUS_LOCKED;
	return status;
}
