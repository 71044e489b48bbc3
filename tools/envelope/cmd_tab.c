// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope tab: what envelopetab(5) names, and whether it could be attached. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "log.h"
#include "status.h"
#include "tab_device.h"
#include "tab_verbs.h"
#include "volume.h"

static const char about_list[] =
	"List the volumes of /etc/envelope/envelopetab. A line that is wrong is\n"
	"reported and left out; the exit status is 1 then.\n";

static const char about_check[] =
	"Look whether each volume of /etc/envelope/envelopetab could be attached: is\n"
	"the device there, is it that volume, is the name free? Asks no KMS. The exit\n"
	"status is that of the first fault.\n";

/* "agent,nofail", for people. */
static void print_line(const struct tab_line *line)
{
	printf("%-16s  %-40s  %s%s%s%s\n", line->name, line->spec,
	       line->direct ? "direct" : "agent",
	       line->noauto ? ",noauto" : line->nofail ? ",nofail" : "",
	       tab_is_remote(line) ? ",remote" : "",
	       line->read_only ? ",read-only" : "");
}

static int add_seconds(json_t *o, const char *name, uint64_t ms)
{
	return json_object_set_new(o, name, json_integer(ms / 1000));
}

static json_t *line_json(const struct tab_line *line)
{
	json_t *o = json_pack("{s:s, s:I, s:s, s:b, s:b, s:b, s:b, s:b, s:b, s:s, s:I, s:s?, s:s?}",
			      "name", line->name,
			      "line", (json_int_t)line->number,
			      "device", line->spec, "direct", line->direct,
			      "noauto", line->noauto, "nofail", line->nofail,
			      "remote", tab_is_remote(line),
			      "read_only", line->read_only,
			      "allow_discards", line->allow_discards,
			      "on_lock", line->on_lock == DM_ON_LOCK_ERROR ?
					 "error" : "queue",
			      "tries", (json_int_t)line->tries,
			      "header", line->header,
			      "volume_id", line->volume_id);
	int r = o ? add_seconds(o, "timeout", line->timeout_ms) : -1;

	if (r == 0 && line->lease.lease_given)
		r = add_seconds(o, "lease", line->lease.terms.lease_ms);
	if (r == 0 && line->lease.grace_given)
		r = add_seconds(o, "grace", line->lease.terms.grace_ms);
	if (r == 0)
		return o;
	json_decref(o);
	return NULL;
}

static int list_json(const struct tab *tab)
{
	json_t *list = json_array();
	size_t i;
	int r = list ? 0 : -1;

	for (i = 0; r == 0 && i < tab->count; i++)
		r = json_array_append_new(list, line_json(&tab->at[i]));
	if (r == 0)
		return cli_print_json(json_pack("{s:o, s:I}", "volumes", list,
						"broken",
						(json_int_t)tab->broken));
	json_decref(list);
	log_error("tab: out of memory");
	return STATUS_FAILED;
}

static int list(int argc, char **argv)
{
	const char *path = NULL;
	bool json = false;
	struct tab tab = { 0 };
	const struct cli_option options[] = {
		TAB_FILE_OPTION(&path),
		CLI_JSON_OPTION(&json),
		{ 0 }
	};
	const struct cli_usage usage = {
		.verb = "tab list",
		.arguments = "",
		.about = about_list,
		.options = options,
	};
	char **args;
	int status = cli_parse(&usage, argc, argv, &args);
	size_t i;

	if (status != CLI_GO_ON)
		return status;
	status = status_from_errno(tab_read(path, NULL, &tab));
	if (status == STATUS_DONE && json)
		status = list_json(&tab);
	for (i = 0; !json && i < tab.count; i++)
		print_line(&tab.at[i]);
	if (status == STATUS_DONE && tab.broken)
		status = STATUS_FAILED;
	tab_free(&tab);
	return status;
}

/* What is on the device; *@id_ret is the volume's. */
static int check_device(const struct tab_line *line, const char *path,
			char id_ret[HEADER_VOLUME_ID_CHARS])
{
	struct volume v = VOLUME_CLOSED;
	int r = volume_open(path, line->header, 0, &v);

	if (r == 0)
		r = volume_check_id(path, header_core(v.header)->volume_id,
				    line->volume_id);
	if (r == 0)
		snprintf(id_ret, HEADER_VOLUME_ID_CHARS, "%s",
			 header_core(v.header)->volume_id);
	volume_close(&v);
	return r;
}

static int check_line(const struct tab_line *line)
{
	char id[HEADER_VOLUME_ID_CHARS];
	char path[TAB_DEVICE_CHARS];
	struct dm_volume_status s;
	int r = tab_device_attached(line, &s);

	if (r == 0) {
		printf("%s: volume %s, attached%s\n", line->name,
		       s.volume.volume_id,
		       s.state == DM_STATE_LOCKED ? ", locked" : "");
		return 0;
	}
	if (r != -ENXIO)
		return r;
	r = tab_device_find(line, path);
	if (r == -ENOENT)
		log_error("'%s': %s is not there: plug it in, or correct line %zu",
			  line->name, line->spec, line->number);
	if (r == 0)
		r = check_device(line, path, id);
	if (r == 0)
		printf("%s: volume %s on %s, not attached\n", line->name, id,
		       path);
	return r;
}

static int check(int argc, char **argv)
{
	const char *path = NULL;
	struct tab tab = { 0 };
	const struct cli_option options[] = {
		TAB_FILE_OPTION(&path),
		{ 0 }
	};
	const struct cli_usage usage = {
		.verb = "tab check",
		.arguments = "",
		.about = about_check,
		.options = options,
	};
	char **args;
	int status = cli_parse(&usage, argc, argv, &args);
	size_t i;
	int r;

	if (status != CLI_GO_ON)
		return status;
	status = status_from_errno(tab_read(path, NULL, &tab));
	if (status == STATUS_DONE && tab.broken)
		status = STATUS_FAILED;
	for (i = 0; i < tab.count; i++) {
		r = check_line(&tab.at[i]);
		if (status == STATUS_DONE)
			status = status_from_errno(r);
	}
	tab_free(&tab);
	return status;
}

int cmd_tab(int argc, char **argv)
{
	static const struct command verbs[] = {
		{ "list", NULL, "the volumes of envelopetab", list },
		{ "check", NULL, "could they be attached?", check },
		{ "attach", NULL, "attach one as its line says", tab_attach },
		{ "detach", NULL, "detach it, if it is attached", tab_detach },
		{ 0 }
	};

	return cli_run_verb("tab", verbs, argc, argv);
}
