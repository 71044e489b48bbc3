// SPDX-License-Identifier: GPL-2.0-or-later
/* A snapshot in memory: made, filled, asked. */
#include "snapshot_private.h"

#include <errno.h>
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

static int new_id(char ret[HEADER_SNAPSHOT_ID_CHARS])
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

int snapshot_new(const struct header *h, struct snapshot **ret)
{
	struct snapshot *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	r = new_id(s->id);
	if (r == 0)
		r = header_from_parts(header_core(h)->volume_id,
				      header_core_json(h), header_slots_json(h),
				      header_core(h)->uuid, &s->header);
	if (r < 0) {
		snapshot_free(s);
		return r;
	}
	header_time_now(s->created);
	*ret = s;
	return 0;
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

const uint8_t *snapshot_digest(const struct snapshot *s, uint64_t index)
{
	size_t low = 0, high = s->run_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct snapshot_run *run = s->runs + middle;

		if (index < run->first)
			high = middle;
		else if (index - run->first >= run->chunks)
			low = middle + 1;
		else if (!run->stored)
			return NULL;
		else
			return s->digests + SNAPSHOT_DIGEST_BYTES *
			       (run->first_digest + index - run->first);
	}
	return NULL;
}

void snapshot_hex(const uint8_t digest[SNAPSHOT_DIGEST_BYTES],
		  char ret[SNAPSHOT_DIGEST_CHARS])
{
	size_t i;

	for (i = 0; i < SNAPSHOT_DIGEST_BYTES; i++)
		snprintf(ret + 2 * i, 3, "%02x", digest[i]);
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
