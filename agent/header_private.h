/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the header share among themselves; nobody else's. */
#ifndef ENVELOPE_HEADER_PRIVATE_H
#define ENVELOPE_HEADER_PRIVATE_H

#include "header.h"

#define HEADER_WHY_BYTES 200
#define HEADER_DIGEST_BYTES 32
#define HEADER_MAX_SEQUENCE INT64_MAX
#define HEADER_MAX_REVISION (1ull << 53)
#define HEADER_MAX_GENERATION (1ull << 31)
#define HEADER_MAX_BYTES (1ull << 62)	/* of size and of data_offset */

/* Offsets in a copy; the table in header.h explains them. */
enum {
	AT_MAGIC = 0,
	AT_VERSION = 8,
	AT_SUPERBLOCK_BYTES = 12,
	AT_COPY_BYTES = 16,
	AT_CORE_BYTES = 20,
	AT_UUID = 24,
	AT_RESERVED_1 = 40,
	AT_SEQUENCE = 64,	/* the end of the HMAC's first part */
	AT_COPY_INDEX = 72,
	AT_SLOTS_BYTES = 76,
	AT_RESERVED_2 = 80,
	AT_SHA256 = 128,
	AT_HMAC = 160,
	AT_RESERVED_3 = 192,	/* the start of its second part */
	AT_CORE = HEADER_SUPERBLOCK_BYTES,
};

struct header {
	struct header_core core;
	json_t *core_json;
	char *core_text;	/* bytes as stored, no NUL; NULL: unsealed */
	size_t core_bytes;
	json_t *slots_json;	/* {"slots": [...]} */
	size_t slot_count;
	struct {
		uint8_t *bytes;
		size_t n;
	} wrapped[HEADER_MAX_SLOTS];	/* the ciphertexts, decoded */
	uint8_t hmac[HEADER_DIGEST_BYTES];
	uint64_t sequence;
	struct header_copy_info copies[HEADER_COPIES];
	uint8_t *stored;	/* both copies as read, or NULL */
};

/* header_pack.c: a copy's bytes */

/*
 * State, sequence and index of the copy at @copy by magic and SHA-256 alone.
 * Revision stays 0.
 */
struct header_copy_info header_copy_probe(const uint8_t *copy,
					  unsigned int index);

/*
 * Parse a copy whose SHA-256 holds. -EBADMSG, -EOPNOTSUPP with a sentence in
 * @why; -ENOMEM.
 */
int header_unpack(const uint8_t *copy, struct header **ret,
		  char why[static HEADER_WHY_BYTES]);

/* The reverse: all bytes of copy @index. -EINVAL: @h does not fit. */
int header_pack(const struct header *h, unsigned int index, uint64_t sequence,
		uint8_t copy[HEADER_COPY_BYTES]);

/* Superblock of @h with its HMACed fields filled in, all others zero. */
void header_pack_superblock(const struct header *h,
			    uint8_t block[HEADER_SUPERBLOCK_BYTES]);

/* header_core.c: core as JSON */

/* Writes the sentence into @why, cut to fit. Always -EBADMSG. */
int header_refuse(char why[static HEADER_WHY_BYTES], const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
int header_core_check(const struct header_core *core,
		      char why[static HEADER_WHY_BYTES]);
int header_core_parse(const json_t *json, struct header_core *core,
		      char why[static HEADER_WHY_BYTES]);
/* Bring @h->core_json in line with @h->core. -ENOMEM. */
int header_core_store(struct header *h);

/* header_slots.c: slots as JSON */
int header_slots_parse(struct header *h, char why[static HEADER_WHY_BYTES]);
void header_slots_free(struct header *h);

/* header_seal.c: header_verify() without the DEK */

/* @lineage must be core's if core has one; @key is the HMAC's. */
int header_verify_with(struct header *h, const char *name,
		       const char *lineage, const struct secret *key);

/* header_read.c */

/* Would a reader take @a rather than @b? Neither need be good. */
bool header_copy_beats(const struct header_copy_info *a,
		       const struct header_copy_info *b);

/*
 * State, sequence and revision of the copy at @copy. One that breaks a rule
 * has revision 0, and the header in *@ret stays NULL; @why as header_unpack().
 */
int header_copy_parse(const uint8_t *copy, unsigned int index,
		      struct header_copy_info *info, struct header **ret,
		      char why[static HEADER_WHY_BYTES]);

/* header_io.c: all the bytes, or an error with a message */
int header_pread_all(int fd, const char *name, void *p, size_t bytes,
		     off_t offset);
int header_pwrite_all(int fd, const char *name, const void *p, size_t bytes,
		      off_t offset);
int header_flush(int fd, const char *name);

/* header_names.c */
bool header_hex_valid(const char *text, size_t digits);
bool header_provider_valid(const char *text);

#endif
