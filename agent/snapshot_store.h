/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A store of snapshots in a folder, laid out as snapshot.h says. Folders are
 * 0700 and files 0600 of whoever writes them.
 *
 * What a crash or a kill leaves: an object is written to a file of its own,
 * "tmp.*" in the folder that it is for, flushed, renamed, and the folder is
 * flushed. So under its name an object is whole or absent, also after the
 * machine has lost its power, and when a call returns 0 it stays. A "tmp.*"
 * that is left is no object: readers pass it over.
 *
 * Each function prints its own error, once. Errors that all share: -EIO,
 * -ENOMEM, -ENOSPC.
 */
#ifndef ENVELOPE_SNAPSHOT_STORE_H
#define ENVELOPE_SNAPSHOT_STORE_H

#include "snapshot.h"

struct snapshot_store;

/*
 * Open the store in the folder @path. With @create an empty or absent folder
 * becomes one. -ENOENT: no store there. -EEXIST: @create, and the folder has
 * something else in it. -EOPNOTSUPP: of a newer version.
 */
int snapshot_store_open(const char *path, bool create,
			struct snapshot_store **ret);

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
 * snapshot_chunk_bytes(). -EBADMSG: missing, of another length or another
 * SHA-256; the message has the chunk and the object.
 */
int snapshot_store_get_block(struct snapshot_store *st,
			     const struct snapshot *s, uint64_t index,
			     uint8_t *chunk);

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
 * The ids of all snapshots, an array of texts that the caller frees, sorted.
 * What is no id is passed over.
 */
int snapshot_store_list(struct snapshot_store *st, json_t **ret);

#endif
