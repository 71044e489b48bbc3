// SPDX-License-Identifier: GPL-2.0-or-later
/* A store in a folder: objects appear whole, or not at all. */
#include "snapshot_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

#define MARK "envelope-store"
#define MARK_TEXT "envelope snapshot store 1\n"
#define MAX_BODY_BYTES (1ull << 33)
#define NAME_CHARS 200
#define REUSE_SECONDS (12 * 3600) /* of the day that gc waits */

struct snapshot_store {
	int fd;			/* the folder */
	char *path;
};

static int failed(const struct snapshot_store *st, const char *name,
		  const char *what)
{
	int code = errno;

	log_error("'%s': cannot %s %s: %s", st->path, what, name,
		  strerror(code));
	return code == ENOSPC || code == EDQUOT ? -ENOSPC : -EIO;
}

static int flush_folder(const struct snapshot_store *st, const char *folder)
{
	int fd = openat(st->fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd >= 0 && fsync(fd) == 0 ? 0 : failed(st, folder, "flush");

	if (fd >= 0)
		close(fd);
	return r;
}

/*
 * The folder of the object @name and those above it, each flushed into its
 * parent; one that is there may have come from somebody who was killed before
 * he could do that.
 */
static int make_folders(const struct snapshot_store *st, const char *name)
{
	char folder[NAME_CHARS], above[NAME_CHARS] = ".";
	const char *end = name;
	int r = 0;

	while (r == 0 && (end = strchr(end, '/'))) {
		snprintf(folder, sizeof(folder), "%.*s", (int)(end - name),
			 name);
		if (mkdirat(st->fd, folder, 0700) < 0 && errno != EEXIST)
			return failed(st, folder, "make folder");
		r = flush_folder(st, above);
		strcpy(above, folder);
		end++;
	}
	return r;
}

static int write_all(int fd, const uint8_t *p, size_t bytes)
{
	while (bytes > 0) {
		ssize_t n = write(fd, p, bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		p += n;
		bytes -= n;
	}
	return fsync(fd);
}

static int rename_object(const struct snapshot_store *st, const char *part,
			 const char *name, unsigned int flags)
{
	if (renameat2(st->fd, part, st->fd, name, flags) == 0)
		return 0;
	return errno == EEXIST ? -EEXIST : failed(st, name, "write");
}

static int put_object(const struct snapshot_store *st, const char *name,
		      const void *p, size_t bytes, unsigned int flags)
{
	const char *slash = strrchr(name, '/');
	int folder_chars = slash ? slash - name : 1;
	char folder[NAME_CHARS], part[NAME_CHARS + 32];
	uint64_t number;
	int fd, r;

	r = make_folders(st, name);
	if (r < 0)
		return r;
	snprintf(folder, sizeof(folder), "%.*s", folder_chars,
		 slash ? name : ".");
	/* Whoever made it may have been killed before this. */
	if (flags == RENAME_NOREPLACE &&
	    faccessat(st->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
		r = flush_folder(st, folder);
		return r < 0 ? r : -EEXIST;
	}
	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return failed(st, name, "name");
	snprintf(part, sizeof(part), "%s/tmp.%016llx", folder,
		 (unsigned long long)number);
	fd = openat(st->fd, part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
		    0600);
	if (fd < 0)
		return failed(st, name, "make");
	r = write_all(fd, p, bytes) < 0 ? failed(st, name, "write") : 0;
	close(fd);
	if (r == 0)
		r = rename_object(st, part, name, flags);
	if (r < 0)
		unlinkat(st->fd, part, 0);
	if (r == 0 || r == -EEXIST) {
		int flushed = flush_folder(st, folder);

		return flushed < 0 ? flushed : r;
	}
	return r;
}

/* -EEXIST, silent: @name is there already. */
static int put(const struct snapshot_store *st, const char *name,
	       const void *p, size_t bytes)
{
	return put_object(st, name, p, bytes, RENAME_NOREPLACE);
}

/* Also in the place of another. */
static int replace(const struct snapshot_store *st, const char *name,
		   const void *p, size_t bytes)
{
	return put_object(st, name, p, bytes, 0);
}

/* -ENOENT, silent. The caller frees *@ret, which has room for one more byte. */
static int get(const struct snapshot_store *st, const char *name,
	       uint64_t max_bytes, uint8_t **ret, size_t *bytes_ret)
{
	int fd = openat(st->fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC |
			O_NONBLOCK);
	uint8_t *p = NULL;
	struct stat info;
	size_t done = 0;
	ssize_t n = 1;
	int r = 0;

	if (fd < 0)
		return errno == ENOENT ? -ENOENT : failed(st, name, "read");
	if (fstat(fd, &info) < 0)
		r = failed(st, name, "read");
	else if (!S_ISREG(info.st_mode) || (uint64_t)info.st_size > max_bytes)
		r = -EBADMSG;
	if (r == -EBADMSG)
		log_error("'%s': damaged or forged: %s is no file, or too long",
			  st->path, name);
	if (r == 0) {
		p = malloc(info.st_size + 1);
		r = p ? 0 : -ENOMEM;
	}
	while (r == 0 && n > 0 && done < (size_t)info.st_size) {
		n = read(fd, p + done, info.st_size - done);
		if (n < 0)
			r = failed(st, name, "read");
		else
			done += n;
	}
	close(fd);
	if (r < 0) {
		free(p);
		return r;
	}
	*ret = p;
	*bytes_ret = done;
	return 0;
}

static bool folder_empty(int fd)
{
	DIR *dir = fdopendir(dup(fd));
	const struct dirent *entry;
	bool empty = dir != NULL;

	while (empty && (entry = readdir(dir)))
		/* What a killed creation left is nothing. */
		empty = entry->d_name[0] == '.' ||
			strncmp(entry->d_name, "tmp.", 4) == 0;
	if (dir)
		closedir(dir);
	return empty;
}

static int check_mark(const struct snapshot_store *st, bool create)
{
	uint8_t *text = NULL;
	size_t n = 0;
	int r = get(st, MARK, 4096, &text, &n);

	if (r == -ENOENT && create && !folder_empty(st->fd)) {
		log_error("'%s' has something else in it: name a new or empty folder",
			  st->path);
		return -EEXIST;
	}
	if (r == -ENOENT && create) {
		r = put(st, MARK, MARK_TEXT, strlen(MARK_TEXT));
		return r == -EEXIST ? 0 : r;
	}
	if (r == -ENOENT)
		log_error("'%s' is no store of snapshots: it has no file "
			  MARK, st->path);
	if (r == 0 && (n != strlen(MARK_TEXT) ||
		       memcmp(text, MARK_TEXT, n) != 0)) {
		log_error("'%s': a store that this program does not know: use a newer one",
			  st->path);
		r = -EOPNOTSUPP;
	}
	free(text);
	return r;
}

/* The path of a store in a folder; NULL with a sentence: it is none. */
static const char *folder_of(const char *url)
{
	size_t scheme = strspn(url, "abcdefghijklmnopqrstuvwxyz0123456789");

	if (strncmp(url, "dir:", 4) == 0)
		return url + 4;
	if (url[scheme] != ':')
		return url;
	log_error("'%s': no such kind of store: dir:PATH", url);
	return NULL;
}

int snapshot_store_open(const char *url, bool create,
			struct snapshot_store **ret)
{
	const char *path = folder_of(url);
	struct snapshot_store *st;
	int r = 0;

	if (!path)
		return -EINVAL;
	st = calloc(1, sizeof(*st));

	if (!st)
		return -ENOMEM;
	st->fd = -1;
	st->path = strdup(path);
	if (!st->path)
		r = -ENOMEM;
	else if (create && mkdir(path, 0700) < 0 && errno != EEXIST)
		r = failed(st, "the folder", "make");
	if (r == 0) {
		st->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (st->fd < 0) {
			r = errno == ENOENT ? -ENOENT : -EIO;
			failed(st, "the folder", "open");
		}
	}
	if (r == 0)
		r = check_mark(st, create);
	if (r < 0)
		snapshot_store_close(st);
	else
		*ret = st;
	return r;
}

void snapshot_store_close(struct snapshot_store *st)
{
	if (!st)
		return;
	if (st->fd >= 0)
		close(st->fd);
	free(st->path);
	free(st);
}

bool snapshot_store_exists(const char *url)
{
	const char *path = strncmp(url, "dir:", 4) == 0 ? url + 4 : url;

	return access(path, F_OK) == 0;
}

const char *snapshot_store_url(const struct snapshot_store *st)
{
	return st->path;
}

static void block_name(const char *lineage, const uint8_t *digest,
		       char ret[NAME_CHARS])
{
	char hex[SNAPSHOT_DIGEST_CHARS];

	snapshot_hex(digest, hex);
	snprintf(ret, NAME_CHARS, "blocks/%s/%.2s/%s", lineage, hex, hex);
}

/*
 * A block that is there already: of another length it is what a disk has left of
 * it, and is written again. One that gc might take soon becomes young again.
 */
static int reuse(struct snapshot_store *st, const char *name, const void *p,
		 size_t bytes)
{
	struct stat info;

	if (fstatat(st->fd, name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISREG(info.st_mode) && (uint64_t)info.st_size == bytes &&
	    time(NULL) - info.st_mtime < REUSE_SECONDS)
		return 0;
	return replace(st, name, p, bytes);
}

int snapshot_store_put_block(struct snapshot_store *st, const char *lineage,
			     const uint8_t *chunk, size_t bytes,
			     uint8_t digest_ret[SNAPSHOT_DIGEST_BYTES])
{
	char name[NAME_CHARS];
	int r = snapshot_sha256(chunk, bytes, digest_ret);

	if (r < 0)
		return r;
	block_name(lineage, digest_ret, name);
	r = put(st, name, chunk, bytes);
	return r == -EEXIST ? reuse(st, name, chunk, bytes) : r;
}

int snapshot_store_get_block(struct snapshot_store *st,
			     const struct snapshot *s, uint64_t index,
			     uint8_t *chunk)
{
	const uint8_t *want = snapshot_digest(s, index);
	uint8_t found[SNAPSHOT_DIGEST_BYTES];
	uint8_t *bytes = NULL;
	char name[NAME_CHARS];
	bool same;
	size_t n = 0;
	int r;

	block_name(header_core(snapshot_header(s))->lineage, want, name);
	r = get(st, name, SNAPSHOT_CHUNK_BYTES, &bytes, &n);
	if (r == 0)
		r = snapshot_sha256(bytes, n, found);
	if (r < 0 && r != -ENOENT)
		goto out;
	same = r == 0 && n == snapshot_chunk_bytes(s, index) &&
	       memcmp(found, want, sizeof(found)) == 0;
	if (same) {
		memcpy(chunk, bytes, n);
	} else {
		log_error("'%s': chunk %llu of %s is %s: %s; take another copy of the store",
			  st->path, (unsigned long long)index, snapshot_id(s),
			  r < 0 ? "missing" : "damaged or forged", name);
		r = -EBADMSG;
	}
out:
	free(bytes);
	return r;
}

/* Is every block of @s there? Between its writing and now gc may have run. */
static int check_blocks(struct snapshot_store *st, const struct snapshot *s)
{
	const char *lineage = header_core(snapshot_header(
		(struct snapshot *)s))->lineage;
	uint64_t chunks = snapshot_chunks(s), i;
	char name[NAME_CHARS];

	for (i = snapshot_next_stored(s, 0); i < chunks;
	     i = snapshot_next_stored(s, i + 1)) {
		block_name(lineage, snapshot_digest(s, i), name);
		if (faccessat(st->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			continue;
		log_error("'%s': chunk %llu of %s is not there any more: %s; nothing is published: try again",
			  st->path, (unsigned long long)i, snapshot_id(s),
			  name);
		return -EIO;
	}
	return 0;
}

int snapshot_store_publish_body(struct snapshot_store *st,
				const struct snapshot *s, const uint8_t *body,
				size_t bytes)
{
	struct snapshot_wrapper w = { 0 };
	struct snapshot *again = NULL;
	char name[NAME_CHARS];
	char *text = NULL;
	int r = snapshot_wrapper_encode(s, &text);

	/* What no reader would take is not written. */
	if (r == 0)
		r = snapshot_wrapper_parse(snapshot_id(s), text, strlen(text),
					   &w);
	if (r == 0)
		r = snapshot_open(&w, body, bytes, &again);
	snapshot_free(again);
	if (r == 0)
		r = check_blocks(st, s);
	if (r == 0) {
		snprintf(name, sizeof(name), "bodies/%s/%s", w.lineage, w.body);
		r = put(st, name, body, bytes);
	}
	if (r == 0 || r == -EEXIST) {
		snprintf(name, sizeof(name), "snapshots/%s", snapshot_id(s));
		r = put(st, name, text, strlen(text));
		if (r == -EEXIST)
			log_error("'%s': there is a snapshot %s already",
				  st->path, snapshot_id(s));
	}
	snapshot_wrapper_free(&w);
	free(text);
	return r;
}

int snapshot_store_publish(struct snapshot_store *st, struct snapshot *s,
			   const struct secret *seal)
{
	uint8_t *body = NULL;
	size_t n = 0;
	int r = snapshot_body_encode(s, seal, &body, &n);

	if (r == 0)
		r = snapshot_store_publish_body(st, s, body, n);
	free(body);
	return r;
}

int snapshot_store_replace(struct snapshot_store *st, const struct snapshot *s)
{
	char name[NAME_CHARS];
	char *text = NULL;
	int r = snapshot_wrapper_encode(s, &text);

	snprintf(name, sizeof(name), "snapshots/%s", snapshot_id(s));
	if (r == 0 && faccessat(st->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		r = -ENOENT;
	if (r == 0)
		r = replace(st, name, text, strlen(text));
	free(text);
	return r;
}

bool snapshot_store_has(struct snapshot_store *st, const char *id)
{
	char name[NAME_CHARS];

	snprintf(name, sizeof(name), "snapshots/%.22s", id);
	return snapshot_id_valid(id) &&
	       faccessat(st->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int snapshot_store_wrapper(struct snapshot_store *st, const char *id,
			   struct snapshot_wrapper *ret)
{
	uint8_t *text = NULL;
	char name[NAME_CHARS];
	size_t n = 0;
	int r = snapshot_id_valid(id) ? 0 : -ENOENT;

	snprintf(name, sizeof(name), "snapshots/%.22s", id);
	if (r == 0)
		r = get(st, name, SNAPSHOT_MAX_WRAPPER_BYTES, &text, &n);
	if (r == -ENOENT)
		log_error("'%s': no snapshot '%s'", st->path, id);
	if (r == 0)
		r = snapshot_wrapper_parse(id, (char *)text, n, ret);
	free(text);
	return r;
}

int snapshot_store_load(struct snapshot_store *st, const char *id,
			struct snapshot **ret, uint8_t **body_ret,
			size_t *bytes_ret)
{
	struct snapshot_wrapper w = { 0 };
	uint8_t *body = NULL;
	char name[NAME_CHARS];
	size_t n = 0;
	int r = snapshot_store_wrapper(st, id, &w);

	if (r < 0)
		return r;
	snprintf(name, sizeof(name), "bodies/%s/%s", w.lineage, w.body);
	r = get(st, name, MAX_BODY_BYTES, &body, &n);
	if (r == -ENOENT) {
		log_error("'%s': the body of %s is missing: %s; take another copy of the store",
			  st->path, id, name);
		r = -EBADMSG;
	}
	if (r == 0)
		r = snapshot_open(&w, body, n, ret);
	snapshot_wrapper_free(&w);
	if (r < 0) {
		free(body);
		return r;
	}
	*body_ret = body;
	*bytes_ret = n;
	return 0;
}

static int is_id(const struct dirent *entry)
{
	return snapshot_id_valid(entry->d_name);
}

/* The names in @folder that are ids. */
static int list_ids(struct snapshot_store *st, const char *folder,
		    json_t **ret)
{
	struct dirent **entries = NULL;
	json_t *ids = json_array();
	int n = scandirat(st->fd, folder, &entries, is_id, alphasort);
	int r = ids ? 0 : -ENOMEM, i;

	/* A store without snapshots has no such folder. */
	if (n < 0 && errno != ENOENT)
		r = failed(st, folder, "list");
	for (i = 0; i < n; i++) {
		if (r == 0 && json_array_append_new(
				ids, json_string(entries[i]->d_name)) < 0)
			r = -ENOMEM;
		free(entries[i]);
	}
	free(entries);
	if (r < 0)
		json_decref(ids);
	else
		*ret = ids;
	return r;
}

int snapshot_store_list(struct snapshot_store *st, json_t **ret)
{
	return list_ids(st, "snapshots", ret);
}

int snapshot_store_pending_list(struct snapshot_store *st, json_t **ret)
{
	return list_ids(st, "pending", ret);
}

int snapshot_store_pending_put(struct snapshot_store *st, const char *id,
			       const char *text)
{
	char name[NAME_CHARS];

	snprintf(name, sizeof(name), "pending/%.22s", id);
	return replace(st, name, text, strlen(text));
}

int snapshot_store_pending_get(struct snapshot_store *st, const char *id,
			       char **ret)
{
	uint8_t *text = NULL;
	char name[NAME_CHARS];
	size_t n = 0;
	int r;

	snprintf(name, sizeof(name), "pending/%.22s", id);
	r = get(st, name, SNAPSHOT_MAX_WRAPPER_BYTES, &text, &n);
	if (r < 0)
		return r;
	/* get() has room for one more. */
	text[n] = '\0';
	*ret = (char *)text;
	return 0;
}

static int drop(struct snapshot_store *st, const char *name,
		const char *folder)
{
	if (unlinkat(st->fd, name, 0) < 0)
		return errno == ENOENT ? -ENOENT : failed(st, name, "remove");
	return flush_folder(st, folder);
}

int snapshot_store_pending_remove(struct snapshot_store *st, const char *id)
{
	char name[NAME_CHARS];
	int r;

	snprintf(name, sizeof(name), "pending/%.22s", id);
	r = drop(st, name, "pending");
	return r == -ENOENT ? 0 : r;
}

int snapshot_store_begin(struct snapshot_store *st, const struct snapshot *s)
{
	json_t *o = json_pack("{ss ss ss}", "snapshot_id", snapshot_id(s),
			      "lineage", header_core(snapshot_header(
				(struct snapshot *)s))->lineage, "created",
			      snapshot_created(s));
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	int r = text ? snapshot_store_pending_put(st, snapshot_id(s), text) :
		       -ENOMEM;

	json_decref(o);
	free(text);
	return r;
}

void snapshot_store_end(struct snapshot_store *st, const struct snapshot *s)
{
	(void)snapshot_store_pending_remove(st, snapshot_id(s));
}

/* Has another snapshot than @w the same body? What cannot be read might. */
static bool body_is_shared(struct snapshot_store *st,
			   const struct snapshot_wrapper *w)
{
	bool shared = false;
	json_t *ids = NULL;
	const json_t *id;
	size_t i;

	if (snapshot_store_list(st, &ids) < 0)
		return true;
	json_array_foreach(ids, i, id) {
		struct snapshot_wrapper other = { 0 };

		if (strcmp(json_string_value(id), w->snapshot_id) == 0)
			continue;
		if (snapshot_store_wrapper(st, json_string_value(id),
					   &other) < 0) {
			shared = true;
			continue;
		}
		shared = shared || strcmp(other.body, w->body) == 0;
		snapshot_wrapper_free(&other);
	}
	json_decref(ids);
	return shared;
}

int snapshot_store_remove(struct snapshot_store *st, const char *id)
{
	char name[NAME_CHARS], folder[NAME_CHARS];
	struct snapshot_wrapper w = { 0 };
	bool has_body;
	int r = snapshot_store_wrapper(st, id, &w);

	if (r == -ENOENT)
		return r;
	has_body = r == 0 && !body_is_shared(st, &w);
	snprintf(name, sizeof(name), "snapshots/%.22s", id);
	r = drop(st, name, "snapshots");
	if (r == 0 && has_body) {
		snprintf(folder, sizeof(folder), "bodies/%s", w.lineage);
		snprintf(name, sizeof(name), "bodies/%s/%s", w.lineage,
			 w.body);
		r = drop(st, name, folder);
		r = r == -ENOENT ? 0 : r;
	}
	snapshot_wrapper_free(&w);
	return r;
}

/* An entry of a folder of digests. False: it is no object of ours. */
static bool to_object(const char *entry, const struct stat *info,
		      struct snapshot_object *ret)
{
	time_t now = time(NULL);

	ret->part = strncmp(entry, "tmp.", 4) == 0;
	if (!S_ISREG(info->st_mode) ||
	    (!ret->part && snapshot_unhex(entry, ret->digest) < 0))
		return false;
	ret->bytes = info->st_size;
	ret->age_seconds = now > info->st_mtime ? now - info->st_mtime : 0;
	return true;
}

/* The objects in @folder, and with @depth in the folders in it. */
static int each_in(struct snapshot_store *st, const char *folder, int depth,
		   struct snapshot_object *object,
		   int (*each)(void *user,
			       const struct snapshot_object *object),
		   void *user)
{
	struct dirent **entries = NULL;
	int n = scandirat(st->fd, folder, &entries, NULL, alphasort), i;
	int r = 0;

	if (n < 0)
		return errno == ENOENT ? 0 : failed(st, folder, "list");
	for (i = 0; i < n; i++) {
		const char *entry = entries[i]->d_name;
		char name[2 * NAME_CHARS];
		struct stat info;

		snprintf(name, sizeof(name), "%s/%s", folder, entry);
		/* It may have been removed meanwhile. */
		if (r == 0 && entry[0] != '.' && strlen(name) < NAME_CHARS &&
		    fstatat(st->fd, name, &info, AT_SYMLINK_NOFOLLOW) == 0) {
			object->name = name;
			if (depth > 0 && S_ISDIR(info.st_mode)) {
				if (strlen(entry) == 64)
					strcpy(object->lineage, entry);
				r = each_in(st, name, depth - 1, object, each,
					    user);
			} else if (depth == 0 &&
				   to_object(entry, &info, object)) {
				r = each(user, object);
			}
		}
		free(entries[i]);
	}
	free(entries);
	return r;
}

int snapshot_store_each(struct snapshot_store *st, const char *kind,
			int (*each)(void *user,
				    const struct snapshot_object *object),
			void *user)
{
	struct snapshot_object object = { 0 };

	return each_in(st, kind, strcmp(kind, "blocks") == 0 ? 2 : 1, &object,
		       each, user);
}

int snapshot_store_drop(struct snapshot_store *st,
			const struct snapshot_object *object)
{
	if (unlinkat(st->fd, object->name, 0) == 0 || errno == ENOENT)
		return 0;
	return failed(st, object->name, "remove");
}
