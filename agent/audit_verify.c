// SPDX-License-Identifier: GPL-2.0-or-later
/* Reading the audit: every record in its order, and what does not fit. */
#include "audit_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "json.h"
#include "log.h"

struct walk {
	const struct audit_reader *reader;
	const char *file;		/* being read */
	size_t line;
	struct audit_mark last;		/* of the last record that is sound */
	uint64_t next;			/* the number that should come */
	bool follows;			/* last is the record just before */
	uint64_t first;			/* number of the first of all */
	uint64_t dropped;		/* what a record says went before */
	bool agent_runs;		/* between its start and stop */
	struct audit_mark marks[2];	/* head, noted; seq 0: none */
	bool mark_seen[2];
	bool wrong;
};

__attribute__((format(printf, 3, 4)))
static void find(struct walk *w, bool wrong, const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	w->wrong |= wrong;
	if (w->reader->finding)
		w->reader->finding(w->reader->data, wrong, text);
}

/* The place of the record among all others. */
static void check_place(struct walk *w, const struct audit_mark *mark,
			const char *prev)
{
	if (w->next && mark->seq > w->next)
		find(w, true, "%s:%zu: records %" PRIu64 " to %" PRIu64 " are missing before it",
		     w->file, w->line, w->next, mark->seq - 1);
	else if (w->next && mark->seq < w->next)
		find(w, true, "%s:%zu: record %" PRIu64 " stands where %" PRIu64 " should: moved, or put in",
		     w->file, w->line, mark->seq, w->next);
	else if (w->follows && strcmp(prev, w->last.sum) != 0)
		find(w, true, "%s:%zu: record %" PRIu64 " was made behind another record than the one before it",
		     w->file, w->line, mark->seq);
}

static void check_marks(struct walk *w, const struct audit_mark *mark)
{
	static const char *const names[] = { "the head", "the head that was noted" };
	size_t i;

	for (i = 0; i < 2; i++) {
		if (w->marks[i].seq != mark->seq)
			continue;
		w->mark_seen[i] = true;
		if (strcmp(w->marks[i].sum, mark->sum) != 0)
			find(w, true, "%s:%zu: record %" PRIu64 " is not the one of %s",
			     w->file, w->line, mark->seq, names[i]);
	}
}

/* Records that are about the audit, or the agent. */
static void take_own(struct walk *w, const json_t *o, uint64_t seq)
{
	const char *event = json_text(o, "event");
	uint64_t n;

	if (strcmp(event, "audit-drop") == 0 &&
	    json_get_u64(o, "before", 1, INT64_MAX, &n) == 0 &&
	    n > w->dropped)
		w->dropped = n;
	if (strcmp(event, "audit-repair") == 0)
		find(w, false, "record %" PRIu64 ": half a line was cut off before it: a writer was killed",
		     seq);
	if (strcmp(event, "start") == 0) {
		if (w->agent_runs)
			find(w, false, "record %" PRIu64 ": the agent starts, and its end before that was not recorded: it was killed",
			     seq);
		w->agent_runs = true;
	}
	if (strcmp(event, "stop") == 0)
		w->agent_runs = false;
}

static void take_record(struct walk *w, json_t *o,
			const struct audit_mark *mark, const char *prev)
{
	if (!w->first)
		w->first = mark->seq;
	check_place(w, mark, prev);
	check_marks(w, mark);
	take_own(w, o, mark->seq);
	if (w->reader->record)
		w->reader->record(w->reader->data, w->file, w->line, o);
	/* One that was moved here does not say what comes next. */
	if (w->next && mark->seq < w->next) {
		w->follows = false;
		return;
	}
	w->last = *mark;
	w->next = mark->seq + 1;
	w->follows = true;
}

static int take_line(struct walk *w, const char *line, size_t bytes, bool last)
{
	char prev[AUDIT_SUM_CHARS + 1];
	struct audit_mark mark;
	json_t *o = NULL;
	int r;

	w->line++;
	if (bytes == 0 || line[bytes - 1] != '\n') {
		/* Where a record was already in the head, that will tell. */
		find(w, !last, "%s:%zu: half a line: a writer was killed, or something was cut off",
		     w->file, w->line);
		return 0;
	}
	r = audit_line_parse(line, bytes - 1, &o, &mark, prev);
	if (r == 0)
		take_record(w, o, &mark, prev);
	json_decref(o);
	if (r != -EBADMSG)
		return r;
	find(w, true, "%s:%zu: not as it was written: the sum is not the line's",
	     w->file, w->line);
	if (w->reader->record)
		w->reader->record(w->reader->data, w->file, w->line, NULL);
	/* It probably was a record; the next one says which. */
	if (w->next)
		w->next++;
	w->follows = false;
	return 0;
}

/* A file, and how much of it there was when nobody wrote to it. */
struct part {
	char name[AUDIT_NAME_BYTES];
	int fd;			/* -1: there is none */
	off_t bytes;
};

/* Its first @left bytes; @last: there is no file behind it. Takes @fd. */
static int read_file(struct walk *w, int fd, const char *name, off_t left,
		     bool last)
{
	FILE *f = fdopen(fd, "r");
	char *line = NULL;
	size_t room = 0;
	ssize_t n;
	int r = 0;

	w->file = name;
	w->line = 0;
	while (f && r == 0 && left > 0 && (n = getline(&line, &room, f)) > 0) {
		n = n < left ? n : left;
		left -= n;
		r = take_line(w, line, n, last);
	}
	if (!f || (r == 0 && ferror(f))) {
		log_error("'%s': %s", name, strerror(errno));
		r = -EIO;
	}
	free(line);
	if (f)
		fclose(f);
	else
		close(fd);
	return r;
}

/* None there is no error: that it is missing tells enough. */
static int open_part(int dir, struct part *p)
{
	struct stat st;

	p->fd = openat(dir, p->name, O_RDONLY | O_NOCTTY | O_CLOEXEC);
	if (p->fd < 0 && errno == ENOENT)
		return 0;
	if (p->fd < 0 || fstat(p->fd, &st) < 0) {
		log_error("'%s': %s", p->name, strerror(errno));
		return -EIO;
	}
	p->bytes = st.st_size;
	return 0;
}

static void close_parts(struct part *parts, size_t count)
{
	while (count-- > 0)
		if (parts[count].fd >= 0)
			close(parts[count].fd);
	free(parts);
}

/* The files of the folder in their order, opened. */
static int open_parts(int dir, struct part **ret, size_t *count_ret)
{
	char (*names)[AUDIT_NAME_BYTES] = NULL;
	struct part *parts = NULL;
	size_t count = 0, i = 0;
	int r = audit_list(dir, &names, &count);

	if (r == 0) {
		parts = calloc(count + 1, sizeof(*parts));
		r = parts ? 0 : -ENOMEM;
	}
	for (; r == 0 && i <= count; i++) {
		strcpy(parts[i].name, i < count ? names[i] : AUDIT_FILE);
		r = open_part(dir, &parts[i]);
	}
	free(names);
	if (r < 0) {
		close_parts(parts, i);
		return r;
	}
	*ret = parts;
	*count_ret = count + 1;
	return 0;
}

static int read_parts(struct walk *w, struct part *parts, size_t count)
{
	size_t i;
	int fd, r = 0;

	for (i = 0; r == 0 && i < count; i++) {
		if (parts[i].fd < 0)
			continue;
		fd = parts[i].fd;
		parts[i].fd = -1;
		r = read_file(w, fd, parts[i].name, parts[i].bytes,
			      i + 1 == count);
	}
	return r;
}

static void check_first(struct walk *w)
{
	if (w->first > 1 && w->dropped < w->first)
		find(w, true, "records %" PRIu64 " to %" PRIu64 " are missing",
		     w->dropped ? w->dropped : 1, w->first - 1);
}

static void check_ends(struct walk *w)
{
	const struct audit_mark *head = &w->marks[0], *noted = &w->marks[1];

	if (head->seq > w->last.seq)
		find(w, true, "records %" PRIu64 " to %" PRIu64 " are missing at the end",
		     w->last.seq + 1, head->seq);
	if (noted->seq && !w->mark_seen[1] && noted->seq >= w->dropped)
		find(w, true, "record %" PRIu64 ", whose head was noted, is missing",
		     noted->seq);
	else if (noted->seq && !w->mark_seen[1])
		find(w, false, "record %" PRIu64 ", whose head was noted, was dropped since",
		     noted->seq);
}

/* @r: of reading it. */
static void judge_head(struct walk *w, int r)
{
	if (r == -ENOENT)
		find(w, true, "there is no head: nobody can tell whether records at the end are missing");
	else if (r < 0)
		find(w, true, "the head is damaged");
}

/* An image that can never be written may not know how to flush: EINVAL. */
static int flush_file(int fd)
{
	return fd < 0 || fsync(fd) == 0 || errno == EINVAL ? 0 : -errno;
}

/*
 * A record that was not flushed is read as if it were: who notes it as the head
 * must find it after a power cut, too. The files before it were flushed. What
 * has become read-only by a fault of its disk cannot be flushed, but read.
 */
static int flush(struct walk *w, int dir, const struct part *newest)
{
	int r = flush_file(dir);

	if (r == 0)
		r = flush_file(newest->fd);
	if (r == -EROFS) {
		find(w, false, "%s: its disk has become read-only: a power cut may take away the newest records",
		     newest->name);
		return 0;
	}
	if (r == 0)
		return 0;
	log_error("'%s': cannot flush it to the disk: %s: no head is told that a power cut may take away",
		  newest->name, strerror(-r));
	return -EIO;
}

static int read_folder(struct walk *w)
{
	char folder[AUDIT_PATH_BYTES];
	struct part *parts = NULL;
	size_t count = 0;
	int dir, head, r;

	audit_folder(folder);
	dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0) {
		r = errno == ENOENT ? -ENOENT : -EIO;
		log_error("'%s': %s%s", folder, strerror(errno),
			  errno == EACCES ? ": the audit is root's" :
			  errno == ENOENT ? ": nothing was recorded on this host" : "");
		return r;
	}
	/*
	 * No writer in between. Nor does one wait until it is all read: who
	 * looks at it may take his time, and the agent has leases to keep.
	 */
	flock(dir, LOCK_SH);
	head = audit_head_read(dir, &w->marks[0]);
	r = open_parts(dir, &parts, &count);
	flock(dir, LOCK_UN);
	if (r == 0 && (r = flush(w, dir, &parts[count - 1])) < 0)
		close_parts(parts, count);
	close(dir);
	if (r < 0)
		return r;
	judge_head(w, head);
	r = read_parts(w, parts, count);
	close_parts(parts, count);
	if (r == 0) {
		check_first(w);
		check_ends(w);
	}
	return r;
}

static int read_copy(struct walk *w, const char *path)
{
	int fd = open(path, O_RDONLY | O_NOCTTY | O_CLOEXEC);
	int r;

	if (fd < 0) {
		r = errno == ENOENT ? -ENOENT : -EIO;
		log_error("'%s': %s", path, strerror(errno));
		return r;
	}
	/* It may be a pipe, which has no size. */
	return read_file(w, fd, path, INT64_MAX, true);
}

int audit_read(const char *path, const struct audit_mark *noted,
	       const struct audit_reader *reader, struct audit_mark *last_ret)
{
	struct walk w = { .reader = reader, .last = AUDIT_START };
	int r;

	if (noted)
		w.marks[1] = *noted;
	if (!path) {
		w.next = 0;
		r = read_folder(&w);
	} else {
		r = read_copy(&w, path);
		if (r == 0)
			check_ends(&w);
	}
	if (r < 0)
		return r;
	*last_ret = w.last;
	return w.wrong ? -EBADMSG : 0;
}
