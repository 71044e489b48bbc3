// SPDX-License-Identifier: GPL-2.0-or-later
/* A snapshot in memory: made, filled, asked. */
#include "snapshot_private.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "log.h"

bool snapshot_id_valid(const char *text)
{
	return strncmp(text, "snap-", 5) == 0 && strlen(text) == 22 &&
	       strspn(text + 5, "0123456789abcdef") == 17;
}

uint64_t snapshot_chunks_of(uint64_t bytes)
{
	return bytes / SNAPSHOT_CHUNK_BYTES +
	       (bytes % SNAPSHOT_CHUNK_BYTES ? 1 : 0);
}

int snapshot_new_id(char ret[HEADER_SNAPSHOT_ID_CHARS])
{
	uint8_t digits[9];
	char text[2 * sizeof(digits) + 1];
	size_t i;

	if (getrandom(digits, sizeof(digits), 0) != sizeof(digits)) {
		log_error("no random numbers: %s", strerror(errno));
		return -EIO;
	}
	for (i = 0; i < sizeof(digits); i++)
		snprintf(text + 2 * i, 3, "%02x", digits[i]);
	snprintf(ret, HEADER_SNAPSHOT_ID_CHARS, "snap-%.17s", text);
	return 0;
}

/* The region of the first key that is in one. */
static void set_region(struct snapshot *s)
{
	struct arn arn;
	size_t i;

	s->region[0] = '\0';
	for (i = 0; i < header_slot_count(s->header) && !s->region[0]; i++)
		if (arn_parse(header_slot_get(s->header, i).key_id, &arn) == 0)
			snprintf(s->region, sizeof(s->region), "%s",
				 arn.region);
}

/* @id NULL: a new one. */
static int make(const char *id, const struct header *h, struct snapshot **ret)
{
	struct snapshot *s = calloc(1, sizeof(*s));
	int r = 0;

	if (!s)
		return -ENOMEM;
	if (id)
		snprintf(s->id, sizeof(s->id), "%s", id);
	else
		r = snapshot_new_id(s->id);
	if (r == 0)
		r = header_from_parts(s->id, header_core_json(h),
				      header_slots_json(h),
				      header_core(h)->uuid, &s->header);
	if (r < 0) {
		snapshot_free(s);
		return r;
	}
	set_region(s);
	strcpy(s->original, s->id);
	header_time_now(s->begun);
	strcpy(s->created, s->begun);
	*ret = s;
	return 0;
}

int snapshot_new(const struct header *h, struct snapshot **ret)
{
	return make(NULL, h, ret);
}

int snapshot_new_copy(const char *id, const struct header *h,
		      const struct snapshot_source *source,
		      struct snapshot **ret)
{
	int r = make(id, h, ret);

	if (r == 0) {
		(*ret)->binding = SNAPSHOT_COPY;
		(*ret)->source = *source;
	}
	return r;
}

void snapshot_become_copy(struct snapshot *s, const char *id)
{
	snprintf(s->id, sizeof(s->id), "%s", id);
	s->binding = SNAPSHOT_COPY;
	header_time_now(s->created);
}

void snapshot_free(struct snapshot *s)
{
	if (!s)
		return;
	header_free(s->header);
	free(s->runs);
	free(s->digests);
	free(s);
}

int snapshot_add_run(struct snapshot *s, bool stored, uint64_t chunks)
{
	size_t n = s->run_count;

	if (n > 0 && s->runs[n - 1].stored == stored) {
		s->runs[n - 1].chunks += chunks;
	} else {
		if (s->run_count == s->run_room) {
			size_t room = s->run_room ? 2 * s->run_room : 16;
			void *runs = reallocarray(s->runs, room,
						  sizeof(*s->runs));

			if (!runs)
				return -ENOMEM;
			s->runs = runs;
			s->run_room = room;
		}
		s->runs[s->run_count++] = (struct snapshot_run){
			stored, s->chunks, chunks, s->stored,
		};
	}
	s->chunks += chunks;
	if (stored)
		s->stored += chunks;
	return 0;
}

int snapshot_digest_room(struct snapshot *s, uint64_t more, uint8_t **ret)
{
	uint64_t need = s->stored + more;

	if (need > s->digest_room) {
		uint64_t room = need > 2 * s->digest_room ? need :
				2 * s->digest_room;
		void *digests = reallocarray(s->digests, room,
					     SNAPSHOT_DIGEST_BYTES);

		if (!digests)
			return -ENOMEM;
		s->digests = digests;
		s->digest_room = room;
	}
	*ret = s->digests + s->stored * SNAPSHOT_DIGEST_BYTES;
	return 0;
}

int snapshot_add_chunk(struct snapshot *s, const uint8_t *digest)
{
	uint8_t *to;
	int r;

	if (s->chunks >= snapshot_chunks(s))
		return -EINVAL;
	if (digest) {
		r = snapshot_digest_room(s, 1, &to);
		if (r < 0)
			return r;
		memcpy(to, digest, SNAPSHOT_DIGEST_BYTES);
	}
	return snapshot_add_run(s, digest != NULL, 1);
}

const char *snapshot_id(const struct snapshot *s)
{
	return s->id;
}

const char *snapshot_created(const struct snapshot *s)
{
	return s->created;
}

enum snapshot_binding snapshot_binding(const struct snapshot *s)
{
	return s->binding;
}

const char *snapshot_region(const struct snapshot *s)
{
	return s->region;
}

const char *snapshot_original(const struct snapshot *s)
{
	return s->original;
}

const char *snapshot_body(const struct snapshot *s)
{
	return s->body;
}

const char *snapshot_parent(const struct snapshot *s)
{
	return s->parent;
}

void snapshot_slots_changed(struct snapshot *s)
{
	set_region(s);
}

void snapshot_set_parent(struct snapshot *s, const char *id)
{
	snprintf(s->parent, sizeof(s->parent), "%s", id);
}

const struct snapshot_source *snapshot_source(const struct snapshot *s)
{
	return s->source.snapshot_id[0] ? &s->source : NULL;
}

int snapshot_copy_context(const char *id, const char *body,
			  const json_t *extra, json_t **ret)
{
	json_t *context = json_pack("{ss ss*}", "envelope:snapshot-id", id,
				    "envelope:snapshot-body", body);

	if (!context ||
	    (extra && json_object_update_missing(context, (json_t *)extra) <
	     0)) {
		json_decref(context);
		return -ENOMEM;
	}
	*ret = context;
	return 0;
}

int snapshot_context(const struct snapshot *s, size_t index, json_t **ret)
{
	if (s->binding == SNAPSHOT_OF_VOLUME)
		return header_context(s->header, index, ret);
	return snapshot_copy_context(s->id, s->body[0] ? s->body : NULL,
				     header_slot_get(s->header, index).context,
				     ret);
}

struct header *snapshot_header(const struct snapshot *s)
{
	return s->header;
}

uint64_t snapshot_chunks(const struct snapshot *s)
{
	return snapshot_chunks_of(header_core(s->header)->size_bytes);
}

uint64_t snapshot_stored_chunks(const struct snapshot *s)
{
	return s->stored;
}

uint32_t snapshot_chunk_bytes(const struct snapshot *s, uint64_t index)
{
	uint64_t rest = header_core(s->header)->size_bytes -
			index * SNAPSHOT_CHUNK_BYTES;

	return rest < SNAPSHOT_CHUNK_BYTES ? rest : SNAPSHOT_CHUNK_BYTES;
}

/* The run that chunk @index is in, and those behind it; NULL: none. */
static const struct snapshot_run *find_run(const struct snapshot *s,
					   uint64_t index)
{
	size_t low = 0, high = s->run_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct snapshot_run *run = s->runs + middle;

		if (index < run->first)
			high = middle;
		else if (index - run->first >= run->chunks)
			low = middle + 1;
		else
			return run;
	}
	return NULL;
}

const uint8_t *snapshot_digest(const struct snapshot *s, uint64_t index)
{
	const struct snapshot_run *run = find_run(s, index);

	if (!run || !run->stored)
		return NULL;
	return s->digests + SNAPSHOT_DIGEST_BYTES *
	       (run->first_digest + index - run->first);
}

uint64_t snapshot_next_stored(const struct snapshot *s, uint64_t index)
{
	const struct snapshot_run *run = find_run(s, index);

	if (!run)
		return snapshot_chunks(s);
	/* Behind holes there is a stored run, or the end. */
	return run->stored ? index : run->first + run->chunks;
}

void snapshot_hex(const uint8_t digest[SNAPSHOT_DIGEST_BYTES],
		  char ret[SNAPSHOT_DIGEST_CHARS])
{
	size_t i;

	for (i = 0; i < SNAPSHOT_DIGEST_BYTES; i++)
		snprintf(ret + 2 * i, 3, "%02x", digest[i]);
}

int snapshot_sha256(const uint8_t *p, size_t bytes,
		    uint8_t ret[SNAPSHOT_DIGEST_BYTES])
{
	if (EVP_Digest(p, bytes, ret, NULL, EVP_sha256(), NULL))
		return 0;
	log_error("OpenSSL refused to compute a SHA-256");
	return -EIO;
}

int snapshot_unhex(const char *hex, uint8_t ret[SNAPSHOT_DIGEST_BYTES])
{
	unsigned int byte;
	size_t i;

	if (!snapshot_digest_valid(hex))
		return -EBADMSG;
	for (i = 0; i < SNAPSHOT_DIGEST_BYTES; i++) {
		sscanf(hex + 2 * i, "%2x", &byte);
		ret[i] = byte;
	}
	return 0;
}

bool snapshot_digest_valid(const char *text)
{
	return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

int snapshot_body_digest(const uint8_t *body, size_t bytes,
			 char ret[SNAPSHOT_DIGEST_CHARS])
{
	uint8_t digest[SNAPSHOT_DIGEST_BYTES];
	int r = snapshot_sha256(body, bytes, digest);

	if (r == 0)
		snapshot_hex(digest, ret);
	return r;
}

int snapshot_check_critical(const char *name, const json_t *o,
			    const char *const *known)
{
	const json_t *critical = json_object_get(o, "critical");
	const json_t *item;
	size_t i, j;

	if (!json_is_array(critical)) {
		log_error("'%s': damaged or forged: critical is not an array",
			  name);
		return -EBADMSG;
	}
	json_array_foreach(critical, i, item) {
		const char *text = json_string_value(item);

		for (j = 0; text && known[j]; j++)
			if (strcmp(known[j], text) == 0)
				break;
		if (!text || !known[j]) {
			log_error("'%s': made by a newer version: it has something that this one does not know and must; use that version",
				  name);
			return -EOPNOTSUPP;
		}
	}
	return 0;
}
