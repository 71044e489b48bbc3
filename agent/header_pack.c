// SPDX-License-Identifier: GPL-2.0-or-later
/* One copy of the header to bytes and back. */
#include "header_private.h"

#include <errno.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "json.h"

/* SHA-256 of a copy with the digest's own place taken as zero. */
static void copy_digest(const uint8_t *copy, uint8_t ret[HEADER_DIGEST_BYTES])
{
	uint8_t blanked[HEADER_COPY_BYTES];

	memcpy(blanked, copy, sizeof(blanked));
	memset(blanked + AT_SHA256, 0, HEADER_DIGEST_BYTES);
	SHA256(blanked, sizeof(blanked), ret);
}

struct header_copy_info header_copy_probe(const uint8_t *copy,
					  unsigned int index)
{
	struct header_copy_info info = { .state = HEADER_COPY_ABSENT };
	uint8_t digest[HEADER_DIGEST_BYTES];

	if (memcmp(copy + AT_MAGIC, HEADER_MAGIC, 8) != 0)
		return info;
	info.state = HEADER_COPY_DAMAGED;
	copy_digest(copy, digest);
	if (memcmp(digest, copy + AT_SHA256, sizeof(digest)) != 0 ||
	    le32(copy + AT_COPY_INDEX) != index)
		return info;
	info.state = HEADER_COPY_GOOD;
	info.sequence = le64(copy + AT_SEQUENCE);
	return info;
}

static bool all_zero(const uint8_t *p, size_t bytes)
{
	while (bytes > 0 && *p == 0) {
		p++;
		bytes--;
	}
	return bytes == 0;
}

static int check_superblock(const uint8_t *copy,
			    char why[static HEADER_WHY_BYTES])
{
	const uint32_t room = HEADER_COPY_BYTES - AT_CORE;
	uint32_t core_bytes = le32(copy + AT_CORE_BYTES);
	uint32_t slots_bytes = le32(copy + AT_SLOTS_BYTES);

	if (le32(copy + AT_VERSION) != HEADER_VERSION) {
		snprintf(why, HEADER_WHY_BYTES,
			 "header version %u, this program knows version %u: use a newer dm-envelope",
			 le32(copy + AT_VERSION), HEADER_VERSION);
		return -EOPNOTSUPP;
	}
	if (le32(copy + AT_SUPERBLOCK_BYTES) != HEADER_SUPERBLOCK_BYTES ||
	    le32(copy + AT_COPY_BYTES) != HEADER_COPY_BYTES ||
	    core_bytes > room || slots_bytes > room - core_bytes) {
		snprintf(why, HEADER_WHY_BYTES, "impossible sizes");
		return -EBADMSG;
	}
	if (le64(copy + AT_SEQUENCE) == 0 ||
	    le64(copy + AT_SEQUENCE) > HEADER_MAX_SEQUENCE) {
		snprintf(why, HEADER_WHY_BYTES, "sequence out of range");
		return -EBADMSG;
	}
	if (!all_zero(copy + AT_RESERVED_1, AT_SEQUENCE - AT_RESERVED_1) ||
	    !all_zero(copy + AT_RESERVED_2, AT_SHA256 - AT_RESERVED_2) ||
	    !all_zero(copy + AT_RESERVED_3, AT_CORE - AT_RESERVED_3) ||
	    !all_zero(copy + AT_CORE + core_bytes + slots_bytes,
		      room - core_bytes - slots_bytes)) {
		snprintf(why, HEADER_WHY_BYTES, "reserved bytes are not zero");
		return -EBADMSG;
	}
	return 0;
}

static int parse_object(const uint8_t *text, size_t bytes, const char *what,
			json_t **ret, char why[static HEADER_WHY_BYTES])
{
	char json_why[JSON_WHY_BYTES];
	json_t *value = NULL;
	int r;

	r = json_parse_strict((const char *)text, bytes, HEADER_MAX_DEPTH,
			      &value, json_why);
	if (r == -EBADMSG)
		snprintf(why, HEADER_WHY_BYTES, "%s: %s", what, json_why);
	if (r < 0)
		return r;
	if (!json_is_object(value)) {
		snprintf(why, HEADER_WHY_BYTES, "%s is not an object", what);
		json_decref(value);
		return -EBADMSG;
	}
	*ret = value;
	return 0;
}

int header_unpack(const uint8_t *copy, struct header **ret,
		  char why[static HEADER_WHY_BYTES])
{
	struct header *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return -ENOMEM;
	r = check_superblock(copy, why);
	if (r < 0)
		goto out;
	h->core_bytes = le32(copy + AT_CORE_BYTES);
	h->sequence = le64(copy + AT_SEQUENCE);
	memcpy(h->hmac, copy + AT_HMAC, sizeof(h->hmac));
	r = parse_object(copy + AT_CORE, h->core_bytes, "core", &h->core_json,
			 why);
	if (r < 0)
		goto out;
	r = header_core_parse(h->core_json, &h->core, why);
	if (r < 0)
		goto out;
	memcpy(h->core.uuid, copy + AT_UUID, HEADER_UUID_BYTES);
	h->core_text = malloc(h->core_bytes);
	if (!h->core_text) {
		r = -ENOMEM;
		goto out;
	}
	memcpy(h->core_text, copy + AT_CORE, h->core_bytes);
	r = parse_object(copy + AT_CORE + h->core_bytes,
			 le32(copy + AT_SLOTS_BYTES), "slots",
			 &h->slots_json, why);
	if (r < 0)
		goto out;
	r = header_slots_parse(h, why);
	if (r < 0)
		goto out;
	*ret = h;
	h = NULL;
out:
	header_free(h);
	return r;
}

void header_pack_superblock(const struct header *h,
			    uint8_t block[HEADER_SUPERBLOCK_BYTES])
{
	memset(block, 0, HEADER_SUPERBLOCK_BYTES);
	memcpy(block + AT_MAGIC, HEADER_MAGIC, 8);
	put_le32(block + AT_VERSION, HEADER_VERSION);
	put_le32(block + AT_SUPERBLOCK_BYTES, HEADER_SUPERBLOCK_BYTES);
	put_le32(block + AT_COPY_BYTES, HEADER_COPY_BYTES);
	put_le32(block + AT_CORE_BYTES, h->core_bytes);
	memcpy(block + AT_UUID, h->core.uuid, HEADER_UUID_BYTES);
}

int header_pack(const struct header *h, unsigned int index, uint64_t sequence,
		uint8_t copy[HEADER_COPY_BYTES])
{
	size_t room = HEADER_COPY_BYTES - AT_CORE - h->core_bytes;
	size_t slots_bytes;

	header_pack_superblock(h, copy);
	memset(copy + AT_CORE, 0, HEADER_COPY_BYTES - AT_CORE);
	memcpy(copy + AT_CORE, h->core_text, h->core_bytes);
	slots_bytes = json_dumpb(h->slots_json,
				 (char *)copy + AT_CORE + h->core_bytes, room,
				 JSON_COMPACT);
	if (slots_bytes == 0 || slots_bytes > room)
		return -EINVAL;
	put_le64(copy + AT_SEQUENCE, sequence);
	put_le32(copy + AT_COPY_INDEX, index);
	put_le32(copy + AT_SLOTS_BYTES, slots_bytes);
	memcpy(copy + AT_HMAC, h->hmac, sizeof(h->hmac));
	copy_digest(copy, copy + AT_SHA256);
	return 0;
}
