/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What can be done with snapshots: each from its first check to its last undo. */
#ifndef ENVELOPE_SNAPSHOT_OPS_H
#define ENVELOPE_SNAPSHOT_OPS_H

#include "snapshot_move.h"
#include "volume.h"

/*
 * snapshot_create.c
 */

/* Of a snapshot that was made. */
struct snapshot_made {
	char id[HEADER_SNAPSHOT_ID_CHARS];
	char created[HEADER_TIME_CHARS];
	char volume_id[HEADER_VOLUME_ID_CHARS];
	char lineage[HEADER_LINEAGE_CHARS];
	char parent[HEADER_SNAPSHOT_ID_CHARS];	/* "" without one */
	uint64_t size_bytes;
	uint64_t chunks;
	uint64_t stored;	/* chunks that are no holes */
	uint64_t changed;	/* of them, that the parent has not */
};

/* What is to be said of @s, which has @parent (NULL: none). */
void snapshot_fill_made(struct snapshot *s, const struct snapshot *parent,
			struct snapshot_made *ret);

struct snapshot_create_options {
	const struct header *header;	/* of the volume; verified */
	struct snapshot_bytes in;	/* its stored bytes */
	const struct secret *seal;	/* snapshot_seal(), or seal_key() */
	struct snapshot_work work;
	bool dry_run;			/* nothing is written, no id */
	/*
	 * Asked when all was read, or reading has failed: was it of one moment?
	 * -errno with a sentence: it was not, and nothing is published. NULL:
	 * it was.
	 */
	int (*confirm)(void *user);
	void *user;
};

/*
 * A snapshot in @st: its blocks, then its body under the HMAC of the seal, then
 * its wrapper. The parent is the newest snapshot of that lineage and volume that
 * is there and holds under the seal. @st may be NULL for a dry run.
 *
 * Errors as snapshot_move() and snapshot_store_publish().
 */
int snapshot_create(struct snapshot_store *st,
		    const struct snapshot_create_options *o,
		    struct snapshot_made *ret);

/*
 * The newest snapshot of @volume_id in @lineage (NULL: any), *@id_ret "" where
 * there is none. What cannot be read is passed over. -EIO, -ENOMEM.
 */
int snapshot_find_newest(struct snapshot_store *st, const char *volume_id,
			 const char *lineage,
			 char id_ret[HEADER_SNAPSHOT_ID_CHARS]);

/* The oldest snapshot, whatever it is of; "" as above. */
int snapshot_find_oldest(struct snapshot_store *st,
			 char id_ret[HEADER_SNAPSHOT_ID_CHARS]);

/*
 * snapshot_verify.c
 */

struct snapshot_verified {
	bool hashes_only;	/* without the key */
	uint64_t chunks;
	uint64_t stored;
	uint64_t bad;
};

/*
 * Read all of snapshot @id: with @access its DEK is unwrapped and the HMAC
 * checked, with NULL hashes alone. Every chunk that is not what it should be is
 * named. -EBADMSG: at least one.
 */
int snapshot_verify(struct snapshot_store *st, const char *id,
		    const struct volume_access *access,
		    const struct snapshot_work *w,
		    struct snapshot_verified *ret);

/*
 * Do all that a restore of snapshot @id does, into nothing: its key, its HMAC,
 * every chunk read, verified and decrypted. It ends at the first error.
 */
int snapshot_rehearse(struct snapshot_store *st, const char *id,
		      const struct volume_access *access,
		      const struct snapshot_work *w,
		      struct snapshot_verified *ret);

/*
 * snapshot_restore.c
 */

struct snapshot_restore_options {
	const char *target;		/* block device, or file */
	const char *header_path;	/* detached header; NULL: on @target */
	const char *kms_key;		/* another key; NULL: the snapshot's, or
					 * the default key where that is of
					 * another account, as EBS */
	bool same_dek;			/* also that of another account */
	json_t *context;		/* extra pairs of the new volume's
					 * context; NULL: the snapshot's slot's
					 * where the key stays. Borrowed */
	struct volume_access source;	/* for the snapshot's key */
	struct volume_access access;	/* for the volume's */
	struct snapshot_work work;
	struct lease_wish lease;
	bool force;			/* overwrite what is there */
	bool dry_run;
};

struct snapshot_restored {
	struct header_core core;
	char snapshot_id[HEADER_SNAPSHOT_ID_CHARS];
	char source_key_id[VOLUME_KEY_ID_CHARS];
	char key_id[VOLUME_KEY_ID_CHARS];
	bool rekeyed;		/* a data key of its own, or the snapshot's */
	struct volume_rule rule; /* why the default key; else key "" */
	uint64_t stored;	/* chunks that were written */
};

/*
 * A new volume with the data of snapshot @id: under the same key the ciphertext
 * is copied and the slot wrapped anew for the new volume's id, under another one
 * everything is encrypted anew. Where the snapshot has nothing, the target reads
 * as zeros. The header comes last: a restore that was killed leaves none.
 *
 * -EEXIST: something is on the target, and no force. -ENOSPC: too small.
 * -EINVAL: blocks of the target are larger than those of the volume; or the
 * data key would be shared with another account, and no same_dek. Else as
 * snapshot_unlock(), snapshot_move() and volume_format().
 */
int snapshot_restore(struct snapshot_store *st, const char *id,
		     const struct snapshot_restore_options *o,
		     struct snapshot_restored *ret);

/*
 * snapshot_copy.c
 */

struct snapshot_copied;

struct snapshot_copy_options {
	struct snapshot_store *from;
	struct snapshot_store *to;	/* may be the same */
	const char *kms_key;		/* NULL: the default key, as EBS */
	bool same_key;			/* that of the source; no kms_key */
	bool same_dek;			/* also over the border of an account */
	bool full;			/* nothing of an earlier copy */
	bool sparse;			/* as snapshot_move's keep_holes */
	bool whole;			/* same key: read and hash all of it */
	bool unchecked;			/* do not read back what was written */
	bool dry_run;
	json_t *context;		/* extra pairs; NULL: none, or those of
					 * the source with its key. Borrowed */
	struct volume_access source;	/* for the source's key */
	struct volume_access access;	/* for the copy's */
	struct snapshot_work work;
	/* Told what will be done before it is begun. NULL: nobody. */
	void (*plan)(const struct snapshot_copied *plan);
};

struct snapshot_copied {
	char id[HEADER_SNAPSHOT_ID_CHARS];	/* "" in a plan */
	char source_id[HEADER_SNAPSHOT_ID_CHARS];
	char parent[HEADER_SNAPSHOT_ID_CHARS];	/* "": a full copy */
	char source_key_id[VOLUME_KEY_ID_CHARS];
	char key_id[VOLUME_KEY_ID_CHARS];	/* in a plan as it was named,
						 * where nobody may ask */
	struct volume_rule rule;
	bool rekeyed;
	bool resumed;		/* goes on with one that was begun */
	uint64_t size_bytes;
	uint64_t chunks;
	uint64_t moved;
	uint64_t kept;		/* of the parent */
};

/*
 * Copy snapshot @id. Under its own key nothing is decrypted: the KMS wraps the
 * data key anew for the copy, and ciphertext is copied, if it has to be, by who
 * has it where that can be (snapshot_store_copy_block()). Under
 * another one everything is encrypted anew under a data key of the copy's own,
 * but for what an earlier copy of the same lineage under that key has already;
 * what was written is read back and compared before the copy appears.
 *
 * -EINVAL: the data key would be shared with another account, and no same_dek.
 * Else as snapshot_unlock(), snapshot_move() and snapshot_store_publish().
 */
int snapshot_copy(const char *id, const struct snapshot_copy_options *o,
		  struct snapshot_copied *ret);

/*
 * snapshot_import.c
 */

struct snapshot_import_options {
	const char *image;		/* file or block device, plain */
	const char *kms_key;		/* NULL: the default key */
	json_t *context;		/* Borrowed */
	uint32_t sector_size;		/* bytes; 0: by what is on it */
	bool no_holes;
	struct volume_access access;
	struct snapshot_work work;
};

/*
 * A snapshot of a volume that nobody has, with the bytes of an image, under a
 * data key of its own. -EINVAL: the size is no multiple of the blocks, or the
 * blocks are larger than what is on it can do with.
 */
int snapshot_import(struct snapshot_store *st,
		    const struct snapshot_import_options *o,
		    struct snapshot_made *ret, struct volume_rule *rule_ret);

/*
 * snapshot_rewrap.c
 *
 * Slot @slot of snapshot @id under @key, inside its KMS; nothing else of it is
 * touched. The keys go to @old_ret and @new_ret, of VOLUME_KEY_ID_CHARS.
 */
int snapshot_rewrap(struct snapshot_store *st, const char *id, size_t slot,
		    const char *key, const struct volume_access *access,
		    char *old_ret, char *new_ret);

#endif
