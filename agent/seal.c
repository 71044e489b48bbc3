// SPDX-License-Identifier: GPL-2.0-or-later
#include "seal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "header_private.h"
#include "keyring.h"
#include "log.h"
#include "snapshot.h"

/* What the keyring holds: magic, seal key, key of the HMAC, lineage. */
#define MAGIC "ENVSEAL1"
#define AT_SEAL_KEY 8
#define AT_HMAC_KEY (AT_SEAL_KEY + SEAL_KEY_BYTES)
#define AT_LINEAGE (AT_HMAC_KEY + HEADER_HMAC_KEY_BYTES)
#define KEPT_BYTES (AT_LINEAGE + HEADER_LINEAGE_CHARS)

struct seal {
	struct secret *key;
	struct secret *hmac_key;
	char lineage[HEADER_LINEAGE_CHARS];
};

static int no_memory(void)
{
	log_error("no locked memory for a key: %s", strerror(errno));
	return -ENOMEM;
}

void seal_free(struct seal *s)
{
	if (!s)
		return;
	secret_free(s->key);
	secret_free(s->hmac_key);
	free(s);
}

int seal_from_id(const struct secret *dek, const char *volume_id,
		 const uint8_t uuid[HEADER_UUID_BYTES], struct seal **ret)
{
	struct seal *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return no_memory();
	r = header_lineage(dek, s->lineage);
	if (r == 0)
		r = snapshot_seal(dek, &s->key);
	if (r == 0)
		r = header_hmac_key(dek, uuid, volume_id, &s->hmac_key);
	if (r < 0) {
		seal_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

int seal_from_dek(const struct secret *dek, const struct header *h,
		  struct seal **ret)
{
	const struct header_core *core = header_core(h);

	return seal_from_id(dek, core->volume_id, core->uuid, ret);
}

const struct secret *seal_key(const struct seal *s)
{
	return s->key;
}

const char *seal_lineage(const struct seal *s)
{
	return s->lineage;
}

int seal_check_header(const struct seal *s, const char *name,
		      struct header *h)
{
	return header_verify_with(h, name, s->lineage, s->hmac_key);
}

int seal_keep(const struct seal *s, const char *volume_id)
{
	struct secret *kept = secret_new(KEPT_BYTES);
	uint8_t *p;
	int r;

	if (!kept)
		return no_memory();
	p = secret_bytes(kept);
	memcpy(p, MAGIC, AT_SEAL_KEY);
	secret_copy(p + AT_SEAL_KEY, secret_cbytes(s->key), SEAL_KEY_BYTES);
	secret_copy(p + AT_HMAC_KEY, secret_cbytes(s->hmac_key),
		    HEADER_HMAC_KEY_BYTES);
	memcpy(p + AT_LINEAGE, s->lineage, HEADER_LINEAGE_CHARS);
	r = keyring_add_seal(volume_id, kept);
	secret_free(kept);
	return r;
}

static int unpack(const struct secret *kept, const char *volume_id,
		  struct seal **ret)
{
	const uint8_t *p = secret_cbytes(kept);
	struct seal *s;

	if (memcmp(p, MAGIC, AT_SEAL_KEY) != 0 || p[KEPT_BYTES - 1] != '\0' ||
	    !header_hex_valid((const char *)p + AT_LINEAGE,
			      HEADER_LINEAGE_CHARS - 1)) {
		log_error("the seal key of %s is not one of ours: lock and unlock the volume",
			  volume_id);
		return -EBADMSG;
	}
	s = calloc(1, sizeof(*s));
	if (s) {
		s->key = secret_new(SEAL_KEY_BYTES);
		s->hmac_key = secret_new(HEADER_HMAC_KEY_BYTES);
	}
	if (!s || !s->key || !s->hmac_key) {
		seal_free(s);
		return no_memory();
	}
	secret_copy(secret_bytes(s->key), p + AT_SEAL_KEY, SEAL_KEY_BYTES);
	secret_copy(secret_bytes(s->hmac_key), p + AT_HMAC_KEY,
		    HEADER_HMAC_KEY_BYTES);
	memcpy(s->lineage, p + AT_LINEAGE, HEADER_LINEAGE_CHARS);
	*ret = s;
	return 0;
}

int seal_find(const char *volume_id, struct seal **ret)
{
	struct secret *kept = NULL;
	int r;

	r = keyring_read_seal(volume_id, KEPT_BYTES, &kept);
	if (r == 0)
		r = unpack(kept, volume_id, ret);
	secret_free(kept);
	return r;
}

int seal_drop(const char *volume_id)
{
	return keyring_drop_seal(volume_id);
}
