// SPDX-License-Identifier: GPL-2.0-or-later
/* A snapshot's wrapper: what names its body, and its slots. */
#include "snapshot_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "log.h"

#define FORMAT "envelope snapshot"

static const char *const known_names[] = {
	"format", "version", "snapshot_id", "binding", "region", "lineage", "created", "size",
	"volume_id", "body", "slots", NULL,
};

static int refuse(const char *id, const char *what)
{
	log_error("'%s': damaged or forged: %s; take another copy of the store",
		  id, what);
	return -EBADMSG;
}

static const char *const binding_names[] = {
	[SNAPSHOT_OF_VOLUME] = "volume",
	[SNAPSHOT_COPY] = "snapshot",
};

int snapshot_wrapper_encode(const struct snapshot *s, char **ret)
{
	const struct header_core *core = header_core(s->header);
	const json_t *slots = json_object_get(header_slots_json(s->header),
					      "slots");
	char *text;
	json_t *w;

	if (header_slot_count(s->header) == 0 || !s->body[0])
		return -EINVAL;
	w = json_pack("{ss si ss ss ss ss ss sI ss ss s[] sO}", "format",
		      FORMAT, "version", SNAPSHOT_VERSION, "snapshot_id",
		      s->id, "binding", binding_names[s->binding], "region",
		      s->region, "lineage", core->lineage, "created", s->created, "size",
		      (json_int_t)core->size_bytes, "volume_id",
		      core->volume_id, "body", s->body, "critical", "slots",
		      slots);
	text = w ? json_dumps(w, JSON_COMPACT) : NULL;
	json_decref(w);
	if (!text)
		return -ENOMEM;
	if (strlen(text) > SNAPSHOT_MAX_WRAPPER_BYTES) {
		free(text);
		return -EINVAL;
	}
	*ret = text;
	return 0;
}

/* A member that is a text short enough for @ret. */
static int take(const char *id, const json_t *o, const char *member, char *ret,
		size_t room)
{
	const char *text;

	if (json_get_string(o, member, &text) < 0 || strlen(text) >= room)
		return refuse(id, "its wrapper breaks a rule");
	strcpy(ret, text);
	return 0;
}

static int check_format(const char *id, const json_t *o)
{
	uint64_t version;

	if (strcmp(json_text(o, "format"), FORMAT) != 0 ||
	    json_get_u64(o, "version", 1, UINT32_MAX, &version) < 0)
		return refuse(id, "it is not the wrapper of a snapshot");
	if (version == SNAPSHOT_VERSION)
		return snapshot_check_critical(id, o, known_names);
	log_error("'%s': format version %llu; this program knows %d: use a newer one",
		  id, (unsigned long long)version, SNAPSHOT_VERSION);
	return -EOPNOTSUPP;
}

/* As in an ARN. */
static bool region_valid(const char *text)
{
	return strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") ==
	       strlen(text);
}

static int take_binding(const char *id, const json_t *o,
			struct snapshot_wrapper *w)
{
	const char *text = json_text(o, "binding");

	if (strcmp(text, binding_names[SNAPSHOT_OF_VOLUME]) == 0)
		w->binding = SNAPSHOT_OF_VOLUME;
	else if (strcmp(text, binding_names[SNAPSHOT_COPY]) == 0)
		w->binding = SNAPSHOT_COPY;
	else
		return refuse(id, "its wrapper breaks a rule");
	return 0;
}

static int take_members(const char *id, const json_t *o,
			struct snapshot_wrapper *w)
{
	int r;

	r = take(id, o, "snapshot_id", w->snapshot_id, sizeof(w->snapshot_id));
	if (r == 0)
		r = take(id, o, "lineage", w->lineage, sizeof(w->lineage));
	if (r == 0)
		r = take(id, o, "created", w->created, sizeof(w->created));
	if (r == 0)
		r = take(id, o, "volume_id", w->volume_id,
			 sizeof(w->volume_id));
	if (r == 0)
		r = take(id, o, "body", w->body, sizeof(w->body));
	if (r == 0)
		r = take(id, o, "region", w->region, sizeof(w->region));
	if (r == 0)
		r = take_binding(id, o, w);
	if (r < 0)
		return r;
	if (strcmp(w->snapshot_id, id) != 0)
		return refuse(id, "it is the wrapper of another snapshot");
	/* These become names of files. */
	if (!snapshot_digest_valid(w->lineage) ||
	    !snapshot_digest_valid(w->body) ||
	    !header_volume_id_valid(w->volume_id) ||
	    !header_time_valid(w->created) || !region_valid(w->region) ||
	    json_get_u64(o, "size", 1, 1ull << 62, &w->size_bytes) < 0)
		return refuse(id, "its wrapper breaks a rule");
	return 0;
}

int snapshot_wrapper_parse(const char *id, const char *text, size_t bytes,
			   struct snapshot_wrapper *ret)
{
	struct snapshot_wrapper w = { 0 };
	char why[JSON_WHY_BYTES];
	json_t *o = NULL, *slots;
	int r;

	if (bytes > SNAPSHOT_MAX_WRAPPER_BYTES)
		return refuse(id, "its wrapper is too long");
	r = json_parse_strict(text, bytes, HEADER_MAX_DEPTH, &o, why);
	if (r == -EBADMSG)
		return refuse(id, why);
	if (r < 0)
		return r;
	r = json_is_object(o) ? check_format(id, o) :
	    refuse(id, "its wrapper is not an object");
	if (r == 0)
		r = take_members(id, o, &w);
	slots = r == 0 ? json_object_get(o, "slots") : NULL;
	if (r == 0 && !json_is_array(slots))
		r = refuse(id, "its wrapper has no slots");
	if (r == 0) {
		w.slots = json_pack("{sO}", "slots", slots);
		r = w.slots ? 0 : -ENOMEM;
	}
	if (r == 0)
		*ret = w;
	json_decref(o);
	return r;
}

void snapshot_wrapper_free(struct snapshot_wrapper *w)
{
	json_decref(w->slots);
	*w = (struct snapshot_wrapper){ 0 };
}

/* Is @s the snapshot that @w speaks of? */
static bool belongs(const struct snapshot_wrapper *w, const struct snapshot *s)
{
	const struct header_core *core = header_core(s->header);

	if (w->binding == SNAPSHOT_OF_VOLUME &&
	    (strcmp(s->original, w->snapshot_id) != 0 ||
	     strcmp(s->begun, w->created) != 0))
		return false;
	return strcmp(core->lineage, w->lineage) == 0 &&
	       strcmp(core->volume_id, w->volume_id) == 0 &&
	       core->size_bytes == w->size_bytes;
}

int snapshot_open(const struct snapshot_wrapper *w, const uint8_t *body,
		  size_t bytes, struct snapshot **ret)
{
	char digest[SNAPSHOT_DIGEST_CHARS];
	struct snapshot *s = NULL;
	int r;

	r = snapshot_body_digest(body, bytes, digest);
	if (r == 0 && strcmp(digest, w->body) != 0)
		r = refuse(w->snapshot_id, "its body has another SHA-256");
	if (r == 0)
		r = snapshot_body_parse(w->snapshot_id, body, bytes, w->slots,
					&s);
	if (r < 0)
		return r;
	if (!belongs(w, s)) {
		snapshot_free(s);
		return refuse(w->snapshot_id, "its body is another snapshot's");
	}
	strcpy(s->id, w->snapshot_id);
	strcpy(s->created, w->created);
	strcpy(s->region, w->region);
	s->binding = w->binding;
	*ret = s;
	return 0;
}
