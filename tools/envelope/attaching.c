// SPDX-License-Identifier: GPL-2.0-or-later
/* One attach, by the agent or directly, and what is said of it. */
#include "attaching.h"

#include <errno.h>
#include <stdio.h>

#include "json.h"
#include "status.h"

static uint64_t number_of(const json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

/* Without an agent nobody renews it. */
static void print_lease(const json_t *r, bool direct)
{
	char total[LEASE_TEXT_CHARS];

	lease_print_ms((number_of(r, "lease") + number_of(r, "grace")) * 1000,
		       total);
	if (direct)
		printf("it locks in %s unless 'envelope renew --direct %s' comes before\n",
		       total, json_text(r, "name"));
	else
		printf("the agent renews its lease; it locks when the KMS denies, or after %s without an answer\n",
		       total);
}

int attaching_print(const struct volume_attach_options *o, json_t *r,
		    bool direct, bool json)
{
	bool read_only = json_is_true(json_object_get(r, "read_only"));
	char size[16];

	json_object_del(r, "warnings");
	if (json)
		return cli_print_json(r);
	cli_print_size(number_of(r, "size"), size);
	if (o->dry_run)
		printf("%s: volume %s, %s, can be unwrapped; nothing attached\n",
		       o->device, json_text(r, "volume_id"), size);
	else
		printf("%s: volume %s, %s%s\n", json_text(r, "device"),
		       json_text(r, "volume_id"), size,
		       read_only ? ", read-only" : "");
	if (number_of(r, "lease") && !o->dry_run)
		print_lease(r, direct);
	json_decref(r);
	return STATUS_DONE;
}

static int attach_directly(const struct volume_attach_options *o, json_t **ret)
{
	struct volume_attach_result result;
	char path[16 + DM_VOLUME_NAME_CHARS];
	int r;

	cli_patience_begin();
	r = volume_attach(o, &result);
	cli_patience_end();
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "/dev/mapper/%s", result.name);
	*ret = json_pack("{s:s, s:s, s:s, s:I, s:b, s:b, s:I, s:I}",
			 "name", result.name, "device", path,
			 "volume_id", result.core.volume_id,
			 "size", (json_int_t)result.core.size_bytes,
			 "read_only", result.read_only, "dry_run", o->dry_run,
			 "lease", (json_int_t)(result.lease.lease_ms / 1000),
			 "grace", (json_int_t)(result.lease.grace_ms / 1000));
	return 0;
}

static int check_for_agent(const struct volume_attach_options *o)
{
	const char *option = o->target == DM_TARGET_CRYPT ? "target crypt" :
			     o->force ? "force" : NULL;

	if (!option)
		return by_agent_check("attach", &o->access);
	cli_usage_error("attach", "--%s is for --direct: the agent has it from /etc/envelope",
			option);
	return -EINVAL;
}

static int attach_by_agent(struct by_agent *b,
			   const struct volume_attach_options *o, json_t **ret)
{
	int r = check_for_agent(o);

	if (r == 0)
		r = by_agent_need(b);
	if (r < 0)
		return r;
	cli_patience_begin();
	r = by_agent_attach(b, o, ret);
	cli_patience_end();
	return r;
}

int attaching_run(struct by_agent *b, const struct volume_attach_options *o,
		  json_t **ret)
{
	int r = b->direct ? attach_directly(o, ret) : attach_by_agent(b, o, ret);

	by_agent_close(b);
	return r;
}
