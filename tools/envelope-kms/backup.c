// SPDX-License-Identifier: GPL-2.0-or-later
/* `envelope-kms backup`: the database as it is now, sealed into one file. */
#include "backup.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "commands.h"
#include "files.h"
#include "json.h"
#include "log.h"
#include "root_key.h"
#include "sealed_file.h"
#include "server.h"
#include "store.h"
#include "trail.h"

const struct backup_file backup_files[] = {
	{ FILE_DATABASE, 0600 }, { FILE_CA, 0644 }, { FILE_CA_KEY, 0600 },
	{ FILE_CERTIFICATE, 0644 }, { FILE_KEY, 0600 },
	{ FILE_AUDIT_KEY, 0600 }, { FILE_AUDIT_PUBLIC, 0644 },
	{ FILE_CREDENTIALS, 0600 }, { FILE_CONF, 0644 }, { NULL, 0 },
};

#define COUNT (sizeof(backup_files) / sizeof(backup_files[0]) - 1)

struct backup {
	const char *dir, *target; /* as the user named them */
	bool json;
	struct secret *root;
	struct store *store;
	json_t *trail;            /* trail.h */
	uint8_t *database;
	size_t database_bytes;
	struct secret *small[COUNT]; /* with a NUL behind; NULL: not there */
	int64_t keys;
	char created[32];
	char *path;               /* of the file */
	char *fresh;              /* its name until it is complete; NULL */
};

/* Nobody can change the database now, so nobody can have recorded one. */
static int note_trail(void *arg)
{
	struct backup *b = arg;
	char *bucket = file_path(b->dir, FILE_AUDIT_DIR);
	int rc = bucket ? trail_end(bucket, &b->trail) : -ENOMEM;

	if (rc < 0)
		log_error("%s/" FILE_AUDIT_DIR ": cannot read the audit trail: %s",
			  b->dir, strerror(-rc));
	free(bucket);
	return rc;
}

static int read_small(struct backup *b)
{
	size_t i;
	int rc = 0;

	for (i = 1; rc == 0 && i < COUNT; i++) {
		char *path = file_path(b->dir, backup_files[i].name);

		if (!path)
			return -ENOMEM;
		if (access(path, F_OK) == 0)
			rc = file_read(b->dir, backup_files[i].name, 0,
				       &b->small[i]);
		free(path);
	}
	return rc;
}

static int take_all(struct backup *b)
{
	char *path = file_path(b->dir, FILE_DATABASE);
	int rc = root_key_read(b->dir, &b->root);

	if (rc == 0)
		rc = path ? store_open(path, false, &b->store) : -ENOMEM;
	if (rc == 0)
		rc = root_key_check(b->dir, b->root, b->store);
	if (rc == 0)
		rc = store_snapshot(b->store, note_trail, b, &b->database,
				    &b->database_bytes);
	if (rc == -EBUSY)
		log_error("%s: the database is busy; try again", b->dir);
	if (rc == 0)
		rc = store_key_total(b->store, &b->keys);
	if (rc == 0)
		rc = read_small(b);
	free(path);
	return rc;
}

static json_t *list_files(const struct backup *b)
{
	json_t *files = json_array();
	size_t i;

	for (i = 0; i < COUNT; i++) {
		size_t bytes = i == 0 ? b->database_bytes :
			       b->small[i] ? secret_len(b->small[i]) - 1 : 0;

		if (i == 0 || b->small[i])
			json_array_append_new(files,
				json_pack("{s:s, s:I}", "name", backup_files[i].name,
					  "bytes", (json_int_t)bytes));
	}
	return files;
}

static int put_head(const struct backup *b, struct sealed_out *out)
{
	char *account = NULL;
	int rc = store_get(b->store, "account", &account);
	json_t *head = rc < 0 ? NULL :
		json_pack("{s:i, s:s, s:s, s:I, s:O, s:o}", "format",
			  BACKUP_FORMAT, "created", b->created, "account",
			  account, "keys", (json_int_t)b->keys, "trail",
			  b->trail, "files", list_files(b));
	char *text = head ? json_dumps(head, JSON_COMPACT) : NULL;
	size_t bytes = text ? strlen(text) : 0;
	uint8_t size[4] = { (uint8_t)(bytes >> 24), (uint8_t)(bytes >> 16),
			    (uint8_t)(bytes >> 8), (uint8_t)bytes };

	if (rc == 0 && !text)
		rc = -ENOMEM;
	if (rc == 0 && bytes > BACKUP_HEAD_MAX)
		rc = -EFBIG;
	if (rc == 0)
		rc = sealed_out_put(out, size, sizeof(size));
	if (rc == 0)
		rc = sealed_out_put(out, text, bytes);
	free(text);
	json_decref(head);
	free(account);
	return rc;
}

static int put_all(const struct backup *b, int fd)
{
	struct sealed_out *out = NULL;
	size_t i;
	int rc = sealed_out_begin(fd, b->root, &out);

	if (rc == 0)
		rc = put_head(b, out);
	if (rc == 0)
		rc = sealed_out_put(out, b->database, b->database_bytes);
	for (i = 1; rc == 0 && i < COUNT; i++)
		if (b->small[i])
			rc = sealed_out_put(out, secret_cbytes(b->small[i]),
					    secret_len(b->small[i]) - 1);
	if (rc == 0)
		rc = sealed_out_end(out);
	if (rc == 0 && fsync(fd) < 0)
		rc = -errno;
	sealed_out_free(out);
	return rc;
}

/* FILE itself, or in the directory FILE one that has the time in its name. */
static int name_target(struct backup *b)
{
	time_t now = (time_t)(server_now_ms() / 1000);
	char stamp[32];
	struct stat st;
	struct tm tm;
	int n;

	gmtime_r(&now, &tm);
	strftime(b->created, sizeof(b->created), "%Y-%m-%dT%H:%M:%SZ", &tm);
	strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &tm);
	if (stat(b->target, &st) == 0 && S_ISDIR(st.st_mode))
		n = asprintf(&b->path, "%s/envelope-kms-%s" BACKUP_SUFFIX,
			     b->target, stamp);
	else
		n = asprintf(&b->path, "%s", b->target);
	if (n < 0) {
		b->path = NULL;
		return -ENOMEM;
	}
	if (access(b->path, F_OK) < 0)
		return 0;
	log_error("%s: exists; name another file", b->path);
	return -EEXIST;
}

/* As a link where the file system, as NFS, knows no such renaming. */
static int give_name(const struct backup *b)
{
	if (renameat2(AT_FDCWD, b->fresh, AT_FDCWD, b->path,
		      RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL || link(b->fresh, b->path) < 0)
		return -errno;
	unlink(b->fresh);
	return 0;
}

/* Complete under its name, or not there. */
static int write_file(struct backup *b)
{
	int fd, rc;

	if (asprintf(&b->fresh, "%s.new-XXXXXX", b->path) < 0) {
		b->fresh = NULL;
		return -ENOMEM;
	}
	fd = mkostemp(b->fresh, O_CLOEXEC);
	rc = fd < 0 ? -errno : put_all(b, fd);
	if (rc == 0)
		rc = give_name(b);
	if (rc < 0) {
		log_error("%s: cannot write the backup: %s", b->path,
			  strerror(-rc));
		if (fd >= 0)
			unlink(b->fresh);
	}
	if (fd >= 0)
		close(fd);
	return rc == 0 ? parent_sync(b->path) : rc;
}

static int print_result(const struct backup *b)
{
	if (!b->json) {
		printf("%s: %lld keys, as they were at %s\n", b->path,
		       (long long)b->keys, b->created);
		return 0;
	}
	return json_print(json_pack("{s:s, s:I, s:s}", "file", b->path, "keys",
				    (json_int_t)b->keys, "created",
				    b->created), stdout);
}

static void free_all(struct backup *b)
{
	size_t i;

	for (i = 0; i < COUNT; i++)
		secret_free(b->small[i]);
	store_snapshot_free(b->database);
	json_decref(b->trail);
	store_close(b->store);
	secret_free(b->root);
	free(b->path);
	free(b->fresh);
}

static const struct option options[] = {
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static const char help[] =
	"Usage: envelope-kms backup DIR FILE [--json]\n"
	"\n"
	"Writes all that DIR knows of keys, grants and people into FILE, or into a new\n"
	"file in FILE if that is a directory, while DIR is served or not. FILE is\n"
	"encrypted under DIR/root.key; neither that nor DIR/subkeys.db nor the audit\n"
	"trail are in it, and envelope-kms restore needs all three.\n";

int cmd_backup(int argc, char **argv)
{
	struct backup b = { .dir = NULL };
	int c, rc;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'h') {
			fputs(help, stdout);
			return 0;
		}
		if (c != 'j')
			return -EINVAL;
		b.json = true;
	}
	if (argc - optind != 2) {
		log_error("give: envelope-kms backup DIR FILE");
		return -EINVAL;
	}
	b.dir = argv[optind];
	b.target = argv[optind + 1];
	umask(0077);
	rc = name_target(&b);
	if (rc == 0)
		rc = take_all(&b);
	if (rc == 0)
		rc = write_file(&b);
	if (rc == 0)
		rc = print_result(&b);
	free_all(&b);
	return rc < 0 ? -EIO : 0;
}
