// SPDX-License-Identifier: GPL-2.0-or-later
/* Snapshots as objects: what is put where, and believed when it comes back. */
#include "snapshot_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

#define MARK "envelope-store"
#define MARK_TEXT "envelope snapshot store 1\n"
#define MAX_BODY_BYTES (1ull << 33)
#define REUSE_SECONDS (12 * 3600) /* of the day that gc waits */

struct snapshot_store {
	struct object_store *objects;
	const char *url;
};

/* -EEXIST, silent: @name is there already. */
static int put(const struct snapshot_store *st, const char *name,
	       const void *p, size_t bytes)
{
	return object_put(st->objects, name, p, bytes, false);
}

/* Also in the place of another. */
static int replace(const struct snapshot_store *st, const char *name,
		   const void *p, size_t bytes)
{
	return object_put(st->objects, name, p, bytes, true);
}

/* -ENOENT, silent. The caller frees *@ret, which has room for one more byte. */
static int get(const struct snapshot_store *st, const char *name,
	       uint64_t max_bytes, uint8_t **ret, size_t *bytes_ret)
{
	return object_get(st->objects, name, max_bytes, ret, bytes_ret);
}

static bool is_there(const struct snapshot_store *st, const char *name)
{
	struct object_info info;

	return object_look(st->objects, name, &info) == 0;
}

static int make_mark(const struct snapshot_store *st)
{
	bool empty = false;
	int r = object_store_empty(st->objects, &empty);

	if (r == 0 && !empty) {
		log_error("'%s' has something else in it: name a new or empty folder",
			  st->url);
		return -EEXIST;
	}
	if (r == 0)
		r = put(st, MARK, MARK_TEXT, strlen(MARK_TEXT));
	return r == -EEXIST ? 0 : r;
}

static int check_mark(const struct snapshot_store *st, bool create)
{
	uint8_t *text = NULL;
	size_t n = 0;
	int r = get(st, MARK, 4096, &text, &n);

	if (r == -ENOENT && create)
		return make_mark(st);
	if (r == -ENOENT)
		log_error("'%s' is no store of snapshots: it has no object "
			  MARK, st->url);
	if (r == 0 && (n != strlen(MARK_TEXT) ||
		       memcmp(text, MARK_TEXT, n) != 0)) {
		log_error("'%s': a store that this program does not know: use a newer one",
			  st->url);
		r = -EOPNOTSUPP;
	}
	free(text);
	return r;
}

int snapshot_store_open(const char *url, const struct object_access *access,
			bool create, struct snapshot_store **ret)
{
	struct snapshot_store *st = calloc(1, sizeof(*st));
	int r;

	if (!st)
		return -ENOMEM;
	r = object_store_open(url, access, create, &st->objects);
	if (r == 0) {
		st->url = object_store_url(st->objects);
		r = check_mark(st, create);
	}
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
	object_store_close(st->objects);
	free(st);
}

const char *snapshot_store_url(const struct snapshot_store *st)
{
	return st->url;
}

static void block_name(const char *lineage, const uint8_t *digest,
		       char ret[OBJECT_NAME_CHARS])
{
	char hex[SNAPSHOT_DIGEST_CHARS];

	snapshot_hex(digest, hex);
	snprintf(ret, OBJECT_NAME_CHARS, "blocks/%s/%.2s/%s", lineage, hex, hex);
}

/*
 * A block that is there already need not be put, but: of another length it is
 * what a disk has left of it. One that gc might take soon has to become young.
 */
static bool is_fresh(const struct snapshot_store *st, const char *name,
		     uint64_t bytes)
{
	struct object_info info;

	return object_look(st->objects, name, &info) == 0 &&
	       info.bytes == bytes && info.age_seconds < REUSE_SECONDS;
}

static int reuse(struct snapshot_store *st, const char *name, const void *p,
		 size_t bytes)
{
	return is_fresh(st, name, bytes) ? 0 : replace(st, name, p, bytes);
}

int snapshot_store_put_block(struct snapshot_store *st, const char *lineage,
			     const uint8_t *chunk, size_t bytes,
			     uint8_t digest_ret[SNAPSHOT_DIGEST_BYTES])
{
	char name[OBJECT_NAME_CHARS];
	int r = snapshot_sha256(chunk, bytes, digest_ret);

	if (r < 0)
		return r;
	block_name(lineage, digest_ret, name);
	r = put(st, name, chunk, bytes);
	return r == -EEXIST ? reuse(st, name, chunk, bytes) : r;
}

static int is_damaged(const struct snapshot_store *st, const struct snapshot *s,
		      uint64_t index, const char *name, const char *how)
{
	log_error("'%s': chunk %llu of %s is %s: %s; take another copy of the store",
		  st->url, (unsigned long long)index, snapshot_id(s), how,
		  name);
	return -EBADMSG;
}

int snapshot_store_get_block(struct snapshot_store *st,
			     const struct snapshot *s, uint64_t index,
			     uint8_t *chunk)
{
	const uint8_t *want = snapshot_digest(s, index);
	uint8_t found[SNAPSHOT_DIGEST_BYTES];
	char name[OBJECT_NAME_CHARS];
	bool same;
	size_t n = 0;
	int r;

	block_name(header_core(snapshot_header(s))->lineage, want, name);
	r = object_get_into(st->objects, name, chunk, SNAPSHOT_CHUNK_BYTES, &n);
	if (r == 0)
		r = snapshot_sha256(chunk, n, found);
	if (r < 0 && r != -ENOENT && r != -EBADMSG)
		return r;
	same = r == 0 && n == snapshot_chunk_bytes(s, index) &&
	       memcmp(found, want, sizeof(found)) == 0;
	return same ? 0 : is_damaged(st, s, index, name, r == -ENOENT ?
				     "missing" : "damaged or forged");
}

/* -EOPNOTSUPP, silent: it has to be read. */
static int clone_block(struct snapshot_store *from, struct snapshot_store *to,
		       const struct snapshot *s, uint64_t index,
		       const char *name)
{
	uint64_t bytes = snapshot_chunk_bytes(s, index);
	struct object_info info;
	int r;

	if (is_fresh(to, name, bytes))
		return 0;
	r = object_look(from->objects, name, &info);
	if (r == 0 && info.bytes != bytes)
		return is_damaged(from, s, index, name, "damaged or forged");
	if (r == 0)
		r = object_clone(from->objects, to->objects, name);
	return r == -ENOENT ? is_damaged(from, s, index, name, "missing") : r;
}

int snapshot_store_copy_block(struct snapshot_store *from,
			      struct snapshot_store *to,
			      const struct snapshot *s, uint64_t index,
			      bool whole, uint8_t *room)
{
	uint64_t bytes = snapshot_chunk_bytes(s, index);
	char name[OBJECT_NAME_CHARS];
	int r = -EOPNOTSUPP;

	block_name(header_core(snapshot_header(
		(struct snapshot *)s))->lineage, snapshot_digest(s, index),
		   name);
	if (!whole)
		r = clone_block(from, to, s, index, name);
	if (r != -EOPNOTSUPP)
		return r;
	r = snapshot_store_get_block(from, s, index, room);
	/* What was cloned from a damaged one does not stay. */
	return r == 0 ? replace(to, name, room, bytes) : r;
}

/*
 * Is every block of @s there, as long as it should be? Between its writing and
 * now gc may have run, and one that was cloned nobody has read.
 */
static int check_blocks(struct snapshot_store *st, const struct snapshot *s)
{
	const char *lineage = header_core(snapshot_header(
		(struct snapshot *)s))->lineage;
	uint64_t chunks = snapshot_chunks(s), i;
	struct object_info info;
	char name[OBJECT_NAME_CHARS];

	for (i = snapshot_next_stored(s, 0); i < chunks;
	     i = snapshot_next_stored(s, i + 1)) {
		block_name(lineage, snapshot_digest(s, i), name);
		if (object_look(st->objects, name, &info) == 0 &&
		    info.bytes == snapshot_chunk_bytes(s, i))
			continue;
		log_error("'%s': chunk %llu of %s is not there whole any more: %s; nothing is published: try again",
			  st->url, (unsigned long long)i, snapshot_id(s),
			  name);
		return -EIO;
	}
	return 0;
}

/* Has it been written by who did not hear that it was? */
static bool is_written(const struct snapshot_store *st, const char *name,
		       const char *text)
{
	uint8_t *found = NULL;
	size_t n = 0;
	bool same = get(st, name, SNAPSHOT_MAX_WRAPPER_BYTES, &found, &n) == 0 &&
		    n == strlen(text) && memcmp(found, text, n) == 0;

	free(found);
	return same;
}

static int put_wrapper(const struct snapshot_store *st,
		       const struct snapshot *s, const char *text)
{
	char name[OBJECT_NAME_CHARS];
	int r;

	snprintf(name, sizeof(name), "snapshots/%s", snapshot_id(s));
	r = put(st, name, text, strlen(text));
	if (r == -EEXIST && is_written(st, name, text))
		return 0;
	if (r == -EEXIST)
		log_error("'%s': there is a snapshot %s already", st->url,
			  snapshot_id(s));
	return r;
}

int snapshot_store_publish_body(struct snapshot_store *st,
				const struct snapshot *s, const uint8_t *body,
				size_t bytes)
{
	struct snapshot_wrapper w = { 0 };
	struct snapshot *again = NULL;
	char name[OBJECT_NAME_CHARS];
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
	if (r == 0 || r == -EEXIST)
		r = put_wrapper(st, s, text);
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
	char name[OBJECT_NAME_CHARS];
	char *text = NULL;
	int r = snapshot_wrapper_encode(s, &text);

	snprintf(name, sizeof(name), "snapshots/%s", snapshot_id(s));
	if (r == 0 && !is_there(st, name))
		r = -ENOENT;
	if (r == 0)
		r = replace(st, name, text, strlen(text));
	free(text);
	return r;
}

bool snapshot_store_has(struct snapshot_store *st, const char *id)
{
	char name[OBJECT_NAME_CHARS];

	snprintf(name, sizeof(name), "snapshots/%.22s", id);
	return snapshot_id_valid(id) && is_there(st, name);
}

int snapshot_store_wrapper(struct snapshot_store *st, const char *id,
			   struct snapshot_wrapper *ret)
{
	uint8_t *text = NULL;
	char name[OBJECT_NAME_CHARS];
	size_t n = 0;
	int r = snapshot_id_valid(id) ? 0 : -ENOENT;

	snprintf(name, sizeof(name), "snapshots/%.22s", id);
	if (r == 0)
		r = get(st, name, SNAPSHOT_MAX_WRAPPER_BYTES, &text, &n);
	if (r == -ENOENT)
		log_error("'%s': no snapshot '%s'", st->url, id);
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
	char name[OBJECT_NAME_CHARS];
	size_t n = 0;
	int r = snapshot_store_wrapper(st, id, &w);

	if (r < 0)
		return r;
	snprintf(name, sizeof(name), "bodies/%s/%s", w.lineage, w.body);
	r = get(st, name, MAX_BODY_BYTES, &body, &n);
	if (r == -ENOENT) {
		log_error("'%s': the body of %s is missing: %s; take another copy of the store",
			  st->url, id, name);
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

/* Of the names below a prefix, those that are ids. */
struct ids {
	size_t prefix;
	json_t *list;
};

static int add_id(void *user, const struct object_info *info)
{
	const struct ids *ids = user;
	const char *id = info->name + ids->prefix;

	if (info->part || !snapshot_id_valid(id))
		return 0;
	return json_array_append_new(ids->list, json_string(id)) < 0 ?
	       -ENOMEM : 0;
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Takes @list, and gives it back in order. */
static int sort_texts(json_t *list, json_t **ret)
{
	size_t n = json_array_size(list), i;
	const char **texts = calloc(n + 1, sizeof(*texts));
	json_t *sorted = json_array();
	int r = texts && sorted ? 0 : -ENOMEM;

	for (i = 0; i < n && r == 0; i++)
		texts[i] = json_string_value(json_array_get(list, i));
	if (r == 0)
		qsort(texts, n, sizeof(*texts), compare_texts);
	for (i = 0; i < n && r == 0; i++)
		r = json_array_append_new(sorted, json_string(texts[i])) < 0 ?
		    -ENOMEM : 0;
	free(texts);
	json_decref(list);
	if (r < 0)
		json_decref(sorted);
	else
		*ret = sorted;
	return r;
}

static int list_ids(struct snapshot_store *st, const char *prefix,
		    json_t **ret)
{
	struct ids ids = { strlen(prefix), json_array() };
	int r = ids.list ? object_each(st->objects, prefix, add_id, &ids) :
			   -ENOMEM;

	if (r == 0)
		return sort_texts(ids.list, ret);
	json_decref(ids.list);
	return r;
}

int snapshot_store_list(struct snapshot_store *st, json_t **ret)
{
	return list_ids(st, "snapshots/", ret);
}

int snapshot_store_pending_list(struct snapshot_store *st, json_t **ret)
{
	return list_ids(st, "pending/", ret);
}

int snapshot_store_pending_put(struct snapshot_store *st, const char *id,
			       const char *text)
{
	char name[OBJECT_NAME_CHARS];

	snprintf(name, sizeof(name), "pending/%.22s", id);
	return replace(st, name, text, strlen(text));
}

int snapshot_store_pending_get(struct snapshot_store *st, const char *id,
			       char **ret)
{
	uint8_t *text = NULL;
	char name[OBJECT_NAME_CHARS];
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

int snapshot_store_pending_remove(struct snapshot_store *st, const char *id)
{
	char name[OBJECT_NAME_CHARS];
	int r;

	snprintf(name, sizeof(name), "pending/%.22s", id);
	r = object_remove(st->objects, name);
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
	struct snapshot_wrapper w = { 0 };
	char name[OBJECT_NAME_CHARS];
	bool has_body;
	int r = snapshot_store_wrapper(st, id, &w);

	if (r == -ENOENT)
		return r;
	has_body = r == 0 && !body_is_shared(st, &w);
	snprintf(name, sizeof(name), "snapshots/%.22s", id);
	r = object_remove(st->objects, name);
	if (r == 0 && has_body) {
		snprintf(name, sizeof(name), "bodies/%s/%s", w.lineage,
			 w.body);
		r = object_remove(st->objects, name);
		r = r == -ENOENT ? 0 : r;
	}
	snapshot_wrapper_free(&w);
	return r;
}

struct sweep {
	size_t prefix;
	int (*each)(void *user, const struct snapshot_object *object);
	void *user;
};

/* Is it "LINEAGE/DIGEST", or "LINEAGE/DD/DIGEST", so that it is ours? */
static bool is_digest_name(const char *at, const char *last, bool part)
{
	size_t n = HEADER_LINEAGE_CHARS - 1;

	if (strspn(at, "0123456789abcdef") != n || at[n] != '/')
		return false;
	at += n + 1;
	return at == last || (at + 3 == last && at[2] == '/' &&
			      (part || strncmp(at, last, 2) == 0));
}

/* An object by its digest, or the part of one. What is neither is not ours. */
static int tell(void *user, const struct object_info *info)
{
	const struct sweep *w = user;
	const char *at = info->name + w->prefix;
	const char *last = strrchr(info->name, '/') + 1;
	struct snapshot_object object = {
		.name = info->name,
		.part = info->part,
		.bytes = info->bytes,
		.age_seconds = info->age_seconds,
	};

	if (object.part)
		return w->each(w->user, &object);
	if (!is_digest_name(at, last, info->part))
		return 0;
	memcpy(object.lineage, at, HEADER_LINEAGE_CHARS - 1);
	if (snapshot_unhex(last, object.digest) < 0)
		return 0;
	return w->each(w->user, &object);
}

int snapshot_store_each(struct snapshot_store *st, const char *kind,
			int (*each)(void *user,
				    const struct snapshot_object *object),
			void *user)
{
	struct sweep w = { .each = each, .user = user };
	char prefix[16];

	w.prefix = snprintf(prefix, sizeof(prefix), "%s/", kind);
	return object_each(st->objects, prefix, tell, &w);
}

int snapshot_store_drop(struct snapshot_store *st,
			const struct snapshot_object *object)
{
	int r = object_remove(st->objects, object->name);

	return r == -ENOENT ? 0 : r;
}
