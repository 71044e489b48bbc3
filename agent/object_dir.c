// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Objects in a folder. One is written to a file of its own, "tmp.*" in the
 * folder that it is for, flushed, renamed, and the folder is flushed: so under
 * its name it is whole or absent, also after the machine has lost its power. A
 * "tmp.*" that is left is no object.
 *
 * Below the store nothing is followed: who can write to it could have others
 * read or write elsewhere.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "object_private.h"

#define PART "tmp."
#define COPY_BYTES (1u << 30)
#define KNOWN_FOLDERS 4096	/* of a store of 15 lineages */

struct dir {
	struct object_store st;
	int fd;			/* the folder */
	char *path;
	/* Folders that are durable, so that they need no flush into theirs. */
	pthread_mutex_t lock;
	char *known[KNOWN_FOLDERS];
};

static struct dir *to_dir(struct object_store *st)
{
	return (struct dir *)st;
}

static int failed(const struct dir *d, const char *name, const char *what)
{
	int code = errno;

	log_error("'%s': cannot %s %s: %s%s", d->path, what, name,
		  strerror(code), code == ELOOP || code == EXDEV ?
		  ": there is a symbolic link, which is not followed" : "");
	return code == ENOSPC || code == EDQUOT ? -ENOSPC : -EIO;
}

/* As openat(2), with nothing followed. */
static int open_below(const struct dir *d, const char *name, int flags)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC,
		.mode = flags & O_CREAT ? 0600 : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
			   RESOLVE_NO_MAGICLINKS,
	};

	return syscall(SYS_openat2, d->fd, name, &how, sizeof(how));
}

static int flush_folder(int fd)
{
	/* Some file systems have nothing to flush there. */
	return fsync(fd) == 0 || errno == EINVAL ? 0 : -1;
}

static size_t slot_of(const char *folder)
{
	size_t hash = 5381;

	while (*folder)
		hash = hash * 33 + (unsigned char)*folder++;
	return hash % KNOWN_FOLDERS;
}

static bool is_known(struct dir *d, const char *folder)
{
	char **at = &d->known[slot_of(folder)];
	bool known;

	pthread_mutex_lock(&d->lock);
	known = *at && strcmp(*at, folder) == 0;
	pthread_mutex_unlock(&d->lock);
	return known;
}

/* At worst it is forgotten again, and flushed once more. */
static void note_known(struct dir *d, const char *folder)
{
	char **at = &d->known[slot_of(folder)];
	char *copy = strdup(folder);

	pthread_mutex_lock(&d->lock);
	free(*at);
	*at = copy;
	pthread_mutex_unlock(&d->lock);
}

/* @folder, made where it is not there; its entry in @above is durable then. */
static int enter(struct dir *d, int above, const char *folder,
		 const char *last)
{
	int fd;

	if (mkdirat(above, last, 0700) < 0 && errno != EEXIST)
		return failed(d, folder, "make folder");
	/* It may be of somebody who was killed before he could do that. */
	if (flush_folder(above) < 0)
		return failed(d, folder, "flush what is above");
	fd = openat(above, last, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
		    O_CLOEXEC);
	return fd < 0 ? failed(d, folder, "open") : fd;
}

/* The folder of the object @name, made as far as it has to be: a descriptor. */
static int open_folder(struct dir *d, const char *name, bool create)
{
	const char *end = strrchr(name, '/'), *at = name, *slash;
	char folder[OBJECT_NAME_CHARS], last[OBJECT_NAME_CHARS];
	int fd, above;

	snprintf(folder, sizeof(folder), "%.*s", (int)(end ? end - name : 1),
		 end ? name : ".");
	if (!create || is_known(d, folder) || !end) {
		fd = open_below(d, folder, O_RDONLY | O_DIRECTORY);
		if (fd >= 0 || !create || errno != ENOENT)
			return fd >= 0 ? fd : errno == ENOENT ? -ENOENT :
			       failed(d, folder, "open");
	}
	fd = fcntl(d->fd, F_DUPFD_CLOEXEC, 0);
	while (fd >= 0 && at < end) {
		slash = strchr(at, '/');
		snprintf(last, sizeof(last), "%.*s", (int)(slash - at), at);
		above = fd;
		fd = enter(d, above, folder, last);
		close(above);
		at = slash + 1;
	}
	if (fd >= 0)
		note_known(d, folder);
	return fd;
}

static const char *last_of(const char *name)
{
	const char *slash = strrchr(name, '/');

	return slash ? slash + 1 : name;
}

/* What a file is to hold: bytes, or those of another file. */
struct content {
	const void *p;
	size_t bytes;
	int fd;				/* -1: @p */
};

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
	return 0;
}

/* Shared where the file system can, else copied inside the kernel. */
static int copy_all(int to, int from)
{
	ssize_t n;

	if (ioctl(to, FICLONE, from) == 0)
		return 0;
	do {
		n = copy_file_range(from, NULL, to, NULL, COPY_BYTES, 0);
	} while (n > 0 || (n < 0 && errno == EINTR));
	return n < 0 ? -1 : 0;
}

static bool is_no_way(int code)
{
	return code == EXDEV || code == EOPNOTSUPP || code == ENOSYS ||
	       code == EINVAL;
}

static int fill(const struct dir *d, int fd, const char *name,
		const struct content *c)
{
	if (c->fd >= 0 && copy_all(fd, c->fd) < 0)
		return is_no_way(errno) ? -EOPNOTSUPP :
		       failed(d, name, "copy");
	if (c->fd < 0 && write_all(fd, c->p, c->bytes) < 0)
		return failed(d, name, "write");
	return fsync(fd) < 0 ? failed(d, name, "flush") : 0;
}

/* NFS knows no rename that never replaces, but a link does not either. */
static int take_name(const struct dir *d, int folder, const char *part,
		     const char *name, bool replace)
{
	const char *last = last_of(name);

	if (renameat2(folder, part, folder, last,
		      replace ? 0 : RENAME_NOREPLACE) == 0)
		return 0;
	if (errno == EINVAL && linkat(folder, part, folder, last, 0) == 0) {
		unlinkat(folder, part, 0);
		return 0;
	}
	return errno == EEXIST ? -EEXIST : failed(d, name, "write");
}

static int put_in(const struct dir *d, int folder, const char *name,
		  const struct content *c, bool replace)
{
	char part[64];
	uint64_t number;
	int fd, r;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return failed(d, name, "name");
	snprintf(part, sizeof(part), PART "%016llx",
		 (unsigned long long)number);
	fd = openat(folder, part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
		    0600);
	if (fd < 0)
		return failed(d, name, "make");
	r = fill(d, fd, name, c);
	close(fd);
	if (r == 0)
		r = take_name(d, folder, part, name, replace);
	if (r < 0)
		unlinkat(folder, part, 0);
	return r;
}

static int put_content(struct dir *d, const char *name,
		       const struct content *c, bool replace)
{
	int folder = open_folder(d, name, true);
	int r;

	if (folder < 0)
		return folder;
	if (!replace && faccessat(folder, last_of(name), F_OK,
				  AT_SYMLINK_NOFOLLOW) == 0)
		r = -EEXIST;
	else
		r = put_in(d, folder, name, c, replace);
	/* Of what is there, too: its writer may have been killed before this. */
	if ((r == 0 || r == -EEXIST) && flush_folder(folder) < 0)
		r = failed(d, name, "flush the folder of");
	close(folder);
	return r;
}

static int put(struct object_store *st, const char *name, const void *p,
	       size_t bytes, bool replace)
{
	const struct content c = { .p = p, .bytes = bytes, .fd = -1 };

	return put_content(to_dir(st), name, &c, replace);
}

/* Between two file systems the kernel does neither. */
static int clone_object(struct object_store *from, struct object_store *to,
			const char *name)
{
	struct content c = {
		.fd = open_below(to_dir(from), name, O_RDONLY | O_NONBLOCK),
	};
	int r;

	if (c.fd < 0)
		return errno == ENOENT ? -ENOENT :
		       failed(to_dir(from), name, "read");
	r = put_content(to_dir(to), name, &c, true);
	close(c.fd);
	return r;
}

static int read_all(const struct dir *d, int fd, const char *name, uint8_t *p,
		    size_t bytes, size_t *done_ret)
{
	size_t done = 0;

	while (done < bytes) {
		ssize_t n = read(fd, p + done, bytes - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return failed(d, name, "read");
		if (n == 0)
			break;
		done += n;
	}
	*done_ret = done;
	return 0;
}

/* A descriptor of the object @name, which is *@bytes_ret long. */
static int open_object(const struct dir *d, const char *name,
		       uint64_t max_bytes, size_t *bytes_ret)
{
	int fd = open_below(d, name, O_RDONLY | O_NONBLOCK);
	struct stat info;
	int r;

	if (fd < 0)
		return errno == ENOENT ? -ENOENT : failed(d, name, "read");
	if (fstat(fd, &info) < 0) {
		r = failed(d, name, "read");
	} else if (!S_ISREG(info.st_mode) ||
		   (uint64_t)info.st_size > max_bytes) {
		log_error("'%s': damaged or forged: %s is no file, or too long",
			  d->path, name);
		r = -EBADMSG;
	} else {
		*bytes_ret = info.st_size;
		return fd;
	}
	close(fd);
	return r;
}

static int get(struct object_store *st, const char *name, uint64_t max_bytes,
	       uint8_t **ret, size_t *bytes_ret)
{
	struct dir *d = to_dir(st);
	int fd = open_object(d, name, max_bytes, bytes_ret), r = -ENOMEM;
	uint8_t *p;

	if (fd < 0)
		return fd;
	p = malloc(*bytes_ret + 1);
	if (p)
		r = read_all(d, fd, name, p, *bytes_ret, bytes_ret);
	close(fd);
	if (r < 0)
		free(p);
	else
		*ret = p;
	return r;
}

static int get_into(struct object_store *st, const char *name, uint8_t *room,
		    size_t room_bytes, size_t *bytes_ret)
{
	struct dir *d = to_dir(st);
	int fd = open_object(d, name, room_bytes, bytes_ret), r;

	if (fd < 0)
		return fd;
	r = read_all(d, fd, name, room, *bytes_ret, bytes_ret);
	close(fd);
	return r;
}

static void fill_info(const struct stat *info, struct object_info *ret)
{
	time_t now = time(NULL);

	ret->bytes = info->st_size;
	ret->age_seconds = now > info->st_mtime ? now - info->st_mtime : 0;
}

static int look(struct object_store *st, const char *name,
		struct object_info *ret)
{
	struct dir *d = to_dir(st);
	struct stat info;
	int folder = open_folder(d, name, false);
	int r = 0;

	if (folder < 0)
		return folder;
	if (fstatat(folder, last_of(name), &info, AT_SYMLINK_NOFOLLOW) < 0)
		r = errno == ENOENT ? -ENOENT : failed(d, name, "look at");
	else
		fill_info(&info, ret);
	close(folder);
	return r;
}

static int remove_object(struct object_store *st, const char *name)
{
	struct dir *d = to_dir(st);
	int folder = open_folder(d, name, false);
	int r = 0;

	if (folder < 0)
		return folder;
	if (unlinkat(folder, last_of(name), 0) < 0)
		r = errno == ENOENT ? -ENOENT : failed(d, name, "remove");
	else if (flush_folder(folder) < 0)
		r = failed(d, name, "flush the folder of");
	close(folder);
	return r;
}

struct walk {
	struct dir *d;
	int (*each)(void *user, const struct object_info *info);
	void *user;
};

static int walk_folder(const struct walk *w, const char *folder);

static int walk_entry(const struct walk *w, int fd, const char *folder,
		      const char *entry)
{
	char name[OBJECT_NAME_CHARS];
	struct object_info object = { .name = name };
	struct stat info;

	if (snprintf(name, sizeof(name), "%s%s%s", folder,
		     folder[0] ? "/" : "", entry) >= (int)sizeof(name))
		return 0;
	/* It may have been removed meanwhile. */
	if (fstatat(fd, entry, &info, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : failed(w->d, name, "look at");
	if (S_ISDIR(info.st_mode))
		return walk_folder(w, name);
	if (!S_ISREG(info.st_mode))
		return 0;
	object.part = strncmp(entry, PART, strlen(PART)) == 0;
	fill_info(&info, &object);
	return w->each(w->user, &object);
}

static int walk_folder(const struct walk *w, const char *folder)
{
	int fd = open_below(w->d, folder[0] ? folder : ".",
			    O_RDONLY | O_DIRECTORY);
	struct dirent **entries = NULL;
	int n, i, r = 0;

	if (fd < 0)
		return errno == ENOENT ? 0 : failed(w->d, folder, "list");
	n = scandirat(fd, ".", &entries, NULL, alphasort);
	if (n < 0)
		r = failed(w->d, folder, "list");
	for (i = 0; i < n; i++) {
		if (r == 0 && strcmp(entries[i]->d_name, ".") != 0 &&
		    strcmp(entries[i]->d_name, "..") != 0)
			r = walk_entry(w, fd, folder, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	close(fd);
	return r;
}

static int each(struct object_store *st, const char *prefix,
		int (*function)(void *user, const struct object_info *info),
		void *user)
{
	const struct walk w = { to_dir(st), function, user };
	char folder[OBJECT_NAME_CHARS];
	size_t n = strlen(prefix);

	snprintf(folder, sizeof(folder), "%.*s", (int)(n ? n - 1 : 0), prefix);
	return walk_folder(&w, folder);
}

/* What a killed creation left is nothing. */
static int is_something(const struct dirent *entry)
{
	return strcmp(entry->d_name, ".") != 0 &&
	       strcmp(entry->d_name, "..") != 0 &&
	       strncmp(entry->d_name, PART, strlen(PART)) != 0;
}

static int empty(struct object_store *st, bool *ret)
{
	struct dir *d = to_dir(st);
	struct dirent **entries = NULL;
	int n = scandirat(d->fd, ".", &entries, is_something, NULL), i;

	if (n < 0)
		return failed(d, "the folder", "list");
	for (i = 0; i < n; i++)
		free(entries[i]);
	free(entries);
	*ret = n == 0;
	return 0;
}

static void close_dir(struct object_store *st)
{
	struct dir *d = to_dir(st);
	size_t i;

	for (i = 0; i < KNOWN_FOLDERS; i++)
		free(d->known[i]);
	pthread_mutex_destroy(&d->lock);
	if (d->fd >= 0)
		close(d->fd);
	free(d->path);
	free(d);
}

static const struct object_ops ops = {
	.close = close_dir,
	.put = put,
	.get = get,
	.get_into = get_into,
	.clone = clone_object,
	.look = look,
	.remove = remove_object,
	.each = each,
	.empty = empty,
};

/* Its own entry in the folder above is to last, too. */
static int make_folder(const struct dir *d)
{
	char *above;
	int fd, r = 0;

	if (mkdir(d->path, 0700) < 0)
		return errno == EEXIST ? 0 : failed(d, "the folder", "make");
	if (asprintf(&above, "%s/..", d->path) < 0)
		return -ENOMEM;
	fd = open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || flush_folder(fd) < 0)
		r = failed(d, "the folder above", "flush");
	if (fd >= 0)
		close(fd);
	free(above);
	return r;
}

int object_dir_open(const char *path, bool create, struct object_store **ret)
{
	struct dir *d = calloc(1, sizeof(*d));
	int r = 0;

	if (!d)
		return -ENOMEM;
	d->st.ops = &ops;
	d->fd = -1;
	pthread_mutex_init(&d->lock, NULL);
	d->path = strdup(path);
	if (!d->path)
		r = -ENOMEM;
	else if (create)
		r = make_folder(d);
	if (r == 0) {
		d->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (d->fd < 0) {
			r = errno == ENOENT ? -ENOENT : -EIO;
			failed(d, "the folder", "open");
		}
	}
	if (r < 0)
		close_dir(&d->st);
	else
		*ret = &d->st;
	return r;
}
