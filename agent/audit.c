// SPDX-License-Identifier: GPL-2.0-or-later
/* Appending to the audit: after a crash, to a full file, on a full disk. */
#include "audit_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "json.h"
#include "kms_trace.h"
#include "log.h"

#define MAX_TEXT 1024			/* of one member, in bytes */
#define TAIL_BYTES (AUDIT_LINE_BYTES + 1)

static size_t file_bytes = AUDIT_FILE_BYTES;
static unsigned int full_files = AUDIT_FILES;

/* The open audit, locked against other writers. */
struct log {
	int dir;
	int fd;
	off_t bytes;
	struct audit_mark last;
	off_t torn_bytes;	/* of half a line, cut off */
	uint64_t dropped;	/* records before this one are gone; 0: none */
	char dropped_file[AUDIT_NAME_BYTES];
	bool fresh;		/* there is a file that was not there */
};

void audit_set_limits(size_t bytes, unsigned int files)
{
	file_bytes = bytes;
	full_files = files;
}

static int fail(const char *what)
{
	char folder[AUDIT_PATH_BYTES];
	int error = errno;

	audit_folder(folder);
	log_error("'%s': %s: %s: nothing is done that cannot be recorded",
		  folder, what, strerror(error));
	return -EIO;
}

static int open_folder(int *ret)
{
	char folder[AUDIT_PATH_BYTES];
	struct stat st;
	char *slash;
	int fd;

	audit_folder(folder);
	slash = strrchr(folder, '/');
	*slash = '\0';
	mkdir(folder, 0700);
	*slash = '/';
	if (mkdir(folder, 0700) < 0 && errno != EEXIST)
		return fail("cannot make the folder");
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return fail("cannot open the folder");
	if (fstat(fd, &st) < 0 || st.st_uid != geteuid() ||
	    (st.st_mode & 022)) {
		close(fd);
		errno = EPERM;
		return fail("others can write the folder");
	}
	if (flock(fd, LOCK_EX) < 0) {
		close(fd);
		return fail("cannot lock the folder");
	}
	*ret = fd;
	return 0;
}

/* The last whole record among the @n bytes before the end of the file. */
static int parse_tail(const char *tail, ssize_t n, struct audit_mark *ret)
{
	const char *end = memrchr(tail, '\n', n);
	const char *start;
	json_t *o = NULL;
	int r;

	if (!end)
		return -EBADMSG;
	start = memrchr(tail, '\n', end - tail);
	start = start ? start + 1 : tail;
	r = audit_line_parse(start, end - start, &o, ret, NULL);
	json_decref(o);
	return r;
}

/* Where the file @fd of @bytes ends; *@torn_ret: bytes behind its last line. */
static int find_end(int fd, off_t bytes, struct audit_mark *ret,
		    off_t *torn_ret)
{
	size_t want = bytes < (off_t)TAIL_BYTES ? (size_t)bytes : TAIL_BYTES;
	char *tail = malloc(want + 1);
	const char *end;
	ssize_t n;
	int r;

	if (!tail)
		return -ENOMEM;
	n = pread(fd, tail, want, bytes - want);
	if (n != (ssize_t)want) {
		free(tail);
		return -EIO;
	}
	end = memrchr(tail, '\n', n);
	*torn_ret = end ? tail + n - end - 1 : n;
	r = parse_tail(tail, n, ret);
	free(tail);
	return r;
}

/* The end of the newest file that is full, where the current one is empty. */
static int find_end_before(int dir, struct audit_mark *ret)
{
	char (*names)[AUDIT_NAME_BYTES] = NULL;
	size_t count = 0;
	struct stat st;
	off_t torn;
	int r = audit_list(dir, &names, &count);
	int fd = -1;

	if (r == 0 && count > 0) {
		fd = openat(dir, names[count - 1],
			    O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		r = fd < 0 || fstat(fd, &st) < 0 ? -EIO :
		    find_end(fd, st.st_size, ret, &torn);
	}
	if (fd >= 0)
		close(fd);
	free(names);
	return r;
}

/*
 * What the next record follows: the last one, or the head if that is later,
 * since what it names is missing then and must stay so for a reader.
 */
static int find_last(struct log *l)
{
	struct audit_mark head;
	int r;

	l->last = (struct audit_mark)AUDIT_START;
	r = find_end(l->fd, l->bytes, &l->last, &l->torn_bytes);
	if (l->torn_bytes == l->bytes)
		r = find_end_before(l->dir, &l->last);
	if (r == -EIO)
		return fail("cannot read " AUDIT_FILE);
	if (r == -ENOMEM)
		return r;
	if (audit_head_read(l->dir, &head) == 0 && head.seq >= l->last.seq) {
		if (r == -EBADMSG || head.seq > l->last.seq ||
		    strcmp(head.sum, l->last.sum) != 0)
			log_warn("the audit was changed: see 'envelope audit verify'");
		l->last = head;
	}
	return 0;
}

static int open_file(struct log *l)
{
	struct stat st;

	l->fd = openat(l->dir, AUDIT_FILE, O_RDWR | O_APPEND | O_CREAT |
		       O_NOFOLLOW | O_CLOEXEC, 0600);
	if (l->fd < 0)
		return fail("cannot open " AUDIT_FILE);
	if (fstat(l->fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		errno = EINVAL;
		return fail(AUDIT_FILE " is no file");
	}
	l->bytes = st.st_size;
	l->fresh |= st.st_size == 0;
	return 0;
}

/* The number of the first record of the file @name. */
static uint64_t first_of(const char *name)
{
	return strtoull(name + strlen("audit-"), NULL, 10);
}

/* The oldest file too many goes, after a record that says so. */
static int choose_dropped(struct log *l)
{
	char (*names)[AUDIT_NAME_BYTES] = NULL;
	size_t count = 0;
	int r = audit_list(l->dir, &names, &count);

	if (r == 0 && count > full_files) {
		strcpy(l->dropped_file, names[0]);
		l->dropped = first_of(names[1]);
	}
	free(names);
	return r;
}

/* Half a line in front would make the next one unreadable. */
static int cut_torn(struct log *l)
{
	if (l->torn_bytes == 0)
		return 0;
	if (ftruncate(l->fd, l->bytes - l->torn_bytes) < 0)
		return fail("cannot cut off half a line of " AUDIT_FILE);
	l->bytes -= l->torn_bytes;
	log_warn("the audit ended in half a line of %lld bytes: a writer was killed; it is cut off",
		 (long long)l->torn_bytes);
	return 0;
}

static int first_seq(int fd, uint64_t *ret)
{
	struct audit_mark mark;
	char *line = malloc(AUDIT_LINE_BYTES + 1);
	json_t *o = NULL;
	const char *end;
	ssize_t n;
	int r = -EBADMSG;

	if (!line)
		return -ENOMEM;
	n = pread(fd, line, AUDIT_LINE_BYTES + 1, 0);
	end = n > 0 ? memchr(line, '\n', n) : NULL;
	if (end)
		r = audit_line_parse(line, end - line, &o, &mark, NULL);
	free(line);
	json_decref(o);
	if (r == 0)
		*ret = mark.seq;
	return r;
}

/* The full file gets the name of its first record. */
static int begin_file(struct log *l)
{
	char name[AUDIT_NAME_BYTES];
	uint64_t seq = 0;
	int r;

	if (l->bytes < (off_t)file_bytes)
		return 0;
	/* Damaged: it stays where verify finds it, and grows. */
	r = first_seq(l->fd, &seq);
	if (r < 0)
		return r == -EBADMSG ? 0 : r;
	snprintf(name, sizeof(name), "audit-%020" PRIu64 ".log", seq);
	if (fsync(l->fd) < 0 ||
	    renameat2(l->dir, AUDIT_FILE, l->dir, name,
		      1 /* RENAME_NOREPLACE */) < 0)
		return fail("cannot rename " AUDIT_FILE);
	close(l->fd);
	l->fresh = true;
	r = open_file(l);
	return r == 0 ? choose_dropped(l) : r;
}

static int log_open(struct log *l)
{
	int r;

	*l = (struct log){ .dir = -1, .fd = -1 };
	r = open_folder(&l->dir);
	if (r == 0)
		r = open_file(l);
	if (r == 0)
		r = find_last(l);
	if (r == 0)
		r = cut_torn(l);
	if (r == 0)
		r = begin_file(l);
	return r;
}

static void log_close(struct log *l)
{
	if (l->fd >= 0)
		close(l->fd);
	if (l->dir >= 0)
		close(l->dir);
}

static int write_head(struct log *l, const struct audit_mark *mark)
{
	char text[128];
	int bytes = snprintf(text, sizeof(text), "%020" PRIu64 " %s\n",
			     mark->seq, mark->sum);
	int fd = openat(l->dir, AUDIT_HEAD,
			O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	struct stat st;
	int r = -1;

	/* Of one length, so that it is never half written. */
	if (fd >= 0 && pwrite(fd, text, bytes, 0) == bytes &&
	    fstat(fd, &st) == 0 &&
	    (st.st_size == bytes || ftruncate(fd, bytes) == 0))
		r = 0;
	if (fd >= 0)
		close(fd);
	return r < 0 ? fail("cannot write the head") : 0;
}

/* All of it, on the disk, or nothing of it. */
static int append(struct log *l, const char *line, bool lazy)
{
	ssize_t bytes = strlen(line);
	ssize_t n = write(l->fd, line, bytes);

	if (n >= 0 && n < bytes)
		errno = ENOSPC;
	if (n == bytes && (lazy || fsync(l->fd) == 0) &&
	    (!l->fresh || fsync(l->dir) == 0)) {
		l->bytes += bytes;
		l->fresh = false;
		return 0;
	}
	fail("cannot write " AUDIT_FILE);
	/* If this fails, too, the next writer finds half a line. */
	if (n > 0 && ftruncate(l->fd, l->bytes) < 0)
		log_warn("half a record stays in the audit");
	return -EIO;
}

/* Takes the reference to @o. */
static int put(struct log *l, json_t *o, bool lazy)
{
	struct audit_mark mark;
	char *line = o ? audit_line_make(o, &l->last, &mark) : NULL;
	off_t before = l->bytes;
	int r = line ? append(l, line, lazy) : -ENOMEM;

	/* One that a power cut takes away must not be missing then. */
	if (r == 0 && !lazy)
		r = write_head(l, &mark);
	if (r == 0)
		l->last = mark;
	else if (l->bytes > before && ftruncate(l->fd, before) < 0)
		log_warn("a record that is not in the head stays in the audit");
	free(line);
	json_decref(o);
	return r;
}

static void print_time(char ret[32])
{
	struct timespec now;
	struct tm tm;
	size_t used;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	used = strftime(ret, 32, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(ret + used, 32 - used, ".%03ldZ", now.tv_nsec / 1000000);
}

static json_t *make_event(const char *event, const char *result)
{
	char time[32];

	print_time(time);
	return json_pack("{s:s, s:s, s:s}", "event", event, "result", result,
			 "time", time);
}

/*
 * Not longer than a record can take, controls being six times as long in JSON;
 * what is no UTF-8 is left out, and said.
 */
static void set_text(json_t *o, const char *name, const char *text)
{
	size_t bytes = text ? strnlen(text, MAX_TEXT) : 0;
	char copy[MAX_TEXT];
	json_t *value;
	size_t i;

	if (bytes == 0)
		return;
	/* Not in the middle of a character. */
	while (bytes && text[bytes] &&
	       ((unsigned char)text[bytes] & 0xc0) == 0x80)
		bytes--;
	for (i = 0; i < bytes; i++)
		copy[i] = (unsigned char)text[i] < ' ' ? '?' : text[i];
	value = json_stringn(copy, bytes);
	json_object_set_new(o, name, value ? value : json_string("(no UTF-8)"));
}

static json_t *describe(const struct audit_record *r)
{
	json_t *o = make_event(r->event, r->result);

	if (!o)
		return NULL;
	json_object_set_new(o, "uid", json_integer(r->uid));
	set_text(o, "by", r->by);
	set_text(o, "name", r->name);
	set_text(o, "device", r->device);
	set_text(o, "volume_id", r->volume_id);
	set_text(o, "key_id", r->key_id);
	set_text(o, "request_id", r->request_id);
	set_text(o, "why", r->why);
	if (r->left_out)
		json_object_set_new(o, "left_out", json_integer(r->left_out));
	return o;
}

/* What the writer itself has done to the audit. */
static int put_own(struct log *l)
{
	json_t *o;
	int r = 0;

	if (l->torn_bytes) {
		o = make_event("audit-repair", "done");
		if (o)
			json_object_set_new(o, "bytes",
					    json_integer(l->torn_bytes));
		r = put(l, o, true);
	}
	if (r < 0 || !l->dropped)
		return r;
	o = make_event("audit-drop", "done");
	if (o)
		json_object_set_new(o, "before", json_integer(l->dropped));
	r = put(l, o, false);
	if (r == 0 && unlinkat(l->dir, l->dropped_file, 0) < 0)
		return fail("cannot remove the oldest file");
	return r;
}

int audit_write(const struct audit_record *record, unsigned int flags)
{
	struct log l;
	int r;

	r = log_open(&l);
	if (r == 0)
		r = put_own(&l);
	if (r == 0)
		r = put(&l, describe(record), flags & AUDIT_LAZY);
	log_close(&l);
	if (r == -ENOMEM)
		log_error("out of memory");
	if (r < 0 && flags & AUDIT_AFTERWARDS)
		log_warn("the %s is in no audit", record->event);
	return r;
}

const char *audit_result(int r, const char *success)
{
	if (r == 0)
		return success;
	return r == -EACCES ? "denied" :
	       r == -EHOSTUNREACH ? "unreachable" :
	       r == -EBADMSG ? "tampered" : "failed";
}

/* By this program, about what the last call of a KMS was, unless @r says. */
static int write_verb(struct audit_record *r, unsigned int flags)
{
	const struct kms_trace *t = kms_trace_last();

	r->uid = getuid();
	r->by = "envelope";
	if (!r->key_id)
		r->key_id = t->key;
	r->request_id = t->request_id;
	return geteuid() == 0 ? audit_write(r, flags) : 0;
}

int audit_verb_key(const char *event, const char *name, const char *volume_id,
		   const char *key_id)
{
	return write_verb(&(struct audit_record){
		.event = event, .result = "granted", .name = name,
		.volume_id = volume_id, .key_id = key_id }, 0);
}

int audit_verb(const char *event, const char *name, const char *volume_id)
{
	return audit_verb_key(event, name, volume_id, NULL);
}

void audit_verb_key_ended(const char *event, const char *name,
			  const char *volume_id, const char *key_id, int r)
{
	write_verb(&(struct audit_record){
		.event = event, .result = audit_result(r, "done"),
		.name = name, .volume_id = volume_id, .key_id = key_id,
		.why = r < 0 ? log_last_error() : NULL }, AUDIT_AFTERWARDS);
}

void audit_verb_ended(const char *event, const char *name,
		      const char *volume_id, int r)
{
	audit_verb_key_ended(event, name, volume_id, NULL, r);
}
