// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope erase: destroy every slot, and with them the way to the data. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit.h"
#include "cmd.h"
#include "known.h"
#include "log.h"
#include "status.h"

/* Only the volume id, typed in full, is a yes. */
static int confirm(const char *path, const char *volume_id)
{
	char line[64];

	if (!isatty(STDIN_FILENO)) {
		log_error("'%s': nobody to ask: --yes erases the header of %s",
			  path, volume_id);
		return -EINVAL;
	}
	fprintf(stderr, "All data of %s on '%s' will be unreadable, for good.\nType the volume id to go on: ",
		volume_id, path);
	if (!fgets(line, sizeof(line), stdin))
		line[0] = '\0';
	line[strcspn(line, "\n")] = '\0';
	if (strcmp(line, volume_id) == 0)
		return 0;
	log_error("'%s': that is not its volume id: nothing was erased", path);
	return -EINVAL;
}

static int check_detached(const char *volume_id)
{
	struct dm_volume_status status;

	if (volume_find_id(volume_id, &status) < 0)
		return 0;
	log_error("%s is attached as '%s': detach it first", volume_id,
		  status.volume.name);
	return -EBUSY;
}

/* The header that goes: may it, and which is it? *@ret NULL: unreadable. */
static int permit(const struct device *d, bool yes, bool force,
		  struct header **ret)
{
	const char *volume_id;
	bool a, b;
	int r;

	r = header_magic_at(d->fd, d->path, &a, &b);
	if (r < 0)
		return r;
	if (!a && !b && force)
		return 0;
	r = header_read(d->fd, d->path, ret);
	if (r < 0 && force)
		return 0;
	if (r < 0) {
		log_error("'%s': no header that could be read: --force overwrites its place nevertheless",
			  d->path);
		return r;
	}
	volume_id = header_core(*ret)->volume_id;
	r = check_detached(volume_id);
	if (r == 0 && !yes && !force)
		r = confirm(d->path, volume_id);
	return r;
}

/* What could not be read is null or empty. */
static int report_json(const struct device *d, const struct header *h)
{
	json_t *key_ids = json_array();
	size_t i;

	for (i = 0; h && i < header_slot_count(h); i++)
		json_array_append_new(key_ids, json_string(
			header_slot_get(h, i).key_id));
	return cli_print_json(json_pack("{ss ss? so}",
		"path", d->path,
		"volume_id", h ? header_core(h)->volume_id : NULL,
		"key_ids", key_ids));
}

static void report(const struct device *d, const struct header *h)
{
	const char *volume_id = h ? header_core(h)->volume_id : "the volume";
	size_t i;

	printf("'%s': both copies of the header are overwritten", d->path);
	if (h)
		printf(", with %zu slot%s", header_slot_count(h),
		       header_slot_count(h) == 1 ? "" : "s");
	printf(".\nThese still open %s, to whoever may use its KMS key:\n"
	       "  header backups and detached headers kept elsewhere\n"
	       "  snapshots and copies of the device\n"
	       "  old blocks that the device (flash, thin pool, RAID) may still hold\n",
	       volume_id);
	if (!h)
		return;
	puts("Disabling or deleting the KMS key ends these too:");
	for (i = 0; i < header_slot_count(h); i++) {
		/* Nobody verified it. */
		char *safe = header_escape(header_slot_get(h, i).key_id);

		printf("  %s\n", safe ? safe : "?");
		free(safe);
	}
}

static int erase(const char *path, bool yes, bool force, bool json)
{
	struct device d = DEVICE_CLOSED;
	struct header *h = NULL;
	int status = STATUS_DONE;
	int r;

	r = device_open(path, DEVICE_WRITE | DEVICE_EXCLUSIVE, &d);
	if (r == 0)
		r = header_lock(d.fd, d.path);
	if (r == 0)
		r = permit(&d, yes, force, &h);
	if (r == 0)
		r = header_erase(d.fd, d.path);
	audit_verb_ended("erase", path, h ? header_core(h)->volume_id : NULL,
			 r);
	if (r == 0 && json)
		status = report_json(&d, h);
	else if (r == 0)
		report(&d, h);
	if (r == 0 && h)
		r = known_forget(header_core(h)->volume_id);
	header_free(h);
	device_close(&d);
	return r < 0 ? (int)status_from_errno(r) : status;
}

int cmd_erase(int argc, char **argv)
{
	const char *header = NULL;
	bool yes = false, force = false, json = false;
	const struct cli_option options[] = {
		{ "yes", NULL, cli_set_true, &yes, "do not ask" },
		{ "force", NULL, cli_set_true, &force,
		  "also where the header is damaged or gone; do not ask" },
		CLI_HEADER_OPTION(&header),
		CLI_JSON_OPTION(&json),
		{ 0 },
	};
	const struct cli_usage usage = {
		.verb = "erase",
		.arguments = "[DEVICE]",
		.about = "Overwrite both copies of the header of DEVICE, and read them back. Without\n"
			 "another copy of the header the data are lost, at once and for good.\n",
		.max_arguments = 1,
		.options = options,
		.header = &header,
	};
	char **args;
	int r;

	r = cli_parse(&usage, argc, argv, &args);
	if (r != CLI_GO_ON)
		return r;
	return erase(header ? header : args[0], yes, force, json);
}
