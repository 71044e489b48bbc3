// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope list: attached volumes, and with --all every header around. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "by_agent.h"
#include "cmd.h"
#include "json.h"
#include "log.h"
#include "volume_json.h"
#include "status.h"

static const char about[] =
	"List the attached volumes. --all also looks for headers on all block devices\n"
	"of /proc/partitions; what they say is unverified, as nothing is unwrapped.\n"
	"The agent is asked, which shows you what you attached, and root everything;\n"
	"where it does not run, root needs none.\n";

/* A header found by --all. */
static json_t *found_json(const char *device, const struct header *h)
{
	const struct header_core *core = header_core(h);
	const char *key = header_slot_count(h) ?
			  header_slot_get(h, 0).key_id : "";

	return json_pack("{s:s, s:s, s:I, s:s, s:b, s:b}", "backing", device,
			 "volume_id", core->volume_id,
			 "size", (json_int_t)core->size_bytes, "key_id", key,
			 "detached_header", core->detached, "verified", false);
}

/* A partition table may name a device that has no node: not our business. */
static int scan_device(const char *name, json_t *ret)
{
	struct header *h = NULL;
	char path[128];
	bool a;
	bool b;
	int fd;

	snprintf(path, sizeof(path), "/dev/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return errno == EACCES || errno == EPERM ? -EPERM : 0;
	if (header_magic_at(fd, path, &a, &b) == 0 && (a || b) &&
	    header_read(fd, path, &h) == 0)
		json_array_append_new(ret, found_json(path, h));
	header_free(h);
	close(fd);
	return 0;
}

static int scan_all(json_t *ret)
{
	FILE *f = fopen("/proc/partitions", "re");
	bool refused = false;
	char line[256];
	char name[64];

	if (!f) {
		log_error("/proc/partitions: %s", strerror(errno));
		return -EIO;
	}
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%*u %*u %*u %63s", name) == 1)
			refused |= scan_device(name, ret) == -EPERM;
	fclose(f);
	if (refused)
		log_warn("some devices cannot be read%s",
			 geteuid() == 0 ? "" : ": run envelope as root");
	return 0;
}

static int attached_json(json_t *ret)
{
	struct dm_volume_status *list = NULL;
	size_t count = 0;
	size_t i;
	int r;

	r = dm_volume_list(&list, &count);
	for (i = 0; r == 0 && i < count; i++)
		if (json_array_append_new(ret, volume_to_json(&list[i])) < 0)
			r = -ENOMEM;
	free(list);
	return r;
}

static int attached_by(struct by_agent *agent, json_t *ret)
{
	json_t *answer = NULL;
	int r = by_agent_connect(agent);

	if (r > 0)
		return attached_json(ret);
	if (r == 0)
		r = by_agent_call(agent, "List", NULL, &answer);
	if (r == 0 && json_array_extend(ret, json_object_get(answer,
							     "volumes")) < 0)
		r = -EIO;
	json_decref(answer);
	by_agent_close(agent);
	return r;
}

static void print_attached(const json_t *list)
{
	char size[16];
	json_t *v;
	size_t i;

	json_array_foreach(list, i, v) {
		cli_print_size(json_integer_value(json_object_get(v, "size")),
			       size);
		printf("%-22s  %-8s  %-10s  /dev/mapper/%s\n",
		       json_text(v, "volume_id"), json_text(v, "state"), size,
		       json_text(v, "name"));
	}
}

/* Key names come from the device: nothing of them may act on a terminal. */
static void print_found(const json_t *list)
{
	char size[16];
	char *key;
	json_t *v;
	size_t i;

	json_array_foreach(list, i, v) {
		cli_print_size(json_integer_value(json_object_get(v, "size")),
			       size);
		key = header_escape(json_text(v, "key_id"));
		printf("%-22s  %-10s  %-10s  %s  %s\n",
		       json_text(v, "volume_id"), "unverified", size,
		       json_text(v, "backing"), key ? key : "");
		free(key);
	}
}

int cmd_list(int argc, char **argv)
{
	json_t *attached = json_array();
	json_t *found = json_array();
	struct by_agent agent = { 0 };
	bool all = false;
	bool json = false;
	const struct cli_option options[] = {
		{ "all", NULL, cli_set_true, &all,
		  "also headers on block devices" },
		BY_AGENT_OPTIONS(&agent),
		CLI_JSON_OPTION(&json),
		{ 0 }
	};
	const struct cli_usage usage = {
		.verb = "list",
		.arguments = "",
		.about = about,
		.options = options,
	};
	char **args;
	int status = cli_parse(&usage, argc, argv, &args);
	int r;

	if (status != CLI_GO_ON)
		goto out;
	r = attached && found ? attached_by(&agent, attached) : -ENOMEM;
	if (r == 0 && all)
		r = scan_all(found);
	status = status_from_errno(r);
	if (r < 0)
		goto out;
	if (json) {
		status = cli_print_json(json_pack("{s:O, s:O}", "attached",
						  attached, "headers", found));
	} else {
		print_attached(attached);
		print_found(found);
	}
out:
	json_decref(attached);
	json_decref(found);
	return status;
}
