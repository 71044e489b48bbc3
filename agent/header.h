/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The header: what is stored in front of a volume's data, byte by byte, and
 * the functions that read, verify and change it. This file is the format
 * document; tests/vectors/header/reader.py was written from it alone.
 *
 * PLACE
 *
 *	0	copy A	131072 bytes
 *	131072	copy B	131072 bytes
 *	262144	kept for the journal of an in-place re-encryption
 *	1048576	data (core.data_offset says so)
 *
 * A detached header is a file or device that holds the two copies alone; the
 * data then begin at byte 0 of the device.
 *
 * A COPY, VERSION 1. Numbers are unsigned and little-endian.
 *
 *	offset	bytes	field
 *	0	8	magic, the ASCII letters "ENVELOPE"
 *	8	4	version, 1
 *	12	4	size of the superblock in bytes, 4096
 *	16	4	size of the copy in bytes, 131072
 *	20	4	size of the core text in bytes
 *	24	16	volume UUID, in the order in which it is printed
 *	40	24	reserved, zero
 *	64	8	sequence number, 1 to 2^63 - 1
 *	72	4	copy index, 0 for A, 1 for B
 *	76	4	size of the slots text in bytes
 *	80	48	reserved, zero
 *	128	32	SHA-256 of the whole copy, these 32 bytes taken as zero
 *	160	32	HMAC-SHA-256, see below
 *	192	3904	reserved, zero
 *	4096	...	core text: one JSON object
 *	...	...	slots text: one JSON object, directly behind the core text
 *	...	...	zeros to the end of the copy
 *
 * Magic, version and SHA-256 keep their places in every later version, so a
 * newer header can be told from a damaged one.
 *
 * Texts are UTF-8 without NUL (raw or escaped), have no name twice in one
 * object, nest at most 8 objects and arrays, and hold no integer beyond 64 bits
 * with sign and no real beyond a double. What is not called optional is there.
 *
 * HMAC. DEK is the 64 byte data key, "||" joins bytes, texts are ASCII and end
 * without NUL:
 *
 *	key  = HKDF-SHA-256(secret = DEK, salt = volume UUID (16 bytes),
 *			    info = "envelope header v1" || volume id, 32 bytes)
 *	hmac = HMAC-SHA-256(key, copy[0..63] || copy[192..4095] || core text)
 *
 * so sequence, copy index, size of the slots, both digests and the slots are
 * outside: a slot proves itself by yielding the DEK, and can be replaced by
 * someone who does not have it.
 *
 * CORE, the object under the HMAC. Integers; times are "YYYY-MM-DDThh:mm:ssZ".
 *
 *	volume_id	"vol-" and 17 lower case hexadecimal digits
 *	revision	1 to 2^53, grows by one with every change of core
 *	generation	1 to 2^31, the number of DEKs this volume id has had
 *	critical	array of names (members of core, or flags) that a
 *			reader must understand; one it does not know makes it
 *			refuse the volume
 *	size		bytes of data, a multiple of sector_size, to 2^62
 *	data_offset	where the data begin, in bytes: 0 if detached, else at
 *			least 1048576; a multiple of 4096, to 2^62
 *	sector_size	encryption unit in bytes: 512, 1024, 2048 or 4096
 *	cipher		"aes-xts-plain64"
 *	flags		array: "holes" (a block whose stored bytes are all zero
 *			reads as zeros; critical), "iv_large_sectors" (the IV
 *			counts units of sector_size, not of 512; critical)
 *	created		time of the format
 *	lineage		64 lower case hexadecimal digits of
 *			HKDF-SHA-256(secret = DEK, salt = "",
 *				     info = "envelope lineage v1", 32 bytes)
 *	origin		optional: {"snapshot_id": "snap-" and 17 digits}, the
 *			snapshot that this volume was restored from
 *	device		if and only if detached: the device that belongs to it,
 *			{"size": 1 to 2^62 bytes, "wwn": text of up to 128,
 *			"partuuid": text of up to 36 characters "!" to "~"};
 *			the last two only where the device has one; critical
 *	lease		optional: {"seconds": 10 to 2592000, "grace": seconds
 *			from 0}, together at most 2592000: on attach, how long
 *			the key stays without the KMS being asked again
 *	reencryption	absent. A later version that is re-encrypting in place
 *			names it in critical, so this one refuses
 *
 * SLOTS, outside the HMAC: {"slots": [1 to 16 of]}
 *
 *	provider	"aws-kms" (AWS KMS and envelope-kms), "pkcs11",
 *			"program", "vault-transit" (key_name.h), "recovery"
 *			(recovery.h), or another name of [a-z0-9-]: kept, not
 *			usable by this version
 *	key_id		text; for aws-kms the full ARN of the KMS key, never an alias:
 *			arn:PARTITION:kms:REGION:ACCOUNT:key/ID, partition and
 *			region [a-z0-9-]+, account 12 digits
 *	context		object of texts: extra pairs of the encryption context;
 *			no name begins with "envelope:"
 *	ciphertext	base64 of the wrapped DEK, 1 to 6144 bytes
 *	created		time
 *
 * The encryption context of a slot is {"envelope:volume-id": core.volume_id,
 * "envelope:generation": core.generation in decimal} and the slot's pairs.
 * Members that this version does not know are kept: in core byte for byte
 * until core changes, in the slots by name.
 *
 * A READER
 *
 *  1. takes a copy without magic as absent, one whose SHA-256 is wrong or
 *     whose copy index is another's as damaged, and goes on with the other;
 *  2. refuses (status 6) if the SHA-256 holds but the content breaks a rule of
 *     this page, in either copy: no accident does that; and (status 1) if the
 *     version, cipher or a critical name is unknown to it;
 *  3. refuses (6) if both copies are good and name different volumes;
 *  4. uses, of two good copies, the one with the higher core.revision, then
 *     the higher sequence, then B;
 *  5. unwraps the DEK by one slot, and refuses (6) unless its halves differ,
 *     its lineage is core's and the HMAC of every good copy holds, all before
 *     the first byte of data is read or written;
 *  6. never writes. An interrupted update or a damaged copy stays as it is
 *     until an update or a repair after step 5.
 *
 * A WRITER takes a sequence number above those of both copies (at 2^63 - 1 it
 * stays there), writes all 131072 bytes of copy B, flushes, writes A, flushes;
 * so old slots are overwritten, and at every moment one copy is whole. Where B
 * alone is good, or is the newer of the two, it writes A first, lest the copy
 * that serves be the one that is torn. A writer that does not have the DEK
 * (another slot needs none) writes only if both copies are good and alike in
 * all that the HMAC covers.
 */
#ifndef ENVELOPE_HEADER_H
#define ENVELOPE_HEADER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lease.h"
#include "secret.h"

#define HEADER_MAGIC "ENVELOPE"
#define HEADER_VERSION 1
#define HEADER_COPIES 2
#define HEADER_SUPERBLOCK_BYTES 4096u
#define HEADER_COPY_BYTES 131072u
#define HEADER_BYTES (HEADER_COPIES * HEADER_COPY_BYTES)
#define HEADER_DATA_OFFSET_BYTES 1048576u
#define HEADER_MAX_SLOTS 16
#define HEADER_MAX_DEPTH 8
#define HEADER_MAX_WRAPPED_BYTES 6144
#define HEADER_DEK_BYTES 64
#define HEADER_HMAC_KEY_BYTES 32
#define HEADER_UUID_BYTES 16
#define HEADER_VOLUME_ID_CHARS 22   /* with the final NUL, as all of these */
#define HEADER_SNAPSHOT_ID_CHARS 23
#define HEADER_LINEAGE_CHARS 65
#define HEADER_TIME_CHARS 21
#define HEADER_UUID_CHARS 37
#define HEADER_NAME_CHARS 129
#define HEADER_PROVIDER_AWS "aws-kms"

struct header;

/* The device that a detached header belongs to; empty texts: it has none. */
struct header_device {
	uint64_t size_bytes;
	char wwn[HEADER_NAME_CHARS];
	char partuuid[HEADER_UUID_CHARS];
};

/* Core, and the volume UUID of the superblock. */
struct header_core {
	char volume_id[HEADER_VOLUME_ID_CHARS];
	uint8_t uuid[HEADER_UUID_BYTES];
	uint64_t revision;
	uint32_t generation;
	uint64_t size_bytes;
	uint64_t data_offset_bytes;	/* 0: detached */
	uint32_t sector_size;		/* bytes */
	bool iv_large_sectors;
	bool holes;
	bool detached;
	struct header_device device;	/* if detached */
	char created[HEADER_TIME_CHARS];
	char lineage[HEADER_LINEAGE_CHARS];	   /* "" before the seal */
	char origin[HEADER_SNAPSHOT_ID_CHARS];	   /* snapshot id, or "" */
	struct lease_terms lease;	/* of whole seconds, or none */
};

/* One slot. What header_slot_get() fills in stays owned by the header. */
struct header_slot {
	const char *provider;
	const char *key_id;
	json_t *context;		/* extra pairs; NULL in: none */
	const uint8_t *ciphertext;
	size_t ciphertext_bytes;
	const char *created;		/* NULL in: now */
};

/* What is known of one stored copy. */
enum header_copy_state {
	HEADER_COPY_ABSENT,	/* no magic */
	HEADER_COPY_DAMAGED,	/* SHA-256 wrong, or in the wrong place */
	HEADER_COPY_GOOD,	/* SHA-256 holds; HMAC not checked yet */
	HEADER_COPY_VERIFIED,	/* HMAC holds too */
	HEADER_COPY_TAMPERED,	/* SHA-256 holds, HMAC does not */
};

struct header_copy_info {
	enum header_copy_state state;
	bool used;		/* this is the copy that serves */
	uint64_t sequence;	/* of a good copy, else 0 */
	uint64_t revision;	/* of a good copy, else 0 */
};

/*
 * header_read.c
 *
 * @name is what messages call the file or device behind @fd. Each function
 * prints its own error, once. Errors that all share: -EIO (the device),
 * -ENOMEM.
 */

/*
 * Read both copies at offset 0 of @fd (open for reading; never written to) and
 * choose one, up to step 4 above. Nothing in *@ret is verified yet.
 *
 * -ENODATA: no header in either copy. -EBADMSG: no good copy left, hostile
 * content, or copies of different volumes. -EOPNOTSUPP: made by a newer
 * version.
 */
int header_read(int fd, const char *name, struct header **ret);

/*
 * The same from one copy alone (0 is A, 1 is B), as if the other were absent:
 * the way back when the other was tampered with. Errors as header_read().
 */
int header_read_copy(int fd, const char *name, unsigned int index,
		     struct header **ret);

/* Which copies have our magic, whole or not. Prints nothing but -EIO. */
int header_magic_at(int fd, const char *name, bool *a_ret, bool *b_ret);

/*
 * Do data_offset + size of core lie within @device_bytes, the size of the
 * device that holds the data? -EBADMSG if not, with both figures.
 */
int header_check_fit(const struct header *h, const char *name,
		     uint64_t device_bytes);

/* Copy 0 is A, 1 is B. */
struct header_copy_info header_copy(const struct header *h, unsigned int index);

/* Both copies good, and of the same sequence and revision? */
bool header_copies_agree(const struct header *h);

/*
 * Both copies good, with the same bytes under the HMAC? If not, one may be
 * forged, and who writes without the DEK might destroy the genuine one.
 */
bool header_cores_agree(const struct header *h);

/*
 * header.c
 */

/* The core that serves; valid until the header is changed or freed. */
const struct header_core *header_core(const struct header *h);

/* Core as stored, for members this version does not know. Borrowed. */
const json_t *header_core_json(const struct header *h);

/* All slots as stored, {"slots": [...]}. Borrowed. */
const json_t *header_slots_json(const struct header *h);

size_t header_slot_count(const struct header *h);

/* Slot @index, below header_slot_count(). Borrowed pointers. */
struct header_slot header_slot_get(const struct header *h, size_t index);

/*
 * The whole encryption context of slot @index: from core and the slot's extra
 * pairs, never from envelope:* pairs of the slot. The caller frees *@ret.
 * -ENOMEM.
 */
int header_context(const struct header *h, size_t index, json_t **ret);

/*
 * The context that @core gives with @extra pairs (may be NULL), for the time
 * before a header exists. -EINVAL: @extra has an envelope:* or a non-text pair.
 */
int header_context_of(const struct header_core *core, const json_t *extra,
		      json_t **ret);

/* Fill in a random volume id, a random UUID and the present time. -EIO. */
int header_new_identity(struct header_core *core);

/*
 * A header with @core and no slot. revision and generation 0 become 1; lineage
 * comes with the seal. The caller owns *@ret. -EINVAL: @core breaks a rule.
 */
int header_new(const struct header_core *core, struct header **ret);

/*
 * What another process has read: @core and @slots as header_core_json() and
 * header_slots_json() gave them there, and the volume UUID. Every rule of this
 * page is checked again; the copies are absent, and it is not sealed.
 * -EBADMSG, and -EOPNOTSUPP as header_read(), with a message about @name;
 * -ENOMEM.
 */
int header_from_parts(const char *name, const json_t *core,
		      const json_t *slots,
		      const uint8_t uuid[HEADER_UUID_BYTES],
		      struct header **ret);

/* NULL is accepted. */
void header_free(struct header *h);

/*
 * Replace core by @core with revision one higher than now; members that we do
 * not know stay. The header must be sealed again before it can be written.
 * volume id, UUID and lineage cannot change here. -EINVAL.
 */
int header_change_core(struct header *h, const struct header_core *core);

/*
 * Add a slot, replace slot @index, or remove it; the slot is copied. No seal
 * is needed. -EINVAL: a rule of the slots is broken (a message says which), no
 * such index, or one slot too many.
 */
int header_add_slot(struct header *h, const struct header_slot *slot);
int header_set_slot(struct header *h, size_t index,
		    const struct header_slot *slot);
int header_remove_slot(struct header *h, size_t index);

/*
 * header_seal.c
 */

/* The fingerprint of the lineage of @dek (64 bytes). -EINVAL, -EIO. */
int header_lineage(const struct secret *dek, char ret[HEADER_LINEAGE_CHARS]);

/*
 * Write the lineage into core (or compare it, if there is one) and compute the
 * HMAC. -EBADMSG: @dek is of another lineage, or its halves are equal.
 */
int header_seal(struct header *h, const struct secret *dek);

/*
 * Step 5: size and halves of @dek, lineage, and the HMAC of every copy whose
 * SHA-256 holds. -EBADMSG with a message that names the copy. header_copy()
 * tells the outcome afterwards in both cases.
 */
int header_verify(struct header *h, const char *name, const struct secret *dek);

/*
 * The key of the HMAC: all that step 5 needs of the DEK, but for the lineage.
 * The caller ends *@ret. -EIO, -ENOMEM.
 */
int header_hmac_key(const struct secret *dek,
		    const uint8_t uuid[HEADER_UUID_BYTES],
		    const char *volume_id, struct secret **ret);

/*
 * header_write.c
 */

/*
 * Serialise writers of @fd (flock, waits 10 s at most). Taken before
 * header_read(), held until @fd is closed. -EBUSY.
 */
int header_lock(int fd, const char *name);

/* The same without waiting, for who has others waiting for him. */
int header_lock_now(int fd, const char *name);

/*
 * Store @h in both copies of @fd (open for reading and writing) in the order
 * that A WRITER says. -EINVAL: not sealed, or without slot.
 */
int header_write(int fd, const char *name, struct header *h);

/*
 * The same for who must not parse what is stored, and has sealed @h anew: both
 * copies must be good and have the HMAC of @h, so that nothing but slots is
 * changed. -EBADMSG: they are not, or have another.
 */
int header_write_slots(int fd, const char *name, struct header *h);

/*
 * Bring both copies of @fd to the state of the one that @h was read from, after
 * it has verified with @dek; writes nothing if they are alike. Errors as
 * header_verify() and header_write().
 */
int header_repair(int fd, const char *name, struct header *h,
		  const struct secret *dek);

/*
 * Overwrite both copies with zeros, flush, and read back past the cache.
 * -EIO: a byte is still there.
 */
int header_erase(int fd, const char *name);

/* Where bytes reach the store; tests put one in that dies or forgets. */
struct header_io {
	ssize_t (*pwrite)(int fd, const void *p, size_t bytes, off_t offset);
	int (*fsync)(int fd);
};

/* NULL: the system calls. @io must outlive its use. */
void header_set_io(const struct header_io *io);

/*
 * header_names.c: the syntax of names that come from outside
 */

bool header_volume_id_valid(const char *text);

/* "YYYY-MM-DDThh:mm:ssZ", of digits? */
bool header_time_valid(const char *text);

/* "01234567-89ab-..." of @uuid. */
void header_uuid_print(const uint8_t uuid[HEADER_UUID_BYTES],
		       char ret[HEADER_UUID_CHARS]);

/* The reverse. -EINVAL: @text is not such a text. */
int header_uuid_parse(const char *text, uint8_t ret[HEADER_UUID_BYTES]);

/* The present time, as stored. */
void header_time_now(char ret[HEADER_TIME_CHARS]);

/* @text, printable on a terminal: controls as \xHH. The caller frees. */
char *header_escape(const char *text);

#endif
