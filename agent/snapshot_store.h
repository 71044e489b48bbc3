/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A store of snapshots, laid out as snapshot.h says, in a folder or a bucket
 * (object_store.h). Objects appear whole, or not at all, and when a call returns
 * 0 they stay. Folders are 0700 and files 0600 of whoever writes them.
 *
 * Each function prints its own error, once. Errors that all share: those of
 * object_store.h.
 */
#ifndef ENVELOPE_SNAPSHOT_STORE_H
#define ENVELOPE_SNAPSHOT_STORE_H

#include "object_store.h"
#include "snapshot.h"

/* Where programs look if they are told nothing else. */
#define SNAPSHOT_DEFAULT_STORE "dir:/var/lib/envelope/snapshots"

struct snapshot_store;

/*
 * Open the store @url, as object_store_open(). With @create an empty or absent
 * one is made. -ENOENT: no store there. -EEXIST: @create, and there is something
 * else. -EOPNOTSUPP: of a newer version.
 */
int snapshot_store_open(const char *url, const struct object_access *access,
			bool create, struct snapshot_store **ret);

/* Its URL, for messages. Borrowed. */
const char *snapshot_store_url(const struct snapshot_store *st);

/* NULL is accepted. */
void snapshot_store_close(struct snapshot_store *st);

/*
 * Store the @bytes at @chunk unless @lineage has them already. Its digest goes
 * to @digest_ret.
 */
int snapshot_store_put_block(struct snapshot_store *st, const char *lineage,
			     const uint8_t *chunk, size_t bytes,
			     uint8_t digest_ret[SNAPSHOT_DIGEST_BYTES]);

/*
 * Read chunk @index of @s, which is not a hole, into @chunk, which has room for
 * SNAPSHOT_CHUNK_BYTES. -EBADMSG: missing, of another length or another SHA-256;
 * the message has the chunk and the object, and @chunk whatever was found.
 */
int snapshot_store_get_block(struct snapshot_store *st,
			     const struct snapshot *s, uint64_t index,
			     uint8_t *chunk);

/*
 * Put chunk @index of @s, which is not a hole, from @from into @to. Where it can
 * be its bytes do not pass through here (object_clone()), and only its length is
 * looked at; else, and if @whole, all of it as snapshot_store_get_block() does,
 * and what @to has is written anew. @room has room for snapshot_chunk_bytes().
 */
int snapshot_store_copy_block(struct snapshot_store *from,
			      struct snapshot_store *to,
			      const struct snapshot *s, uint64_t index,
			      bool whole, uint8_t *room);

/*
 * Publish @s, whose blocks are stored, under the HMAC of @seal
 * (snapshot_seal()): its body, then its wrapper. -EEXIST: there is a snapshot of that id. Else as
 * snapshot_body_encode().
 */
int snapshot_store_publish(struct snapshot_store *st, struct snapshot *s,
			   const struct secret *seal);

/*
 * Snapshot @id, up to step 2 of a reader. The caller owns *@ret, and frees
 * *@body_ret, which snapshot_body_verify() wants. -ENOENT: there is none.
 * -EBADMSG, -EOPNOTSUPP.
 */
int snapshot_store_load(struct snapshot_store *st, const char *id,
			struct snapshot **ret, uint8_t **body_ret,
			size_t *bytes_ret);

/*
 * The same of a copy whose body is that of another snapshot, or is made already:
 * @body with @bytes, then the wrapper of @s.
 */
int snapshot_store_publish_body(struct snapshot_store *st,
				const struct snapshot *s, const uint8_t *body,
				size_t bytes);

/* The wrapper of @s, which is there, with other slots; atomically. -ENOENT. */
int snapshot_store_replace(struct snapshot_store *st, const struct snapshot *s);

/* Is there a snapshot @id? */
bool snapshot_store_has(struct snapshot_store *st, const char *id);

/*
 * What the wrapper of @id says: step 1 of a reader. -ENOENT: there is none.
 * -EBADMSG, -EOPNOTSUPP. *@ret is ended with snapshot_wrapper_free().
 */
int snapshot_store_wrapper(struct snapshot_store *st, const char *id,
			   struct snapshot_wrapper *ret);

/*
 * Remove snapshot @id: its wrapper, and its body if no other one has it. Blocks
 * stay until snapshot_gc(). One that cannot be read is removed, too. -ENOENT:
 * there is none.
 */
int snapshot_store_remove(struct snapshot_store *st, const char *id);

/*
 * What a writer says before its first block, so that snapshot_gc() leaves the
 * blocks of its lineage alone: "pending/ID", one JSON object with snapshot_id,
 * lineage and created at least. An old one of that id is replaced.
 */
int snapshot_store_pending_put(struct snapshot_store *st, const char *id,
			       const char *text);

/* The caller frees *@ret. -ENOENT, silent. */
int snapshot_store_pending_get(struct snapshot_store *st, const char *id,
			       char **ret);

/* 0 also if there is none. */
int snapshot_store_pending_remove(struct snapshot_store *st, const char *id);

/* As snapshot_store_list(). */
int snapshot_store_pending_list(struct snapshot_store *st, json_t **ret);

/* One object of those that are called by their digests. */
struct snapshot_object {
	const char *name;		/* in the store */
	char lineage[HEADER_LINEAGE_CHARS];
	uint8_t digest[SNAPSHOT_DIGEST_BYTES];
	bool part;			/* never became whole: neither
					 * lineage nor digest */
	uint64_t bytes;
	uint64_t age_seconds;		/* since it was written or put again */
};

/*
 * @each of the objects below "blocks" or "bodies", and of the parts below those
 * or "snapshots" or "pending"; what is not called as one is passed over. It stops where that returns anything but 0, and returns that.
 * -EIO.
 */
int snapshot_store_each(struct snapshot_store *st, const char *kind,
			int (*each)(void *user,
				    const struct snapshot_object *object),
			void *user);

/* Remove @object, which snapshot_store_each() has told. 0 also if it is gone. */
int snapshot_store_drop(struct snapshot_store *st,
			const struct snapshot_object *object);

/* A record of @s without a key, and its end, of which nothing is said. */
int snapshot_store_begin(struct snapshot_store *st, const struct snapshot *s);
void snapshot_store_end(struct snapshot_store *st, const struct snapshot *s);

/*
 * The ids of all snapshots, an array of texts that the caller frees, sorted.
 * What is no id is passed over.
 */
int snapshot_store_list(struct snapshot_store *st, json_t **ret);

#endif
