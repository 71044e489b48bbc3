// SPDX-License-Identifier: GPL-2.0-or-later
/* Turns the live file of the trail into log files and signed digests. */
#include "audit_digest.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "audit_bucket.h"
#include "audit_chain.h"
#include "clock.h"
#include "files.h"
#include "log.h"
#include "region.h"
#include "server.h"

#define PENDING "pending-"
#define LOG_MAX_BYTES (64L << 20) /* of the live file */
#define CHECK_SECONDS 60
#define RETRY_SECONDS 60

struct audit_digest {
	struct audit_digest_options options;
	struct audit_log *log;
	struct audit_key *key;
	char fingerprint[AUDIT_HASH_HEX];
	char *bucket;
	int64_t last;         /* of all stamps so far, seconds since 1970 */
	int64_t due;          /* of the next digest, seconds since 1970 */
	pthread_t thread;
	pthread_mutex_t lock; /* stop */
	pthread_cond_t wake;
	bool stop;
};

static void stamp_of(int64_t seconds, char ret[static AUDIT_STAMP_BYTES])
{
	time_t t = (time_t)seconds;
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(ret, AUDIT_STAMP_BYTES, "%Y%m%dT%H%M%SZ", &tm);
}

static int64_t seconds_of(const char *stamp)
{
	struct tm tm = { 0 };

	return strptime(stamp, "%Y%m%dT%H%M%SZ", &tm) ? timegm(&tm) : 0;
}

/* Later than all before, whatever the clock does; else a log would be lost. */
static void next_stamp(struct audit_digest *d,
		       char ret[static AUDIT_STAMP_BYTES])
{
	int64_t now = server_now_ms() / 1000;

	d->last = now > d->last ? now : d->last + 1;
	stamp_of(d->last, ret);
}

static int is_pending(const struct dirent *entry)
{
	return strncmp(entry->d_name, PENDING, strlen(PENDING)) == 0;
}

/* The moment that "pending-STAMP.log" was moved away. */
static void pending_stamp(const char *name, char ret[static AUDIT_STAMP_BYTES])
{
	snprintf(ret, AUDIT_STAMP_BYTES, "%.16s", name + strlen(PENDING));
}

static int put_away(struct audit_digest *d)
{
	char stamp[AUDIT_STAMP_BYTES];
	char *path = NULL;
	int rc;

	next_stamp(d, stamp);
	if (asprintf(&path, "%s/" PENDING "%s.log", d->bucket, stamp) < 0)
		return -ENOMEM;
	rc = audit_log_rotate(d->log, path);
	free(path);
	return rc == -ENOENT ? 0 : rc;
}

/* Text behind @mark in a line of ours, up to the next quotation mark. */
static bool find_member(const char *line, const char *mark, char *ret,
			size_t bytes)
{
	const char *p = strstr(line, mark);
	size_t n;

	if (!p)
		return false;
	p += strlen(mark);
	n = strcspn(p, "\"");
	snprintf(ret, bytes, "%.*s", (int)n, p);
	return true;
}

/* What one log file is made of. */
struct log_file {
	struct audit_gz *gz;
	size_t records;
	char oldest[AUDIT_TIME_BYTES], newest[AUDIT_TIME_BYTES];
};

static void put_record(struct log_file *f, const char *line, size_t bytes)
{
	static const char head[] = "{\"Records\":[";
	char when[AUDIT_TIME_BYTES] = "";

	audit_gz_put(f->gz, f->records ? "," : head,
		     f->records ? 1 : strlen(head));
	audit_gz_put(f->gz, line, bytes);
	find_member(line, "\"eventTime\":\"", when, sizeof(when));
	if (!f->records || strcmp(when, f->oldest) < 0)
		strcpy(f->oldest, when);
	if (!f->records || strcmp(when, f->newest) > 0)
		strcpy(f->newest, when);
	f->records++;
}

/* All records of @region in the file @from, into @f, which is begun. */
static int put_records(FILE *from, const char *region, struct log_file *f)
{
	char where[REGION_BYTES] = "";
	char *line = NULL;
	size_t room = 0;
	ssize_t n;

	while ((n = getline(&line, &room, from)) > 0) {
		if (line[n - 1] == '\n')
			n--;
		if (find_member(line, "\"awsRegion\":\"", where,
				sizeof(where)) && strcmp(where, region) == 0)
			put_record(f, line, (size_t)n);
	}
	free(line);
	/* also for want of memory, which is no error of the stream */
	return feof(from) ? 0 : -EIO;
}

static json_t *describe(const struct log_file *f, const char *object,
			const char *hash)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "s3Bucket",
			 AUDIT_BUCKET, "s3Object", object, "hashValue", hash,
			 "hashAlgorithm", "SHA-256", "newestEventTime",
			 f->newest, "oldestEventTime", f->oldest);
}

/* Writes under another name first: a log file is there as a whole. */
static int write_log(struct audit_digest *d, FILE *from, const char *region,
		     const char *object, json_t **ret)
{
	char *fresh = file_path(d->bucket, "log.new");
	char *path = audit_object_path(d->bucket, object);
	struct log_file f = { .gz = NULL };
	char hash[AUDIT_HASH_HEX];
	int rc = fresh && path ? audit_gz_begin(fresh, &f.gz) : -ENOMEM;
	int end;

	if (rc < 0)
		goto out;
	rc = put_records(from, region, &f);
	audit_gz_put(f.gz, "]}", 2);
	end = audit_gz_end(f.gz, hash);
	rc = rc < 0 ? rc : end;
	if (rc == 0 && f.records) {
		rc = audit_make_folders(d->bucket, object);
		if (rc == 0 && rename(fresh, path) < 0)
			rc = -errno;
		if (rc == 0)
			rc = (*ret = describe(&f, object, hash)) ? 0 : -ENOMEM;
		if (rc == 0)
			*strrchr(path, '/') = '\0';
		if (rc == 0)
			rc = dir_sync(path);
	}
out:
	free(fresh);
	free(path);
	return rc;
}

static int add_log(struct audit_digest *d, const char *name,
		   const char *region, json_t *logs)
{
	char stamp[AUDIT_STAMP_BYTES], object[AUDIT_OBJECT_BYTES];
	char *path = file_path(d->bucket, name);
	FILE *from = path ? fopen(path, "re") : NULL;
	json_t *entry = NULL;
	int rc = from ? 0 : -errno;

	pending_stamp(name, stamp);
	audit_log_object(d->options.account, region, stamp, stamp, object);
	if (rc == 0)
		rc = write_log(d, from, region, object, &entry);
	if (entry && json_array_append_new(logs, entry) < 0)
		rc = -ENOMEM;
	if (from)
		fclose(from);
	free(path);
	return rc;
}

/* The first and last of all event times of @logs, or null. */
static json_t *extreme(json_t *logs, const char *name, int sign)
{
	const char *best = NULL;
	json_t *entry;
	size_t i;

	json_array_foreach(logs, i, entry) {
		const char *when = json_string_value(
			json_object_get(entry, name));

		if (!best || sign * strcmp(when, best) > 0)
			best = when;
	}
	return best ? json_string(best) : json_null();
}

static json_t *digest_body(struct audit_digest *d, const char *region,
			   const char *begin, const char *stamp, json_t *logs)
{
	const char *regions = d->options.regions;
	char home[REGION_BYTES] = "", object[AUDIT_OBJECT_BYTES];
	char from[AUDIT_TIME_BYTES], to[AUDIT_TIME_BYTES];

	region_next(&regions, home);
	audit_digest_object(d->options.account, region, home, stamp, object);
	audit_stamp_time(begin, from);
	audit_stamp_time(stamp, to);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:O}",
			 "awsAccountId", d->options.account,
			 "digestStartTime", from, "digestEndTime", to,
			 "digestS3Bucket", AUDIT_BUCKET, "digestS3Object",
			 object, "digestPublicKeyFingerprint", d->fingerprint,
			 "digestSignatureAlgorithm", "SHA256withRSA",
			 "newestEventTime",
			 extreme(logs, "newestEventTime", 1),
			 "oldestEventTime",
			 extreme(logs, "oldestEventTime", -1), "logFiles",
			 logs);
}

/* A first digest reaches back to its oldest record, or for one interval. */
static void begin_of(struct audit_digest *d, const struct audit_chain *chain,
		     const char *stamp, char ret[static AUDIT_STAMP_BYTES])
{
	if (chain->stamp[0])
		strcpy(ret, chain->stamp);
	else
		stamp_of(seconds_of(stamp) - d->options.seconds, ret);
}

static int digest_region(struct audit_digest *d, const char *region,
			 const char *stamp, struct dirent **pending, int count)
{
	char begin[AUDIT_STAMP_BYTES], moved[AUDIT_STAMP_BYTES];
	struct audit_chain chain;
	json_t *logs = json_array(), *body = NULL;
	int i, rc = logs ? 0 : -ENOMEM;

	if (rc == 0)
		rc = audit_chain_read(d->bucket, region, &chain);
	for (i = 0; rc == 0 && i < count; i++) {
		pending_stamp(pending[i]->d_name, moved);
		/* Others were in a digest before a crash kept them here. */
		if (strcmp(moved, chain.stamp) > 0)
			rc = add_log(d, pending[i]->d_name, region, logs);
	}
	if (rc == 0) {
		begin_of(d, &chain, stamp, begin);
		body = digest_body(d, region, begin, stamp, logs);
		rc = body ? audit_chain_append(d->bucket, region, d->key,
					       body, &chain) : -ENOMEM;
	}
	json_decref(body);
	json_decref(logs);
	if (rc < 0)
		log_warn("%s: cannot write the digest of %s, retrying in %d s: %s",
			 d->bucket, region, RETRY_SECONDS, strerror(-rc));
	return rc;
}

/* A region that the server is not any more may have records left. */
static int add_regions_of(struct audit_digest *d, const char *name,
			  char regions[static REGIONS_BYTES])
{
	char *path = file_path(d->bucket, name), *line = NULL;
	FILE *from = path ? fopen(path, "re") : NULL;
	char region[REGION_BYTES];
	size_t room = 0;
	int rc = from ? 0 : -errno;

	while (rc == 0 && getline(&line, &room, from) > 0)
		if (find_member(line, "\"awsRegion\":\"", region,
				sizeof(region))) {
			rc = region_append(regions, region);
			rc = rc == -EEXIST ? 0 : rc;
		}
	if (rc == 0 && !feof(from))
		rc = -EIO;
	free(line);
	if (from)
		fclose(from);
	free(path);
	return rc;
}

static int is_chain(const struct dirent *entry)
{
	return strncmp(entry->d_name, AUDIT_CHAIN, strlen(AUDIT_CHAIN)) == 0;
}

/* Those that the server is, and those that it was and has a chain of. */
static void all_regions(struct audit_digest *d,
			char regions[static REGIONS_BYTES])
{
	struct dirent **chains = NULL;
	int i, count = scandir(d->bucket, &chains, is_chain, alphasort);

	snprintf(regions, REGIONS_BYTES, "%s", d->options.regions);
	for (i = 0; i < count; i++) {
		region_append(regions, chains[i]->d_name +
			      strlen(AUDIT_CHAIN));
		free(chains[i]);
	}
	free(chains);
}

static void remove_pending(struct audit_digest *d, const char *name)
{
	char *path = file_path(d->bucket, name);

	if (path)
		unlink(path);
	free(path);
}

static int digest_all(struct audit_digest *d)
{
	char region[REGION_BYTES], stamp[AUDIT_STAMP_BYTES];
	char regions[REGIONS_BYTES];
	struct dirent **pending = NULL;
	const char *rest = regions;
	int count, i, rc = put_away(d);

	all_regions(d, regions);
	count = rc < 0 ? 0 : scandir(d->bucket, &pending, is_pending,
				     alphasort);
	if (rc == 0 && count < 0)
		rc = -errno;
	for (i = 0; rc == 0 && i < count; i++)
		rc = add_regions_of(d, pending[i]->d_name, regions);
	next_stamp(d, stamp);
	while (rc == 0 && region_next(&rest, region))
		rc = digest_region(d, region, stamp, pending, count);
	for (i = 0; i < count; i++) {
		if (rc == 0)
			remove_pending(d, pending[i]->d_name);
		free(pending[i]);
	}
	free(pending);
	return rc;
}

static bool too_large(const struct audit_digest *d)
{
	char *path = file_path(d->bucket, FILE_AUDIT_LOG);
	struct stat st;
	bool large = path && stat(path, &st) == 0 &&
		     st.st_size > LOG_MAX_BYTES;

	free(path);
	return large;
}

static void run_round(struct audit_digest *d)
{
	int64_t now = server_now_ms() / 1000;

	if (now >= d->due) {
		d->due = digest_all(d) < 0 ? now + RETRY_SECONDS :
			 now - now % d->options.seconds + d->options.seconds;
	} else if (too_large(d)) {
		put_away(d);
	}
}

static void *run(void *arg)
{
	struct audit_digest *d = arg;
	bool quick = clock_is_test() || d->options.seconds < CHECK_SECONDS;
	struct timespec until;

	pthread_mutex_lock(&d->lock);
	while (!d->stop) {
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += quick ? 1 : CHECK_SECONDS;
		pthread_cond_timedwait(&d->wake, &d->lock, &until);
		if (d->stop)
			break;
		pthread_mutex_unlock(&d->lock);
		run_round(d);
		pthread_mutex_lock(&d->lock);
	}
	pthread_mutex_unlock(&d->lock);
	return NULL;
}

/* The newest stamp of all chains and of what waits for a digest. */
static int find_last(struct audit_digest *d)
{
	char region[REGION_BYTES], stamp[AUDIT_STAMP_BYTES];
	char regions[REGIONS_BYTES];
	struct dirent **pending = NULL;
	const char *rest = regions;
	struct audit_chain chain;
	int i, count, rc = 0;

	all_regions(d, regions);
	while (rc == 0 && region_next(&rest, region)) {
		rc = audit_chain_read(d->bucket, region, &chain);
		if (rc < 0)
			log_error("%s/" AUDIT_CHAIN "%s: cannot read the end of the chain of digests: %s",
				  d->bucket, region, strerror(-rc));
		else if (seconds_of(chain.stamp) > d->last)
			d->last = seconds_of(chain.stamp);
	}
	count = scandir(d->bucket, &pending, is_pending, alphasort);
	for (i = 0; i < count; i++) {
		pending_stamp(pending[i]->d_name, stamp);
		if (seconds_of(stamp) > d->last)
			d->last = seconds_of(stamp);
		free(pending[i]);
	}
	free(pending);
	return rc;
}

static int start(struct audit_digest *d)
{
	int64_t now = server_now_ms() / 1000;
	int rc;

	d->bucket = file_path(d->options.dir, FILE_AUDIT_DIR);
	if (!d->bucket)
		return -ENOMEM;
	rc = audit_key_open(d->options.dir, &d->key);
	if (rc == 0)
		rc = audit_key_fingerprint(d->key, d->fingerprint);
	if (rc == 0)
		rc = find_last(d);
	/* One that fell due while no server ran is made at once. */
	d->due = d->last && now - d->last >= d->options.seconds ? now :
		 now - now % d->options.seconds + d->options.seconds;
	return rc;
}

int audit_digest_start(struct audit_log *log,
		       const struct audit_digest_options *o,
		       struct audit_digest **ret)
{
	struct audit_digest *d = calloc(1, sizeof(*d));
	int rc;

	if (!d)
		return -ENOMEM;
	d->options = *o;
	d->log = log;
	rc = start(d);
	if (rc == 0) {
		pthread_mutex_init(&d->lock, NULL);
		pthread_cond_init(&d->wake, NULL);
		rc = -pthread_create(&d->thread, NULL, run, d);
	}
	if (rc < 0) {
		audit_key_free(d->key);
		free(d->bucket);
		free(d);
		return rc;
	}
	*ret = d;
	return 0;
}

void audit_digest_stop(struct audit_digest *d)
{
	if (!d)
		return;
	pthread_mutex_lock(&d->lock);
	d->stop = true;
	pthread_cond_signal(&d->wake);
	pthread_mutex_unlock(&d->lock);
	pthread_join(d->thread, NULL);
	pthread_cond_destroy(&d->wake);
	pthread_mutex_destroy(&d->lock);
	audit_key_free(d->key);
	free(d->bucket);
	free(d);
}
