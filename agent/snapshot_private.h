/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the snapshot share among themselves; nobody else's. */
#ifndef ENVELOPE_SNAPSHOT_PRIVATE_H
#define ENVELOPE_SNAPSHOT_PRIVATE_H

#include "snapshot.h"

/* Chunks of one kind behind one another. */
struct snapshot_run {
	bool stored;
	uint64_t first;		/* chunk */
	uint64_t chunks;
	uint64_t first_digest;	/* index in digests, if stored */
};

struct snapshot {
	char id[HEADER_SNAPSHOT_ID_CHARS];
	char created[HEADER_TIME_CHARS];
	enum snapshot_binding binding;
	char region[ARN_WORD_BYTES];
	/* What the body says, or will. */
	char original[HEADER_SNAPSHOT_ID_CHARS];
	char begun[HEADER_TIME_CHARS];
	char parent[HEADER_SNAPSHOT_ID_CHARS];
	struct snapshot_source source;
	char body[SNAPSHOT_DIGEST_CHARS];
	struct header *header;
	uint64_t chunks;	/* told so far */
	uint64_t stored;
	struct snapshot_run *runs;
	size_t run_count;
	size_t run_room;
	uint8_t *digests;
	uint64_t digest_room;
};

/* How many chunks data of @bytes have. */
uint64_t snapshot_chunks_of(uint64_t bytes);

/* A run behind the others, merged with the last if it is of its kind. */
int snapshot_add_run(struct snapshot *s, bool stored, uint64_t chunks);

/* Room for @more digests; *@ret is where the first of them goes. */
int snapshot_digest_room(struct snapshot *s, uint64_t more, uint8_t **ret);

/* SHA-256 of a body, in hexadecimal. -EIO with a message. */
int snapshot_body_digest(const uint8_t *body, size_t bytes,
			 char ret[SNAPSHOT_DIGEST_CHARS]);

/* 64 lower case hexadecimal digits? */
bool snapshot_digest_valid(const char *text);

/* Do all names in "critical" of @o stand in @known (NULL at its end)? */
int snapshot_check_critical(const char *name, const json_t *o,
			    const char *const *known);

#endif
