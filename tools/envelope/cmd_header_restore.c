// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope header-restore: a saved header back to where it belongs. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "audit.h"
#include "cmd.h"
#include "known.h"
#include "log.h"
#include "status.h"

#define UUID_OFFSET 24	/* in a copy; see header.h */

/* A damaged header that still carries the UUID of @core is the same volume's. */
static bool same_uuid_there(const struct device *d,
			    const struct header_core *core)
{
	uint8_t uuid[HEADER_UUID_BYTES];
	unsigned int i;

	for (i = 0; i < HEADER_COPIES; i++)
		if (pread(d->fd, uuid, sizeof(uuid),
			  i * HEADER_COPY_BYTES + UUID_OFFSET) ==
		    (ssize_t)sizeof(uuid) &&
		    memcmp(uuid, core->uuid, sizeof(uuid)) == 0)
			return true;
	return false;
}

/* The header that is there is whole: is it older, and the same volume's? */
static int compare_whole(const struct device *d, const struct header_core *new,
			 const struct header_core *old)
{
	if (strcmp(new->volume_id, old->volume_id) != 0) {
		log_error("'%s' holds %s, the backup is of %s: --force replaces it, and its data are gone",
			  d->path, old->volume_id, new->volume_id);
		return -EEXIST;
	}
	if (new->revision < old->revision) {
		log_error("'%s' has revision %llu of its header, the backup %llu: --force puts the old one back",
			  d->path, (unsigned long long)old->revision,
			  (unsigned long long)new->revision);
		return -EEXIST;
	}
	return 0;
}

/* What would be overwritten? */
static int compare(const struct device *d, const struct header_core *new)
{
	struct header *old = NULL;
	bool a, b;
	int r;

	r = header_magic_at(d->fd, d->path, &a, &b);
	if (r < 0)
		return r;
	if (!a && !b && !same_uuid_there(d, new)) {
		log_error("'%s' has no envelope header that could be compared with the backup of %s: --force writes it there",
			  d->path, new->volume_id);
		return -ENODATA;
	}
	r = header_read(d->fd, d->path, &old);
	if (r == 0) {
		r = compare_whole(d, new, header_core(old));
		header_free(old);
		return r;
	}
	if (same_uuid_there(d, new))
		return 0;
	log_error("'%s': what is left of its header is not of %s: --force writes the backup there",
		  d->path, new->volume_id);
	return r;
}

static int check_place(const struct header_core *core, const char *header)
{
	if (core->detached == !!header)
		return 0;
	if (core->detached)
		log_error("the backup is of a detached header: name its file with --header, and no device");
	else
		log_error("the backup is of a header that lies on its device: name that, and no --header");
	return -EINVAL;
}

static int restore(struct header *h, const char *target, const char *header,
		   bool force)
{
	struct device d = DEVICE_CLOSED;
	int r;

	r = check_place(header_core(h), header);
	if (r == 0)
		r = device_open(target, DEVICE_WRITE | DEVICE_EXCLUSIVE, &d);
	if (r == 0)
		r = header_lock(d.fd, d.path);
	if (r == 0 && !header)
		r = header_check_fit(h, d.path, d.size_bytes);
	if (r == 0 && !force)
		r = compare(&d, header_core(h));
	if (r == 0 && !force) {
		r = known_check(d.path, h, 0);
		r = r == -ENOENT ? 0 : r;
	}
	if (r == 0)
		r = header_write(d.fd, d.path, h);
	audit_verb_ended("header-restore", target, header_core(h)->volume_id,
			 r);
	device_close(&d);
	return r;
}

static int report(const struct volume *backup, const char *target, bool json)
{
	const char *volume_id = header_core(backup->header)->volume_id;
	const char *file = volume_header_name(backup);

	if (json)
		return cli_print_json(json_pack("{ss ss ss}", "path", target,
			"volume_id", volume_id, "backup", file));
	printf("%s: header restored from %s\n", volume_id, file);
	return STATUS_DONE;
}

int cmd_header_restore(int argc, char **argv)
{
	struct volume backup = VOLUME_CLOSED;
	const char *header = NULL;
	bool force = false, json = false;
	const struct cli_option options[] = {
		{ "force", NULL, cli_set_true, &force,
		  "also over another volume's, a newer or no header" },
		CLI_HEADER_OPTION(&header),
		CLI_JSON_OPTION(&json),
		{ 0 },
	};
	const struct cli_usage usage = {
		.verb = "header-restore",
		.arguments = "[DEVICE] FILE",
		.about = "Write the header saved in FILE to DEVICE (or to the --header file). Refused\n"
			 "over the header of another volume, a higher revision, or none at all, unless\n"
			 "forced, and while the device is in use. What was restored is verified when\n"
			 "the volume is attached, or by 'envelope check --unwrap'.\n",
		.min_arguments = 1,
		.max_arguments = 2,
		.options = options,
	};
	const char *target, *file;
	char **args;
	int r;

	r = cli_parse(&usage, argc, argv, &args);
	if (r != CLI_GO_ON)
		return r;
	if (!args[1] == !header)
		return cli_usage_error("header-restore",
				       "name a device (or --header) and a file");
	target = header ? header : args[0];
	file = header ? args[0] : args[1];
	r = volume_open(NULL, file, 0, &backup);
	if (r < 0)
		return status_from_errno(r);
	r = restore(backup.header, target, header, force);
	r = r < 0 ? (int)status_from_errno(r) : report(&backup, target, json);
	volume_close(&backup);
	return r;
}
