// SPDX-License-Identifier: GPL-2.0-or-later
/* `envelope-kms audit verify`: every digest and log file, newest first. */
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit_bucket.h"
#include "audit_chain.h"
#include "commands.h"
#include "files.h"
#include "json.h"
#include "log.h"

#define NAMES_MAX 1000000
#define STAMP_TAIL strlen("yyyymmddThhmmssZ.json.gz")

struct names {
	char **name; /* objects, oldest first */
	size_t count;
};

struct verify {
	char *bucket;
	struct audit_key *key;
	char fingerprint[AUDIT_HASH_HEX];
	struct names digests, logs;
	json_t *seen;         /* objects that a good digest has named */
	size_t good_digests, bad_digests, good_logs, bad_logs;
	size_t tail, torn;    /* records that no digest has yet */
	json_t *findings;     /* NULL: they are printed as they come */
	json_t *beginnings;   /* digests without one before; beside findings */
	json_t **report;      /* where they go; NULL: they are printed */
};

static struct verify *walking; /* nftw(3) has no argument for it */

static int add_name(struct names *n, const char *name)
{
	char **bigger = realloc(n->name, (n->count + 1) * sizeof(*bigger));

	if (!bigger || n->count == NAMES_MAX)
		return -ENOMEM;
	n->name = bigger;
	n->name[n->count] = strdup(name);
	return n->name[n->count++] ? 0 : -ENOMEM;
}

/*
 * Below or above 0: @a is older or newer. The moment ends the name; what stands
 * before it has the trail's region, which may have changed.
 */
static int compare_age(const char *a, const char *b)
{
	size_t a_bytes = strlen(a), b_bytes = strlen(b);

	return strcmp(a + (a_bytes > STAMP_TAIL ? a_bytes - STAMP_TAIL : 0),
		      b + (b_bytes > STAMP_TAIL ? b_bytes - STAMP_TAIL : 0));
}

static int by_age(const void *a, const void *b)
{
	return compare_age(*(char *const *)a, *(char *const *)b);
}

static int take_file(const char *path, const struct stat *st, int type,
		     struct FTW *level)
{
	const char *object = path + strlen(walking->bucket) + 1;
	size_t n = strlen(object);

	(void)st;
	(void)level;
	if (type != FTW_F || n < 8 || strcmp(object + n - 8, ".json.gz"))
		return 0;
	return add_name(strstr(object, "/CloudTrail-Digest/") ?
			&walking->digests : &walking->logs, object);
}

static int list_bucket(struct verify *v)
{
	char *path = file_path(v->bucket, "AWSLogs");
	int rc = path ? 0 : -ENOMEM;

	walking = v;
	if (path && access(path, F_OK) == 0 &&
	    nftw(path, take_file, 16, FTW_PHYS) != 0)
		rc = -ENOMEM;
	free(path);
	if (v->digests.count)
		qsort(v->digests.name, v->digests.count, sizeof(char *),
		      by_age);
	return rc;
}

static void bad(struct verify *v, const char *kind, const char *object,
		const char *why)
{
	if (v->findings)
		json_array_append_new(v->findings,
				      json_pack("{s:s, s:s, s:s}", "kind",
						kind, "object", object,
						"problem", why));
	else
		printf("%s %s: INVALID: %s\n", kind, object, why);
}

static void bad_digest(struct verify *v, const char *object, const char *why)
{
	bad(v, "digest", object, why);
	v->bad_digests++;
}

static void bad_log(struct verify *v, const char *object, const char *why)
{
	bad(v, "log", object, why);
	v->bad_logs++;
}

static void begins_anew(struct verify *v, const char *object)
{
	if (v->findings)
		json_array_append_new(v->beginnings, json_string(object));
	else
		printf("digest %s: the chain begins anew here\n", object);
}

static void check_log(struct verify *v, json_t *entry)
{
	const char *object = json_text(entry, "s3Object"), *why = NULL;
	char *path = audit_object_path(v->bucket, object);
	char hash[AUDIT_HASH_HEX];
	int rc = path ? audit_gz_read(path, hash, NULL) : -ENOMEM;

	json_object_set_new(v->seen, object, json_true());
	if (rc == -ENOENT)
		why = "not found";
	else if (rc < 0)
		why = "invalid format";
	else if (strcmp(hash, json_text(entry, "hashValue")) != 0)
		why = "hash value doesn't match";
	if (why)
		bad_log(v, object, why);
	else
		v->good_logs++;
	free(path);
}

/* The signature in the file beside; "" when there is none. */
static void read_signature(const char *path,
			   char ret[static AUDIT_SIGNATURE_HEX])
{
	char *name = NULL;
	FILE *f = NULL;

	ret[0] = '\0';
	if (asprintf(&name, "%s.sig", path) >= 0)
		f = fopen(name, "re");
	if (f && !fgets(ret, AUDIT_SIGNATURE_HEX, f))
		ret[0] = '\0';
	if (f)
		fclose(f);
	free(name);
}

static const char *check_digest(struct verify *v, const char *object,
				const char *path, json_t *digest,
				const char *hash)
{
	char signature[AUDIT_SIGNATURE_HEX];
	char *text = NULL;
	int rc;

	if (strcmp(json_text(digest, "digestS3Object"), object) != 0 ||
	    strcmp(json_text(digest, "digestS3Bucket"), AUDIT_BUCKET) != 0)
		return "has been moved from its original location";
	if (strcmp(json_text(digest, "digestPublicKeyFingerprint"),
		   v->fingerprint) != 0)
		return "public key not found for its fingerprint";
	read_signature(path, signature);
	rc = audit_string_to_sign(json_text(digest, "digestEndTime"), object,
				  hash,
				  json_text(digest, "previousDigestSignature"),
				  &text);
	if (rc == 0)
		rc = audit_key_verify(v->key, text, signature);
	free(text);
	return rc < 0 ? "signature verification failed" : NULL;
}

/*
 * One digest and its log files. False: it is no good, and says nothing about
 * the one before. @previous_ret is where that one should be; "": nowhere.
 */
static bool visit(struct verify *v, const char *object, const char *expected,
		  char previous_ret[static AUDIT_OBJECT_BYTES],
		  char hash_ret[static AUDIT_HASH_HEX])
{
	char *path = audit_object_path(v->bucket, object), *text = NULL;
	char hash[AUDIT_HASH_HEX], why_json[JSON_WHY_BYTES];
	json_t *digest = NULL, *entry;
	const char *why = NULL;
	size_t i;
	int rc = path ? audit_gz_read(path, hash, &text) : -ENOMEM;

	if (rc == -ENOENT)
		why = "not found";
	else if (rc < 0 || json_parse_strict(text, strlen(text), 8, &digest,
					     why_json) < 0)
		why = "invalid format";
	else
		why = check_digest(v, object, path, digest, hash);
	if (!why && *expected && strcmp(expected, hash) != 0)
		why = "not the one that its successor was signed with";
	if (why) {
		bad_digest(v, object, why);
	} else {
		v->good_digests++;
		json_array_foreach(json_object_get(digest, "logFiles"), i,
				   entry)
			check_log(v, entry);
		snprintf(previous_ret, AUDIT_OBJECT_BYTES, "%s",
			 json_text(digest, "previousDigestS3Object"));
		snprintf(hash_ret, AUDIT_HASH_HEX, "%s",
			 json_text(digest, "previousDigestHashValue"));
	}
	json_decref(digest);
	free(text);
	free(path);
	return !why;
}

/* The newest digest in the folder of @region that is older than @before. */
static const char *find_before(const struct verify *v, const char *region,
			       const char *before)
{
	char mark[128];
	size_t i = v->digests.count;

	snprintf(mark, sizeof(mark), "/CloudTrail-Digest/%s/", region);
	while (i-- > 0)
		if (strstr(v->digests.name[i], mark) &&
		    (!*before || compare_age(v->digests.name[i], before) < 0))
			return v->digests.name[i];
	return "";
}

/* Where to go on from @object: where it says, or to the one before. */
static void go_back(struct verify *v, const char *region, const char *object,
		    char previous[static AUDIT_OBJECT_BYTES],
		    char expected[static AUDIT_HASH_HEX])
{
	const char *before = find_before(v, region, object);

	/* Never forward, or this would not end. */
	if (previous[0] && compare_age(previous, object) < 0)
		return;
	if (previous[0])
		bad_digest(v, object, "names a newer one as the one before");
	else if (*before)
		begins_anew(v, object);
	snprintf(previous, AUDIT_OBJECT_BYTES, "%s", before);
	expected[0] = '\0';
}

static void verify_region(struct verify *v, const char *region)
{
	char object[AUDIT_OBJECT_BYTES], expected[AUDIT_HASH_HEX] = "";
	char previous[AUDIT_OBJECT_BYTES];
	struct audit_chain chain = { "", "", "", "" };
	const char *newest = find_before(v, region, "");
	bool late;

	if (audit_chain_read(v->bucket, region, &chain) < 0)
		bad_digest(v, region, "the end of its chain cannot be read");
	/* The end of the chain tells a tail that was cut from a quiet hour. */
	late = !chain.object[0] || compare_age(newest, chain.object) > 0;
	snprintf(object, sizeof(object), "%s", late ? newest : chain.object);
	snprintf(expected, sizeof(expected), "%s", late ? "" : chain.hash);
	while (object[0]) {
		previous[0] = '\0';
		if (visit(v, object, expected, previous, expected)) {
			go_back(v, region, object, previous, expected);
		} else {
			snprintf(previous, sizeof(previous), "%s",
				 find_before(v, region, object));
			expected[0] = '\0';
		}
		memcpy(object, previous, sizeof(object));
	}
}

static void verify_regions(struct verify *v)
{
	struct dirent **entries = NULL;
	json_t *regions = json_object();
	const char *region;
	json_t *unused;
	size_t i, prefix = strlen(AUDIT_CHAIN);
	int n, count = scandir(v->bucket, &entries, NULL, alphasort);

	for (n = 0; n < count; n++) {
		if (strncmp(entries[n]->d_name, AUDIT_CHAIN, prefix) == 0)
			json_object_set_new(regions,
					    entries[n]->d_name + prefix,
					    json_true());
		free(entries[n]);
	}
	free(entries);
	/* A chain whose end was removed has digests all the same. */
	for (i = 0; i < v->digests.count; i++) {
		char name[64] = "";

		if (sscanf(strstr(v->digests.name[i], "-Digest/"),
			   "-Digest/%63[^/]", name) == 1)
			json_object_set_new(regions, name, json_true());
	}
	json_object_foreach(regions, region, unused)
		verify_region(v, region);
	json_decref(regions);
}

/*
 * Was a digest being made that was to name it? Then what it was made of is
 * still there, as it is made again, and newer than any digest.
 */
static bool awaits_digest(struct verify *v, const char *object)
{
	const char *region = strstr(object, "/CloudTrail/");
	const char *stamp = strrchr(object, '_');
	struct audit_chain chain = { "", "", "", "" };
	char name[REGION_BYTES], *path = NULL;
	bool awaits;

	if (!region || !stamp ||
	    sscanf(region, "/CloudTrail/%63[^/]", name) != 1 ||
	    audit_chain_read(v->bucket, name, &chain) < 0 ||
	    compare_age(object, chain.object) <= 0 ||
	    compare_age(object, find_before(v, name, "")) <= 0 ||
	    asprintf(&path, "%s/pending-%.16s.log", v->bucket, stamp + 1) < 0)
		return false;
	awaits = access(path, F_OK) == 0;
	free(path);
	return awaits;
}

/* A log file that no good digest names proves nothing. */
static void find_strangers(struct verify *v)
{
	size_t i;

	for (i = 0; i < v->logs.count; i++)
		if (!json_object_get(v->seen, v->logs.name[i]) &&
		    !awaits_digest(v, v->logs.name[i]))
			bad_log(v, v->logs.name[i], "not in any digest");
}

static void count_tail(struct verify *v, const char *name)
{
	char *path = file_path(v->bucket, name), *line = NULL;
	FILE *f = path ? fopen(path, "re") : NULL;
	char why[JSON_WHY_BYTES];
	json_t *json = NULL;
	size_t room = 0;
	ssize_t n;

	while (f && (n = getline(&line, &room, f)) > 0) {
		if (line[n - 1] == '\n' &&
		    json_parse_strict(line, (size_t)n, 8, &json, why) == 0)
			v->tail++;
		else
			v->torn++;
		json_decref(json);
		json = NULL;
	}
	free(line);
	if (f)
		fclose(f);
	free(path);
}

static int is_tail(const struct dirent *entry)
{
	return strncmp(entry->d_name, "pending-", 8) == 0 ||
	       strcmp(entry->d_name, FILE_AUDIT_LOG) == 0;
}

static void count_tails(struct verify *v)
{
	struct dirent **entries = NULL;
	int i, count = scandir(v->bucket, &entries, is_tail, alphasort);

	for (i = 0; i < count; i++) {
		count_tail(v, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
}

static void print_text(const struct verify *v)
{
	printf("%zu of %zu digests valid, %zu of %zu log files valid\n",
	       v->good_digests, v->good_digests + v->bad_digests,
	       v->good_logs, v->good_logs + v->bad_logs);
	printf("%zu records since the last digest, which nothing proves yet\n",
	       v->tail);
	if (v->torn)
		printf("%zu lines there are no records: INVALID\n", v->torn);
}

static int print_json(const struct verify *v, bool valid)
{
	json_t *json = json_pack(
		"{s:b, s:{s:I, s:I}, s:{s:I, s:I}, s:I, s:I, s:O, s:O}",
		"valid", valid, "digests", "valid",
		(json_int_t)v->good_digests, "total",
		(json_int_t)(v->good_digests + v->bad_digests), "log_files",
		"valid", (json_int_t)v->good_logs, "total",
		(json_int_t)(v->good_logs + v->bad_logs),
		"undigested_records", (json_int_t)v->tail, "torn_lines",
		(json_int_t)v->torn, "chain_begins_anew", v->beginnings,
		"findings", v->findings);

	if (v->report) {
		*v->report = json;
		return json ? 0 : -ENOMEM;
	}
	return json_print(json, stdout);
}

static int report(const struct verify *v)
{
	bool valid = !v->bad_digests && !v->bad_logs && !v->torn;
	int rc = 0;

	if (v->findings)
		rc = print_json(v, valid);
	else
		print_text(v);
	return rc == 0 && !valid ? -EBADMSG : rc;
}

static void free_names(struct names *n)
{
	while (n->count)
		free(n->name[--n->count]);
	free(n->name);
}

int cmd_audit_verify(const struct audit_verify_options *o)
{
	struct verify v = { .seen = json_object(), .report = o->report };
	char *key = o->key ? strdup(o->key) :
			     file_path(o->dir, FILE_AUDIT_PUBLIC);
	int rc = -ENOMEM;

	v.bucket = file_path(o->dir, FILE_AUDIT_DIR);
	if (o->json) {
		v.findings = json_array();
		v.beginnings = json_array();
	}
	if (!v.seen || !v.bucket || !key ||
	    (o->json && (!v.findings || !v.beginnings)))
		goto out;
	rc = audit_key_read_public(key, &v.key);
	if (rc == 0)
		rc = audit_key_fingerprint(v.key, v.fingerprint);
	if (rc == 0)
		rc = list_bucket(&v);
	if (rc < 0)
		goto out;
	verify_regions(&v);
	find_strangers(&v);
	count_tails(&v);
	rc = report(&v);
out:
	free_names(&v.digests);
	free_names(&v.logs);
	audit_key_free(v.key);
	json_decref(v.seen);
	json_decref(v.findings);
	json_decref(v.beginnings);
	free(v.bucket);
	free(key);
	return rc;
}
