// SPDX-License-Identifier: GPL-2.0-or-later
/* Finds the records of the audit trail, in log files and not yet in one. */
#include "json.h"
#include "trail.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "audit_bucket.h"
#include "crypto.h"
#include "files.h"
#include "region.h"

#define PENDING "pending-"
#define TRIES 100

/* Names of files, in the order of time within a region. */
struct names {
	char **name;
	size_t count;
};

static void free_names(struct names *n)
{
	while (n->count)
		free(n->name[--n->count]);
	free(n->name);
	n->name = NULL;
}

static int add_name(struct names *n, const char *name)
{
	char **bigger = realloc(n->name, (n->count + 1) * sizeof(*bigger));

	if (!bigger)
		return -ENOMEM;
	n->name = bigger;
	n->name[n->count] = strdup(name);
	return n->name[n->count++] ? 0 : -ENOMEM;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All log files of @bucket: "AWSLogs/ACCOUNT/CloudTrail/REGION/…". */
static int list_logs(const char *bucket, struct names *ret)
{
	char *root = file_path(bucket, "AWSLogs");
	char *const roots[] = { root, NULL };
	FTS *fts = root ? fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL) :
			  NULL;
	FTSENT *e;
	int rc = fts ? 0 : -ENOMEM;

	while (rc == 0 && (e = fts_read(fts))) {
		size_t n = e->fts_namelen;

		if (e->fts_info == FTS_F && n > 8 &&
		    strcmp(e->fts_name + n - 8, ".json.gz") == 0 &&
		    strstr(e->fts_path, "/CloudTrail/"))
			rc = add_name(ret, e->fts_path + strlen(bucket) + 1);
		/* the folder itself need not be there */
		if (e->fts_info == FTS_ERR || e->fts_info == FTS_DNR)
			rc = -e->fts_errno;
	}
	if (fts)
		fts_close(fts);
	if (ret->count)
		qsort(ret->name, ret->count, sizeof(char *), by_name);
	free(root);
	return rc;
}

static int is_live(const struct dirent *entry)
{
	return strncmp(entry->d_name, PENDING, strlen(PENDING)) == 0 ||
	       strcmp(entry->d_name, FILE_AUDIT_LOG) == 0;
}

/* "pending-STAMP.log" by their stamps, then the live file, if there is one. */
static int in_time(const struct dirent **a, const struct dirent **b)
{
	int a_last = strcmp((*a)->d_name, FILE_AUDIT_LOG) == 0;
	int b_last = strcmp((*b)->d_name, FILE_AUDIT_LOG) == 0;

	return a_last != b_last ? a_last - b_last :
				  strcmp((*a)->d_name, (*b)->d_name);
}

static int list_live(const char *bucket, struct names *ret)
{
	struct dirent **entries = NULL;
	int i, count = scandir(bucket, &entries, is_live, in_time);
	int rc = count < 0 ? -errno : 0;

	for (i = 0; i < count; i++) {
		if (rc == 0)
			rc = add_name(ret, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return rc;
}

/* The region in the name of a log file; "": none. */
static void log_region(const char *object, char ret[static REGION_BYTES])
{
	const char *p = strstr(object, "/CloudTrail/");

	ret[0] = '\0';
	if (p)
		snprintf(ret, REGION_BYTES, "%.*s",
			 (int)strcspn(p + 12, "/"), p + 12);
}

/*
 * The stamp at the end of the name of a log file, or in that of a pending one;
 * "": none, as that of the live file.
 */
static void name_stamp(const char *name, char ret[static AUDIT_STAMP_BYTES])
{
	const char *p = strrchr(name, strchr(name, '/') ? '_' : '-');

	ret[0] = '\0';
	if (p)
		snprintf(ret, AUDIT_STAMP_BYTES, "%.16s", p + 1);
}

/* The files of a trail, and one region's way through them. */
struct walk {
	const char *bucket;
	struct names logs, live;
	const char *region;    /* of the records that are wanted */
	const char *event;     /* "": all of them; else those behind it */
	bool found;            /* that one has been seen */
	char newest[AUDIT_STAMP_BYTES]; /* of its log files; "": none */
	trail_fn *fn;
	void *arg;
};

static int take_record(const char *text, size_t bytes, void *arg)
{
	struct walk *w = arg;
	json_t *record = json_loadb(text, bytes, 0, NULL);
	int rc = json_is_object(record) ? 0 : -EBADMSG;

	if (rc == 0 && strcmp(json_text(record, "awsRegion"), w->region) == 0) {
		if (w->found)
			rc = w->fn(record, w->arg);
		else
			w->found = strcmp(json_text(record, "eventID"),
					  w->event) == 0;
	}
	json_decref(record);
	return rc;
}

/* Cuts {"Records":[{…},{…}]} into its records, of any number. */
struct cutter {
	char *record;
	size_t used, size;    /* bytes */
	int depth;
	bool string, escaped;
};

static int keep(struct cutter *c, char ch)
{
	if (c->used == c->size) {
		size_t size = c->size ? 2 * c->size : 4096;
		char *bigger = realloc(c->record, size);

		if (!bigger)
			return -ENOMEM;
		c->record = bigger;
		c->size = size;
	}
	c->record[c->used++] = ch;
	return 0;
}

/* 1: a record is complete; 0; -ENOMEM. */
static int cut(struct cutter *c, char ch)
{
	int rc;

	if (c->string) {
		c->string = c->escaped || ch != '"';
		c->escaped = !c->escaped && ch == '\\';
	} else if (ch == '"') {
		c->string = true;
	} else if (ch == '{' || ch == '[') {
		c->depth++;
	}
	rc = c->depth > 2 ? keep(c, ch) : 0;
	if (rc == 0 && !c->string && (ch == '}' || ch == ']'))
		rc = --c->depth == 2;
	return rc;
}

static int read_log(struct walk *w, const char *object)
{
	char *path = audit_object_path(w->bucket, object);
	gzFile file = path ? gzopen(path, "rbe") : NULL;
	struct cutter c = { NULL };
	char part[16384];
	int i, n = 0, rc = file ? 0 : path ? -errno : -ENOMEM;

	while (rc == 0 && (n = gzread(file, part, sizeof(part))) > 0)
		for (i = 0; rc == 0 && i < n; i++) {
			rc = cut(&c, part[i]);
			if (rc <= 0)
				continue;
			rc = take_record(c.record, c.used, w);
			c.used = 0;
		}
	if (rc == 0 && (n < 0 || c.depth || c.used))
		rc = -EBADMSG;
	if (file)
		gzclose(file);
	free(c.record);
	free(path);
	return rc;
}

typedef int line_fn(const char *line, size_t bytes, void *arg);

/*
 * Who writes has the lock until his lines are on the disk, or taken back: one
 * that is taken back is no end of the trail.
 */
static int wait_for_writer(FILE *f)
{
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
	int rc;

	do {
		rc = fcntl(fileno(f), F_OFD_SETLKW, &lock);
	} while (rc < 0 && errno == EINTR);
	return rc < 0 ? -errno : 0;
}

/* A line without its end is still being written, or never was. */
static int each_line(const char *bucket, const char *name, line_fn *fn,
		     void *arg)
{
	char *path = file_path(bucket, name), *line = NULL;
	FILE *f = path ? fopen(path, "re") : NULL;
	int rc = f ? wait_for_writer(f) : path ? -errno : -ENOMEM;
	size_t room = 0;
	ssize_t n;

	while (rc == 0 && (n = getline(&line, &room, f)) > 0 &&
	       line[n - 1] == '\n')
		rc = fn(line, (size_t)n, arg);
	if (rc == 0 && ferror(f))
		rc = -EIO;
	free(line);
	if (f)
		fclose(f);
	free(path);
	return rc;
}

/* "": none. It stands in front of all that a client can choose. */
static void line_region(const char *line, char ret[static REGION_BYTES])
{
	static const char mark[] = "\"awsRegion\":\"";
	const char *p = strstr(line, mark);

	ret[0] = '\0';
	if (p)
		snprintf(ret, REGION_BYTES, "%.*s",
			 (int)strcspn(p + strlen(mark), "\""),
			 p + strlen(mark));
}

static int take_line(const char *line, size_t bytes, void *arg)
{
	struct walk *w = arg;
	char region[REGION_BYTES];

	line_region(line, region);
	return strcmp(region, w->region) ? 0 : take_record(line, bytes, w);
}

/* @arg: an object of the last line of each region. */
static int keep_line(const char *line, size_t bytes, void *arg)
{
	char region[REGION_BYTES];

	line_region(line, region);
	return json_object_set_new(arg, region,
				   json_stringn(line, bytes)) < 0 ?
	       -EBADMSG : 0;
}

/* Was what is in the file @name put into log files of the region before? */
static bool in_logs(const char *name, const char *newest)
{
	char stamp[AUDIT_STAMP_BYTES];

	name_stamp(name, stamp);
	return stamp[0] && strcmp(stamp, newest) <= 0;
}

static void free_walk(struct walk *w)
{
	free_names(&w->logs);
	free_names(&w->live);
}

static int list_all(struct walk *w)
{
	int rc = list_logs(w->bucket, &w->logs);

	return rc == 0 ? list_live(w->bucket, &w->live) : rc;
}

/* The newest log file of the region; NULL: none. */
static const char *newest_log(const struct walk *w, const char *region)
{
	char own[REGION_BYTES];
	size_t i = w->logs.count;

	while (i-- > 0) {
		log_region(w->logs.name[i], own);
		if (strcmp(own, region) == 0)
			return w->logs.name[i];
	}
	return NULL;
}

static int note_end(struct walk *w, const char *region, const char *line,
		    json_t *ends)
{
	const char *newest = newest_log(w, region);
	json_t *record = line ? json_loads(line, 0, NULL) : NULL;
	json_t *end = json_pack("{s:s, s:s}", "after", newest ? newest : "",
				"event", json_text(record, "eventID"));
	int rc = line && !record ? -EBADMSG : 0;

	json_decref(record);
	if (json_object_set_new(ends, region, end) < 0)
		rc = -ENOMEM;
	return rc;
}

/* The last line of each region that is in no log file yet. */
static int last_lines(struct walk *w, json_t *lines)
{
	char newest[AUDIT_STAMP_BYTES];
	const char *region, *log;
	json_t *of_file, *line;
	size_t i;
	int rc = 0;

	for (i = 0; rc == 0 && i < w->live.count; i++) {
		of_file = json_object();
		rc = each_line(w->bucket, w->live.name[i], keep_line, of_file);
		json_object_foreach(of_file, region, line) {
			newest[0] = '\0';
			log = newest_log(w, region);
			if (log)
				name_stamp(log, newest);
			if (!in_logs(w->live.name[i], newest))
				json_object_set(lines, region, line);
		}
		json_decref(of_file);
	}
	return rc;
}

/* One attempt; -EAGAIN: files were moved meanwhile. */
static int find_end(const char *bucket, json_t *ends)
{
	struct walk w = { .bucket = bucket }, again = { .bucket = bucket };
	json_t *lines = json_object(), *line;
	char region[REGION_BYTES];
	const char *name;
	size_t i;
	int rc = list_all(&w);

	if (rc == 0)
		rc = last_lines(&w, lines);
	for (i = 0; rc == 0 && i < w.logs.count; i++) {
		log_region(w.logs.name[i], region);
		if (!json_object_get(ends, region))
			rc = note_end(&w, region, json_string_value(
				      json_object_get(lines, region)), ends);
	}
	json_object_foreach(lines, name, line)
		if (rc == 0 && !json_object_get(ends, name))
			rc = note_end(&w, name, json_string_value(line), ends);
	if (rc == 0)
		rc = list_all(&again);
	if (rc == -ENOENT || (rc == 0 &&
			      (again.logs.count != w.logs.count ||
			       again.live.count != w.live.count)))
		rc = -EAGAIN;
	json_decref(lines);
	free_walk(&w);
	free_walk(&again);
	return rc;
}

int trail_end(const char *bucket, json_t **ret)
{
	json_t *ends = NULL;
	int rc = -EAGAIN, tries = TRIES;

	while (rc == -EAGAIN && tries--) {
		json_decref(ends);
		ends = json_object();
		rc = ends ? find_end(bucket, ends) : -ENOMEM;
	}
	if (rc < 0) {
		json_decref(ends);
		return rc;
	}
	*ret = ends;
	return 0;
}

/* All regions of the trail, and those of @ends. */
static int find_regions(struct walk *w, const json_t *ends, json_t *ret)
{
	char region[REGION_BYTES];
	size_t i;
	int rc = json_object_update(ret, (json_t *)ends) < 0 ? -ENOMEM : 0;

	for (i = 0; rc == 0 && i < w->logs.count; i++) {
		log_region(w->logs.name[i], region);
		if (json_object_set_new(ret, region, json_true()) < 0)
			rc = -ENOMEM;
	}
	for (i = 0; rc == 0 && i < w->live.count; i++)
		rc = each_line(w->bucket, w->live.name[i], keep_line, ret);
	return rc;
}

/* @after: the log file that @w begins behind. */
static int walk_region(struct walk *w, const char *after)
{
	char region[REGION_BYTES];
	bool there = !*after;
	size_t i;
	int rc = 0;

	for (i = 0; rc == 0 && i < w->logs.count; i++) {
		const char *name = w->logs.name[i];

		log_region(name, region);
		if (strcmp(region, w->region) != 0)
			continue;
		there = there || strcmp(name, after) == 0;
		name_stamp(name, w->newest);
		if (strcmp(name, after) > 0)
			rc = read_log(w, name);
	}
	for (i = 0; rc == 0 && i < w->live.count; i++)
		if (!in_logs(w->live.name[i], w->newest))
			rc = each_line(w->bucket, w->live.name[i], take_line,
				       w);
	return rc == 0 && !(there && w->found) ? -ENODATA : rc;
}

int trail_since(const char *bucket, const json_t *end, trail_fn *fn, void *arg)
{
	struct walk w = { .bucket = bucket, .fn = fn, .arg = arg };
	json_t *regions = json_object(), *unused;
	const char *region;
	int rc = regions ? list_all(&w) : -ENOMEM;

	if (rc == 0)
		rc = find_regions(&w, end, regions);
	json_object_foreach(regions, region, unused) {
		const json_t *of = json_object_get(end, region);

		w.region = region;
		w.event = json_text(of, "event");
		w.found = !*w.event;
		w.newest[0] = '\0';
		if (rc == 0)
			rc = walk_region(&w, json_text(of, "after"));
	}
	json_decref(regions);
	free_walk(&w);
	return rc;
}
