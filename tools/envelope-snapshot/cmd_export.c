// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope-snapshot export: plaintext, and no snapshot any more. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit.h"
#include "cmd.h"
#include "log.h"
#include "new_file.h"
#include "snapshot_key.h"
#include "status.h"

struct export {
	struct store_wish store;
	struct volume_access access;
	struct snapshot_work work;
};

static int decrypt_to(const struct export *o, struct snapshot_store *st,
		      const struct snapshot *s, const struct secret *dek,
		      const char *path)
{
	const struct header_core *core = header_core(snapshot_header(
		(struct snapshot *)s));
	struct snapshot_move m = {
		.what = "export",
		.core = core,
		.from = st,
		.source = s,
		.in.fd = -1,
		.decrypt = dek,
		.sparse = true,
	};
	struct new_file file;
	int r = new_file_begin(path, &file);

	if (r < 0)
		return r;
	m.out.fd = file.device.fd;
	m.out.name = file.device.path;
	r = snapshot_move(&m, &o->work);
	if (r == 0 && (ftruncate(m.out.fd, (off_t)core->size_bytes) < 0 ||
		       fsync(m.out.fd) < 0)) {
		log_error("'%s': cannot write: %s", path, strerror(errno));
		r = -EIO;
	}
	return new_file_end(&file, r);
}

static int export(const struct export *o, const char *id, const char *path)
{
	struct snapshot_store *st = NULL;
	struct snapshot *s = NULL;
	struct secret *dek = NULL;
	const char *volume_id = NULL;
	uint8_t *body = NULL;
	size_t n = 0;
	int r = new_file_check(path);

	if (r == 0)
		r = store_open(&o->store, false, &st);
	if (r == 0)
		r = snapshot_store_load(st, id, &s, &body, &n);
	if (r == 0)
		r = snapshot_unlock(s, body, n, &o->access, NULL, &dek);
	if (s)
		volume_id = header_core(snapshot_header(s))->volume_id;
	if (r < 0)
		audit_verb_ended("export", path, volume_id, r);
	else
		r = audit_verb("export", path, volume_id);
	if (r == 0)
		r = decrypt_to(o, st, s, dek, path);
	secret_free(dek);
	free(body);
	snapshot_free(s);
	snapshot_store_close(st);
	return status_from_errno(r);
}

int cmd_export(int argc, char **argv)
{
	struct export o = {
		.access.conf.environment = true,
		.work.progress = cli_progress,
	};
	const struct cli_option options[] = {
		STORE_OPTIONS(&o.store),
		WORK_OPTIONS(&o.work),
		CLI_ACCESS_OPTIONS(&o.access),
		{ 0 }
	};
	const struct cli_usage usage = {
		.verb = "export",
		.arguments = "SNAPSHOT FILE",
		.about = "Decrypt a snapshot into FILE, which must not exist. Takes one Decrypt. The\n"
			 "result is PLAINTEXT, and no snapshot. Holes become zeros, and FILE is sparse.\n",
		.min_arguments = 2,
		.max_arguments = 2,
		.options = options,
	};
	char **args;
	int status = cli_parse(&usage, argc, argv, &args);

	if (status == CLI_GO_ON)
		status = check_id("export", args[0]);
	return status == CLI_GO_ON ? export(&o, args[0], args[1]) : status;
}
