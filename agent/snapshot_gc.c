// SPDX-License-Identifier: GPL-2.0-or-later
/* Which objects are needed, and the removal of all others. */
#include "snapshot_gc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "json.h"
#include "log.h"

/* What is needed of one lineage. */
struct lineage {
	char name[HEADER_LINEAGE_CHARS];
	bool untouched;		/* written to, or a snapshot is unreadable */
	uint8_t *digests;	/* of blocks; sorted before use */
	size_t count, room;
	uint8_t *bodies;
	size_t body_count, body_room;
};

struct gc {
	struct snapshot_store *st;
	const struct snapshot_gc_options *o;
	struct snapshot_gc_result *ret;
	struct lineage *lineages;
	size_t count;
	bool blind;		/* of some snapshot not even the lineage is
				 * known: nothing is removed */
};

static struct lineage *lineage_of(struct gc *g, const char *name)
{
	struct lineage *more;
	size_t i;

	for (i = 0; i < g->count; i++)
		if (strcmp(g->lineages[i].name, name) == 0)
			return g->lineages + i;
	more = reallocarray(g->lineages, g->count + 1, sizeof(*more));
	if (!more)
		return NULL;
	g->lineages = more;
	more += g->count++;
	*more = (struct lineage){ 0 };
	strncpy(more->name, name, sizeof(more->name) - 1);
	return more;
}

static int add_digest(uint8_t **list, size_t *count, size_t *room,
		      const uint8_t *digest)
{
	if (*count == *room) {
		size_t wanted = *room ? 2 * *room : 1024;
		void *more = reallocarray(*list, wanted,
					  SNAPSHOT_DIGEST_BYTES);

		if (!more)
			return -ENOMEM;
		*list = more;
		*room = wanted;
	}
	memcpy(*list + (*count)++ * SNAPSHOT_DIGEST_BYTES, digest,
	       SNAPSHOT_DIGEST_BYTES);
	return 0;
}

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, SNAPSHOT_DIGEST_BYTES);
}

static bool has(const uint8_t *list, size_t count, const uint8_t *digest)
{
	return count && bsearch(digest, list, count, SNAPSHOT_DIGEST_BYTES,
				compare);
}

static int add_snapshot(struct lineage *l, const struct snapshot *s)
{
	uint64_t chunks = snapshot_chunks(s), i;
	int r = 0;

	for (i = snapshot_next_stored(s, 0); i < chunks && r == 0;
	     i = snapshot_next_stored(s, i + 1))
		r = add_digest(&l->digests, &l->count, &l->room,
			       snapshot_digest(s, i));
	return r;
}

/* All that snapshot @id needs. */
static int mark_snapshot(struct gc *g, const char *id)
{
	uint8_t digest[SNAPSHOT_DIGEST_BYTES];
	struct snapshot_wrapper w = { 0 };
	struct snapshot *s = NULL;
	struct lineage *l;
	uint8_t *body = NULL;
	size_t n = 0;
	int r = snapshot_store_wrapper(g->st, id, &w);

	if (r == -ENOENT)
		return 0;
	if (r == -EBADMSG || r == -EOPNOTSUPP) {
		g->blind = true;
		return 0;
	}
	if (r < 0)
		return r;
	l = lineage_of(g, w.lineage);
	r = l ? snapshot_store_load(g->st, id, &s, &body, &n) : -ENOMEM;
	free(body);
	if (r == 0)
		r = add_snapshot(l, s);
	if (r == 0)
		r = snapshot_unhex(w.body, digest);
	if (r == 0)
		r = add_digest(&l->bodies, &l->body_count, &l->body_room,
			       digest);
	if (r == -EBADMSG || r == -EOPNOTSUPP) {
		log_warn("'%s': %s cannot be read: nothing of its lineage is removed",
			 snapshot_store_url(g->st), id);
		l->untouched = true;
		r = 0;
	}
	snapshot_free(s);
	snapshot_wrapper_free(&w);
	return r;
}

/* Is the record at @text still to be believed? */
static bool fresh(const json_t *o)
{
	struct tm tm = { 0 };
	const char *end = strptime(json_text(o, "created"),
				   "%Y-%m-%dT%H:%M:%SZ", &tm);

	return !end || time(NULL) - timegm(&tm) < SNAPSHOT_PENDING_SECONDS;
}

static int mark_pending(struct gc *g, const char *id)
{
	char why[JSON_WHY_BYTES];
	struct lineage *l = NULL;
	char *text = NULL;
	json_t *o = NULL;
	int r = snapshot_store_pending_get(g->st, id, &text);

	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = json_parse_strict(text, strlen(text), HEADER_MAX_DEPTH + 1,
				      &o, why);
	free(text);
	if (r == 0 && fresh(o)) {
		l = lineage_of(g, json_text(o, "lineage"));
		if (l)
			l->untouched = true;
		else
			r = -ENOMEM;
	} else if (r == 0) {
		g->ret->pending++;
		if (!g->o->dry_run)
			r = snapshot_store_pending_remove(g->st, id);
	}
	json_decref(o);
	if (r != -EBADMSG)
		return r;
	log_warn("'%s': the record of the snapshot %s that was begun is damaged; remove pending/%s when nobody writes it any more",
		 snapshot_store_url(g->st), id, id);
	g->blind = true;
	return 0;
}

static int mark_all(struct gc *g,
		    int (*list)(struct snapshot_store *st, json_t **ret),
		    int (*mark)(struct gc *g, const char *id))
{
	json_t *ids = NULL;
	const json_t *id;
	size_t i;
	int r = list(g->st, &ids);

	json_array_foreach(ids, i, id) {
		if (r < 0)
			break;
		r = mark(g, json_string_value(id));
	}
	json_decref(ids);
	return r;
}

static bool young(const struct gc *g, const struct snapshot_object *object)
{
	return object->age_seconds * 1000 < g->o->min_age_ms;
}

static int remove_object(struct gc *g, const struct snapshot_object *object)
{
	return g->o->dry_run ? 0 : snapshot_store_drop(g->st, object);
}

/* What a killed writer left under no name; of wrappers and records, too. */
static int sweep_part(void *user, const struct snapshot_object *object)
{
	struct gc *g = user;

	if (!object->part || young(g, object))
		return 0;
	g->ret->parts++;
	return remove_object(g, object);
}

/* What is no block of ours is left alone. */
static int sweep_block(void *user, const struct snapshot_object *object)
{
	struct gc *g = user;
	const struct lineage *l;

	if (object->part)
		return sweep_part(g, object);
	l = lineage_of(g, object->lineage);
	if (!l)
		return -ENOMEM;
	if (has(l->digests, l->count, object->digest)) {
		g->ret->kept++;
		return 0;
	}
	if (l->untouched || young(g, object)) {
		g->ret->young++;
		return 0;
	}
	g->ret->blocks++;
	g->ret->bytes += object->bytes;
	return remove_object(g, object);
}

static int sweep_body(void *user, const struct snapshot_object *object)
{
	struct gc *g = user;
	const struct lineage *l;

	if (object->part)
		return sweep_part(g, object);
	l = lineage_of(g, object->lineage);
	if (!l)
		return -ENOMEM;
	if (young(g, object) || l->untouched ||
	    has(l->bodies, l->body_count, object->digest))
		return 0;
	g->ret->bodies++;
	return remove_object(g, object);
}

static void sort(struct gc *g)
{
	size_t i;

	for (i = 0; i < g->count; i++) {
		struct lineage *l = g->lineages + i;

		if (l->count)
			qsort(l->digests, l->count, SNAPSHOT_DIGEST_BYTES,
			      compare);
		if (l->body_count)
			qsort(l->bodies, l->body_count, SNAPSHOT_DIGEST_BYTES,
			      compare);
	}
}

static void free_lineages(struct gc *g)
{
	size_t i;

	for (i = 0; i < g->count; i++) {
		free(g->lineages[i].digests);
		free(g->lineages[i].bodies);
	}
	free(g->lineages);
}

int snapshot_gc(struct snapshot_store *st, const struct snapshot_gc_options *o,
		struct snapshot_gc_result *ret)
{
	struct gc g = { .st = st, .o = o, .ret = ret };
	int r;

	*ret = (struct snapshot_gc_result){ 0 };
	/* Records first: who removes one has published before. */
	r = mark_all(&g, snapshot_store_pending_list, mark_pending);
	if (r == 0)
		r = mark_all(&g, snapshot_store_list, mark_snapshot);
	sort(&g);
	if (r == 0 && g.blind) {
		log_error("'%s': something in it cannot be read, so nobody knows what it needs: nothing is removed",
			  snapshot_store_url(st));
		r = -EBADMSG;
	}
	if (r == 0)
		r = snapshot_store_each(st, "blocks", sweep_block, &g);
	if (r == 0)
		r = snapshot_store_each(st, "bodies", sweep_body, &g);
	if (r == 0)
		r = snapshot_store_each(st, "snapshots", sweep_part, &g);
	if (r == 0)
		r = snapshot_store_each(st, "pending", sweep_part, &g);
	free_lineages(&g);
	return r;
}
