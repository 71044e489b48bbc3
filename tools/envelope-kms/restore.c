// SPDX-License-Identifier: GPL-2.0-or-later
/* `envelope-kms restore`: a directory from a backup and from what survived. */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit.h"
#include "audit_sign.h"
#include "backup.h"
#include "commands.h"
#include "files.h"
#include "fresh.h"
#include "json.h"
#include "log.h"
#include "material.h"
#include "replay.h"
#include "root_key.h"
#include "sealed_file.h"
#include "store.h"
#include "trail.h"

#define SMALL_MAX (64 * 1024)
#define PART_BYTES 65536

struct restore {
	const char *file, *target, *from; /* as the user named them */
	bool json;
	int from_fd;              /* locked; -1: not open */
	struct fresh fresh;
	struct secret *root;
	struct sealed_in *in;
	json_t *head;             /* backup.h */
	struct store *store;
	struct audit *audit;
	struct replay replay;
};

/* What is served may not be copied, nor go on beside its own restoration. */
static int lock_from(struct restore *r)
{
	int rc;

	r->from_fd = open(r->from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r->from_fd >= 0 && flock(r->from_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	rc = -errno;
	log_error("%s: %s", r->from, r->from_fd >= 0 ?
		  "an envelope-kms serves it; stop it first" :
		  strerror(-rc));
	return rc;
}

/* Says why the file is no good, if that is it. */
static int refuse_file(const struct restore *r, int rc)
{
	if (rc == -EINVAL)
		log_error("%s: not a backup of envelope-kms", r->file);
	else if (rc == -EKEYREJECTED)
		log_error("%s: made with another root key than %s/" FILE_ROOT_KEY,
			  r->file, r->from);
	else if (rc == -EBADMSG)
		log_error("%s: damaged, or cut short; take another backup",
			  r->file);
	else if (rc < 0)
		log_error("%s: %s", r->file, strerror(-rc));
	return rc;
}

static int get_head(struct restore *r)
{
	char why[JSON_WHY_BYTES], *text = NULL;
	uint8_t size[4];
	size_t bytes;
	int rc = sealed_in_get(r->in, size, sizeof(size));

	if (rc < 0)
		return rc;
	bytes = (size_t)size[0] << 24 | (size_t)size[1] << 16 |
		(size_t)size[2] << 8 | size[3];
	if (bytes > BACKUP_HEAD_MAX)
		return -EBADMSG;
	text = malloc(bytes + 1);
	rc = text ? sealed_in_get(r->in, text, bytes) : -ENOMEM;
	if (rc == 0)
		rc = json_parse_strict(text, bytes, 8, &r->head, why);
	free(text);
	return rc;
}

static int get_small(struct restore *r, const struct backup_file *file,
		     size_t bytes)
{
	struct secret *data = bytes <= SMALL_MAX ? secret_new(bytes + 1) :
						   NULL;
	int rc = data ? sealed_in_get(r->in, secret_bytes(data), bytes) :
		 bytes > SMALL_MAX ? -EBADMSG : -ENOMEM;

	if (rc == 0)
		rc = file_write(r->fresh.work, file->name, file->mode,
				secret_cbytes(data), bytes);
	secret_free(data);
	return rc;
}

static int get_database(struct restore *r, size_t bytes)
{
	char *path = file_path(r->fresh.work, FILE_DATABASE);
	uint8_t *part = malloc(PART_BYTES);
	int fd = path && part ? open(path, O_WRONLY | O_CREAT | O_EXCL |
				     O_CLOEXEC, 0600) : -1;
	int rc = fd >= 0 ? 0 : path && part ? -errno : -ENOMEM, io = 0;

	while (rc == 0 && io == 0 && bytes) {
		size_t n = bytes < PART_BYTES ? bytes : PART_BYTES;

		rc = sealed_in_get(r->in, part, n);
		if (rc == 0)
			io = file_write_all(fd, part, n);
		bytes -= n;
	}
	if (rc == 0 && io == 0 && fd >= 0 && fsync(fd) < 0)
		io = -errno;
	if (io < 0)
		log_error("%s: cannot write: %s", path, strerror(-io));
	if (fd >= 0)
		close(fd);
	free(part);
	free(path);
	return rc < 0 ? rc : io < 0 ? -ECANCELED : 0;
}

static const struct backup_file *find_file(const char *name)
{
	const struct backup_file *file;

	for (file = backup_files; file->name; file++)
		if (strcmp(file->name, name) == 0)
			return file;
	return NULL;
}

static int get_files(struct restore *r)
{
	json_t *entry;
	size_t i;
	int rc = 0;

	if (json_integer_value(json_object_get(r->head, "format")) !=
	    BACKUP_FORMAT) {
		log_error("%s: made by a newer envelope-kms", r->file);
		return -ECANCELED;
	}
	json_array_foreach(json_object_get(r->head, "files"), i, entry) {
		const struct backup_file *file =
			find_file(replay_text(entry, "name"));
		uint64_t bytes = 0;

		rc = file ? json_get_u64(entry, "bytes", 0, INT64_MAX,
					 &bytes) : -EBADMSG;
		if (rc == 0)
			rc = file == backup_files ?
			     get_database(r, bytes) :
			     get_small(r, file, bytes);
		if (rc < 0)
			return rc == -ENOENT ? -EBADMSG : rc;
	}
	return sealed_in_end(r->in);
}

static int unpack(struct restore *r)
{
	int fd = open(r->file, O_RDONLY | O_CLOEXEC);
	int rc = fd < 0 ? -errno : sealed_in_begin(fd, r->root, &r->in);

	if (rc == 0)
		rc = get_head(r);
	if (rc == 0)
		rc = get_files(r);
	if (fd >= 0)
		close(fd);
	/* -ECANCELED: that has been said. */
	return rc == -ECANCELED ? rc : refuse_file(r, rc);
}

static int copy_file(const char *from, const char *to)
{
	int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int out = in < 0 ? -1 : open(to, O_WRONLY | O_CREAT | O_EXCL |
				     O_CLOEXEC, 0600);
	int rc = out < 0 ? -errno : 0;
	uint8_t part[16384];
	ssize_t n = 1;

	while (rc == 0 && n > 0) {
		n = read(in, part, sizeof(part));
		rc = n < 0 ? -errno : file_write_all(out, part, (size_t)n);
	}
	if (rc == 0 && fsync(out) < 0)
		rc = -errno;
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	return rc;
}

static int copy_entry(const FTSENT *e, const char *to)
{
	switch (e->fts_info) {
	case FTS_D:
		return mkdir(to, 0700) < 0 ? -errno : 0;
	case FTS_DP:
		return dir_sync(to);
	case FTS_F:
		return copy_file(e->fts_path, to);
	case FTS_DNR:
	case FTS_ERR:
	case FTS_NS:
		return -e->fts_errno;
	}
	return -EINVAL;
}

/* The audit trail, whole: files and folders, and nothing else. */
static int copy_trail(struct restore *r)
{
	char *from = file_path(r->from, FILE_AUDIT_DIR);
	char *real = from ? realpath(from, NULL) : NULL, *to = NULL;
	char *const roots[] = { real, NULL };
	FTS *fts = real ? fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL) :
			  NULL;
	FTSENT *e;
	int rc = fts ? 0 : -errno;

	while (rc == 0 && (e = fts_read(fts))) {
		if (asprintf(&to, "%s/" FILE_AUDIT_DIR "%s", r->fresh.work,
			     e->fts_path + strlen(real)) < 0)
			return -ENOMEM;
		rc = copy_entry(e, to);
		if (rc < 0)
			log_error("%s: cannot copy: %s", e->fts_path,
				  strerror(-rc));
		free(to);
	}
	if (!fts)
		log_error("%s/" FILE_AUDIT_DIR ": %s", r->from, strerror(-rc));
	else
		fts_close(fts);
	free(real);
	free(from);
	return rc;
}

/* The key of a trail that was signed for the first time after the backup. */
static int copy_audit_key(struct restore *r, const char *name, mode_t mode)
{
	char *from = file_path(r->from, name);
	char *to = file_path(r->fresh.work, name);
	struct secret *data = NULL;
	int rc = from && to ? 0 : -ENOMEM;

	if (rc == 0 && access(to, F_OK) < 0 && access(from, F_OK) == 0) {
		rc = file_read(r->from, name, !(mode & 077), &data);
		if (rc == 0)
			rc = file_write(r->fresh.work, name, mode,
					secret_cbytes(data),
					secret_len(data) - 1);
	}
	secret_free(data);
	free(from);
	free(to);
	return rc;
}

/* What no backup has: the root key, the subkeys and the trail. */
static int copy_survivors(struct restore *r)
{
	char *from = file_path(r->from, FILE_SUBKEYS);
	char *to = file_path(r->fresh.work, FILE_SUBKEYS);
	int rc = file_write(r->fresh.work, FILE_ROOT_KEY, 0600,
			    secret_cbytes(r->root), secret_len(r->root));

	if (rc == 0)
		rc = from && to ? store_subkeys_copy(from, to) : -ENOMEM;
	if (rc == 0)
		rc = copy_trail(r);
	if (rc == 0)
		rc = copy_audit_key(r, FILE_AUDIT_KEY, 0600);
	if (rc == 0)
		rc = copy_audit_key(r, FILE_AUDIT_PUBLIC, 0644);
	free(from);
	free(to);
	return rc;
}

/*
 * Nothing is replayed from a trail that was tampered with. Before the first
 * digest there may be no key: a new one will do, and for no older digest.
 */
static int verify_trail(struct restore *r)
{
	struct audit_verify_options o = {
		.dir = r->fresh.work, .json = true,
	};
	json_t *report = NULL, *finding;
	struct audit_key *key = NULL;
	size_t i;
	int rc = audit_key_open(r->fresh.work, &key);

	audit_key_free(key);
	o.report = &report;
	if (rc == 0)
		rc = cmd_audit_verify(&o);
	json_array_foreach(json_object_get(report, "findings"), i, finding)
		log_error("%s/" FILE_AUDIT_DIR ": %s %s: %s", r->from,
			  replay_text(finding, "kind"),
			  replay_text(finding, "object"),
			  replay_text(finding, "problem"));
	if (rc == -EBADMSG)
		log_error("%s/" FILE_AUDIT_DIR ": the audit trail does not verify; restore nothing from it before you know why",
			  r->from);
	json_decref(report);
	return rc;
}

static int open_all(struct restore *r)
{
	char *path = file_path(r->fresh.work, FILE_DATABASE);
	int rc = path ? store_open(path, true, &r->store) : -ENOMEM;

	if (rc == 0)
		rc = store_forget_copies(r->store);
	if (rc == 0)
		rc = root_key_check(r->from, r->root, r->store);
	if (rc == 0)
		rc = material_upgrade(r->store, r->root);
	free(path);
	return rc;
}

/* Keys that are disabled now are so for a later restoration, too. */
static int record_disabled(struct restore *r)
{
	struct key_row key = { .description = NULL };
	const char *arn;
	json_t *unused;
	int rc = 0;

	json_object_foreach(r->replay.disabled, arn, unused) {
		/* arn:aws:kms:REGION:ACCOUNT:key/ID */
		if (rc == 0 && sscanf(arn, "arn:aws:kms:%63[^:]:%12[^:]:key/%36s",
				      key.region, key.account,
				      key.key_id) == 3)
			rc = audit_service_event(r->audit, "DisableKey", &key);
	}
	return rc;
}

static int replay_all(struct restore *r)
{
	char *bucket = file_path(r->fresh.work, FILE_AUDIT_DIR);
	int rc = bucket ? store_begin(r->store) : -ENOMEM;

	if (rc < 0)
		goto out;
	rc = trail_since(bucket, json_object_get(r->head, "trail"),
			 replay_record, &r->replay);
	if (rc == 0)
		rc = replay_run(&r->replay);
	if (rc == -ENODATA)
		log_error("%s/" FILE_AUDIT_DIR ": ends before the backup, or has a gap; find the rest of it, as what was revoked since would come back",
			  r->from);
	else if (rc < 0)
		log_error("%s/" FILE_AUDIT_DIR ": cannot replay it: %s",
			  r->from, strerror(-rc));
	if (rc == 0)
		rc = record_disabled(r);
	if (rc == 0)
		rc = store_commit(r->store);
	else
		store_rollback(r->store);
out:
	free(bucket);
	return rc;
}

/* What is gone leaves this copy, too, before anybody can use it. */
static int shred(struct restore *r)
{
	int rc;

	while ((rc = store_shred_one(r->store)) == 0)
		;
	return rc == -ENOENT ? store_truncate_log(r->store) : rc;
}

static int bring_up_to_date(struct restore *r)
{
	int rc;

	r->replay.notes = json_array();
	r->replay.disabled = json_object();
	if (!r->replay.notes || !r->replay.disabled)
		return -ENOMEM;
	/* A record that was being written goes, as when a server starts. */
	rc = audit_open(r->fresh.work, &r->audit);
	if (rc == 0)
		rc = verify_trail(r);
	if (rc == 0)
		rc = open_all(r);
	r->replay.store = r->store;
	if (rc == 0)
		rc = replay_all(r);
	if (rc == 0)
		rc = shred(r);
	audit_close(r->audit);
	store_close(r->store);
	r->store = NULL;
	return rc == 0 ? dir_sync(r->fresh.work) : rc;
}

static int print_result(const struct restore *r)
{
	const char *created = replay_text(r->head, "created");
	json_t *line;
	size_t i;

	if (r->json)
		return json_print(json_pack("{s:s, s:s, s:I, s:O}",
					    "directory", r->fresh.dir,
					    "created", created, "replayed",
					    (json_int_t)r->replay.replayed,
					    "notes", r->replay.notes),
				  stdout);
	json_array_foreach(r->replay.notes, i, line)
		puts(json_string_value(line));
	printf("%s: as it was at %s, and %zu changes since\n"
	       "Remove %s, which still has the subkeys.\n", r->fresh.dir,
	       created, r->replay.replayed, r->from);
	return 0;
}

static int run(struct restore *r)
{
	int rc = fresh_find(r->target, &r->fresh);

	if (rc == 0)
		rc = lock_from(r);
	if (rc == 0)
		rc = root_key_read(r->from, &r->root);
	if (rc == 0)
		rc = fresh_begin(&r->fresh, "restore");
	if (rc == 0)
		rc = unpack(r);
	if (rc == 0)
		rc = copy_survivors(r);
	if (rc == 0)
		rc = bring_up_to_date(r);
	if (rc == 0)
		rc = fresh_publish(&r->fresh);
	return rc == 0 ? print_result(r) : rc;
}

static const struct option options[] = {
	{ "from", required_argument, NULL, 'f' },
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static const char help[] =
	"Usage: envelope-kms restore FILE DIR --from OLD [--json]\n"
	"\n"
	"Makes DIR, which must be empty or not exist, of the backup FILE and of\n"
	"root.key, subkeys.db and audit/ in OLD, the directory that was backed up or\n"
	"what is left of it. What has been deleted or revoked since the backup, as the\n"
	"audit trail tells, is so in DIR. Prints what could not be restored.\n"
	"\n"
	"  --from OLD      where the root key, the subkeys and the audit trail are\n"
	"  --json          print one JSON object\n";

int cmd_restore(int argc, char **argv)
{
	struct restore r = { .from_fd = -1 };
	int c, rc;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'h') {
			fputs(help, stdout);
			return 0;
		}
		if (c == 'f')
			r.from = optarg;
		else if (c == 'j')
			r.json = true;
		else
			return -EINVAL;
	}
	if (argc - optind != 2 || !r.from) {
		log_error("give: envelope-kms restore FILE DIR --from OLD");
		return -EINVAL;
	}
	r.file = argv[optind];
	r.target = argv[optind + 1];
	umask(0077);
	rc = run(&r);
	fresh_end(&r.fresh);
	sealed_in_free(r.in);
	replay_clear(&r.replay);
	json_decref(r.head);
	secret_free(r.root);
	if (r.from_fd >= 0)
		close(r.from_fd);
	return rc < 0 ? -EIO : 0;
}
