/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Snapshots: what is stored of a volume, byte by byte, and the functions that
 * encode, parse and authenticate it. This file is the format document;
 * tests/vectors/snapshot/reader.py was written from it alone.
 *
 * A snapshot is the volume's stored bytes, which are ciphertext, in CHUNKS of
 * 524288 bytes counted from the first byte of the data; chunk i has the bytes
 * from i * 524288. The last one ends where the data end, so it may be shorter.
 * Data of N bytes have ceil(N / 524288) chunks. A chunk whose stored bytes are
 * all zero is a HOLE: nothing is stored of it, and it is restored as zeros.
 * Nothing else is a hole, so that a volume without the flag "holes" comes back
 * byte for byte, too.
 *
 * A snapshot has three kinds of object in a STORE, each under its name:
 *
 *	envelope-store			the text "envelope snapshot store 1\n":
 *					nothing is written to a place without it
 *	blocks/LINEAGE/DD/DIGEST	the bytes of a chunk. DIGEST is their
 *					SHA-256, DD its first two digits
 *	bodies/LINEAGE/DIGEST		a body. DIGEST is the SHA-256 of it all
 *	snapshots/ID			a wrapper; ID is its snapshot's id. Its
 *					presence is what makes a snapshot exist
 *	pending/ID			what a writer says of a snapshot that
 *					it has begun; see snapshot_store.h
 *
 * LINEAGE is core.lineage of header.h; this and digests are 64 lower case
 * hexadecimal digits, ids "snap-" and 17 of them. Equal chunks of one lineage
 * are stored once; chunks of different lineages never are.
 *
 * A BODY, VERSION 1. Numbers are unsigned and little-endian.
 *
 *	offset	bytes	field
 *	0	8	magic, the ASCII letters "ENVSNAPB"
 *	8	4	version, 1
 *	12	4	size of this fixed part in bytes, 128
 *	16	4	size of a chunk in bytes, 524288
 *	20	4	size of the meta text in bytes, 2 to 131072
 *	24	8	size of the table in bytes
 *	32	8	number of chunks, holes among them
 *	40	8	number of chunks that are stored
 *	48	16	volume UUID, as in the header
 *	64	64	reserved, zero
 *	128	...	meta text: one JSON object
 *	...	...	table
 *	...	32	HMAC-SHA-256 of all the bytes before
 *
 * The two counts say what the table must come to.
 *
 * The TABLE is a sequence of runs that account for every chunk in its order:
 *
 *	0	4	0: a run of holes; 1: a run of stored chunks
 *	4	4	reserved, zero
 *	8	8	number of chunks, at least 1
 *	16	...	if stored: SHA-256 of each, 32 bytes a chunk
 *
 * A run is never followed by one of its own kind, so that there is one table
 * for one content.
 *
 * META, under the HMAC. Texts follow the rules of those in a header.
 *
 *	snapshot_id	"snap-" and 17 lower case hexadecimal digits: the
 *			snapshot that this body was made for
 *	created		time at which that was begun
 *	critical	array of names that a reader must understand: members
 *			of meta. One it does not know makes it refuse
 *	core		core of the header, as header.h says it; of a copy
 *			under another data key that of its source, but for
 *			lineage
 *	parent		optional, a snapshot id: chunks that are the same there
 *			were not written again
 *	source		optional, of a copy under another data key:
 *			{"snapshot_id": its source, "lineage": that of it,
 *			"body": SHA-256 of its body}
 *
 * A member that a reader does not know is ignored.
 *
 * HMAC. Texts are ASCII and end without NUL; the first key is one that can be
 * kept while the volume is attached, for it gives no access to data:
 *
 *	seal key = HKDF-SHA-256(secret = DEK, salt = "",
 *				info = "envelope seal v1", 32 bytes)
 *	key	 = HKDF-SHA-256(secret = seal key, salt = "",
 *			info = "envelope snapshot v1" || snapshot_id, 32 bytes)
 *
 * A body is never altered. The WRAPPER is outside the HMAC, because slots
 * are replaced by somebody without the DEK. One JSON object of up to 131072
 * bytes:
 *
 *	format		"envelope snapshot"
 *	version		1
 *	snapshot_id	its name
 *	binding		"volume": a snapshot of a volume, whose snapshot_id and
 *			created are meta's; or "snapshot": a copy
 *	region		where its keys are, as in their ARNs; "" if in none
 *	lineage		core's
 *	created		when this snapshot was begun
 *	size		core's
 *	volume_id	core's
 *	body		DIGEST of the body
 *	critical	array of names; one a reader does not know makes it
 *			refuse
 *	slots		array, as in the header
 *
 * so a listing need not read bodies; what it shows is unverified. A copy within
 * one lineage has the body of its source, whose snapshot_id stays.
 *
 * The encryption context of a slot is, with the binding "volume", the volume's:
 * from core and the slot's own pairs. With "snapshot" it is
 * {"envelope:snapshot-id": the wrapper's snapshot_id, "envelope:snapshot-body":
 * DIGEST of the body} and the slot's own pairs, so that the KMS refuses the key
 * to a wrapper that names another body, or another id.
 *
 * A READER
 *
 *  1. refuses a wrapper whose snapshot_id is not the one asked for;
 *  2. refuses a body whose SHA-256 is not the wrapper's, that breaks a rule of
 *     this page, or whose lineage, size or volume_id or, with the binding
 *     "volume", snapshot_id or created is not the wrapper's;
 *  3. unwraps the DEK by a slot of the wrapper; refuses unless its lineage is
 *     core's and the HMAC holds, all before anything is written;
 *  4. refuses a chunk whose length is not that of its place or whose SHA-256 is
 *     not the table's.
 *
 * A WRITER stores blocks, then the body, then the wrapper, each durable before
 * the next is begun.
 */
#ifndef ENVELOPE_SNAPSHOT_H
#define ENVELOPE_SNAPSHOT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arn.h"
#include "header.h"
#include "secret.h"

#define SNAPSHOT_CHUNK_BYTES 524288u
#define SNAPSHOT_DIGEST_BYTES 32
#define SNAPSHOT_DIGEST_CHARS 65
#define SNAPSHOT_VERSION 1
#define SNAPSHOT_MAX_META_BYTES 131072u
#define SNAPSHOT_MAX_WRAPPER_BYTES 131072u

struct snapshot;

/* What the context of the slots names. */
enum snapshot_binding {
	SNAPSHOT_OF_VOLUME,
	SNAPSHOT_COPY,
};

/* The source of a copy under another data key; empty texts: there is none. */
struct snapshot_source {
	char snapshot_id[HEADER_SNAPSHOT_ID_CHARS];
	char lineage[HEADER_LINEAGE_CHARS];
	char body[SNAPSHOT_DIGEST_CHARS];
};

/*
 * snapshot.c
 *
 * Errors that all share: -ENOMEM. @name is what messages call the object.
 */

/* "snap-" and 17 digits? */
bool snapshot_id_valid(const char *text);

/*
 * An empty snapshot of the volume that @h is the header of, with an id of its
 * own; the next chunk to be told is chunk 0. Core and slots are copied.
 * -EIO: no random numbers, with a message.
 */
int snapshot_new(const struct header *h, struct snapshot **ret);

/* An id that nobody has. -EIO: no random numbers, with a message. */
int snapshot_new_id(char ret[HEADER_SNAPSHOT_ID_CHARS]);

/*
 * The same for a copy of @source under another data key, which is to be called
 * @id: @h has the core of the source but for its lineage, and slots that
 * snapshot_copy_context() was the context of.
 */
int snapshot_new_copy(const char *id, const struct header *h,
		      const struct snapshot_source *source,
		      struct snapshot **ret);

/*
 * The encryption context of a slot, with the pairs @extra (NULL: none), of the
 * copy @id with @body, or with NULL before it has one. The caller frees *@ret.
 * -ENOMEM.
 */
int snapshot_copy_context(const char *id, const char *body,
			  const json_t *extra, json_t **ret);

/*
 * Make @s, with a body, a copy of itself within its lineage, called @id, of this
 * time, with the same body. Its slots are still those of the source.
 */
void snapshot_become_copy(struct snapshot *s, const char *id);

/* NULL is accepted. */
void snapshot_free(struct snapshot *s);

/*
 * The next chunk: stored under @digest, or with NULL a hole. -EINVAL: the
 * volume has no more chunks.
 */
int snapshot_add_chunk(struct snapshot *s, const uint8_t *digest);

const char *snapshot_id(const struct snapshot *s);
const char *snapshot_created(const struct snapshot *s);
enum snapshot_binding snapshot_binding(const struct snapshot *s);

/* Of the key of the first slot; "" in none. */
const char *snapshot_region(const struct snapshot *s);

/* The id that the body names. */
const char *snapshot_original(const struct snapshot *s);

/* SHA-256 of the body, in hexadecimal; "" before it is encoded. */
const char *snapshot_body(const struct snapshot *s);

/* Slots of its header were replaced: the region follows them. */
void snapshot_slots_changed(struct snapshot *s);

/* "" without one. Set before the body is encoded. */
const char *snapshot_parent(const struct snapshot *s);
void snapshot_set_parent(struct snapshot *s, const char *id);

/* NULL: it is no copy under another data key. */
const struct snapshot_source *snapshot_source(const struct snapshot *s);

/*
 * The encryption context of slot @index, as said above; the caller frees
 * *@ret. Of a copy whose body is not encoded yet it names the id alone.
 */
int snapshot_context(const struct snapshot *s, size_t index, json_t **ret);

/* Core and slots, as of a header whose copies are absent. Borrowed. */
struct header *snapshot_header(const struct snapshot *s);

uint64_t snapshot_chunks(const struct snapshot *s);
uint64_t snapshot_stored_chunks(const struct snapshot *s);

/* Bytes of chunk @index: all of them but for the last one. */
uint32_t snapshot_chunk_bytes(const struct snapshot *s, uint64_t index);

/* The digest of chunk @index, borrowed; NULL: a hole. */
const uint8_t *snapshot_digest(const struct snapshot *s, uint64_t index);

/* The first chunk from @index on that is no hole; snapshot_chunks(): none. */
uint64_t snapshot_next_stored(const struct snapshot *s, uint64_t index);

/* SHA-256 of @bytes at @p. -EIO with a message. */
int snapshot_sha256(const uint8_t *p, size_t bytes,
		    uint8_t ret[SNAPSHOT_DIGEST_BYTES]);

/* @digest in hexadecimal. */
void snapshot_hex(const uint8_t digest[SNAPSHOT_DIGEST_BYTES],
		  char ret[SNAPSHOT_DIGEST_CHARS]);

/* The way back, of 64 digits. -EBADMSG, silent. */
int snapshot_unhex(const char *hex, uint8_t ret[SNAPSHOT_DIGEST_BYTES]);

/*
 * snapshot_body.c
 */

/*
 * What bodies are authenticated by, made of @dek; the caller frees *@ret. -EIO,
 * -ENOMEM with a message.
 */
int snapshot_seal(const struct secret *dek, struct secret **ret);

/*
 * The body of @s, which has all its chunks, under the HMAC of @seal, which is
 * of its lineage. The caller frees *@ret. -EINVAL: chunks are missing. -EIO:
 * OpenSSL, with a message.
 */
int snapshot_body_encode(struct snapshot *s, const struct secret *seal,
			 uint8_t **ret, size_t *bytes_ret);

/*
 * A body with the slots of @slots, {"slots": [...]}, not verified. -EBADMSG: it
 * breaks a rule. -EOPNOTSUPP: made by a newer version. Messages are printed.
 */
int snapshot_body_parse(const char *name, const uint8_t *body, size_t bytes,
			const json_t *slots, struct snapshot **ret);

/*
 * The lineage of @dek and the HMAC of @body, which @s was parsed from.
 * -EBADMSG with a message: tampered with. -EIO.
 */
int snapshot_body_verify(const char *name, const struct snapshot *s,
			 const uint8_t *body, size_t bytes,
			 const struct secret *dek);

/* The HMAC alone, by the seal of its lineage. */
int snapshot_body_check(const char *name, const struct snapshot *s,
			const uint8_t *body, size_t bytes,
			const struct secret *seal);

/*
 * snapshot_wrapper.c
 */

/* What a wrapper says, which nobody has verified. */
struct snapshot_wrapper {
	char snapshot_id[HEADER_SNAPSHOT_ID_CHARS];
	enum snapshot_binding binding;
	char region[ARN_WORD_BYTES];
	char lineage[HEADER_LINEAGE_CHARS];
	char created[HEADER_TIME_CHARS];
	char volume_id[HEADER_VOLUME_ID_CHARS];
	char body[SNAPSHOT_DIGEST_CHARS];
	uint64_t size_bytes;
	json_t *slots;		/* {"slots": [...]} */
};

/*
 * The wrapper of @s, whose body is encoded. The caller frees *@ret, a text.
 * -EINVAL: no slot, or too big.
 */
int snapshot_wrapper_encode(const struct snapshot *s, char **ret);

/*
 * The wrapper at @text, which must be of snapshot @id. -EBADMSG, -EOPNOTSUPP
 * with a message. *@ret is ended with snapshot_wrapper_free().
 */
int snapshot_wrapper_parse(const char *id, const char *text, size_t bytes,
			   struct snapshot_wrapper *ret);
void snapshot_wrapper_free(struct snapshot_wrapper *w);

/*
 * Both together: steps 1 and 2 of a reader, with @w of snapshot_wrapper_parse().
 * Errors as snapshot_body_parse().
 */
int snapshot_open(const struct snapshot_wrapper *w, const uint8_t *body,
		  size_t bytes, struct snapshot **ret);

#endif
