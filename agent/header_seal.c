// SPDX-License-Identifier: GPL-2.0-or-later
/* What the DEK proves of a header: lineage and HMAC. */
#include "header_private.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "derive.h"
#include "log.h"

#define LABEL_HMAC "envelope header v1"
#define LABEL_LINEAGE "envelope lineage v1"

/* 64 bytes with two different halves: all that an XTS key can be. */
static int check_dek(const char *name, const struct secret *dek)
{
	if (secret_len(dek) == HEADER_DEK_BYTES &&
	    CRYPTO_memcmp(secret_cbytes(dek), secret_cbytes(dek) + 32, 32) != 0)
		return 0;
	log_error("'%s': the unwrapped key is not 64 bytes with different halves",
		  name);
	return -EBADMSG;
}

int header_lineage(const struct secret *dek, char ret[HEADER_LINEAGE_CHARS])
{
	uint8_t digest[HEADER_DIGEST_BYTES];
	size_t i;

	if (secret_len(dek) != HEADER_DEK_BYTES)
		return -EINVAL;
	if (derive(dek, NULL, 0, LABEL_LINEAGE, digest) < 0) {
		log_error("OpenSSL refused to derive the lineage");
		return -EIO;
	}
	for (i = 0; i < sizeof(digest); i++)
		snprintf(ret + 2 * i, 3, "%02x", digest[i]);
	return 0;
}

/* HMAC-SHA-256 over the three parts, in their order. */
static int mac_parts(const struct secret *key, const uint8_t *superblock,
		     const char *core_text, size_t core_bytes, uint8_t *ret)
{
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
						 "SHA256", 0),
		OSSL_PARAM_construct_end(),
	};
	size_t n = 0;
	int r = -EIO;

	if (ctx &&
	    EVP_MAC_init(ctx, secret_cbytes(key), secret_len(key), params) &&
	    EVP_MAC_update(ctx, superblock, AT_SEQUENCE) &&
	    EVP_MAC_update(ctx, superblock + AT_RESERVED_3,
			   AT_CORE - AT_RESERVED_3) &&
	    EVP_MAC_update(ctx, (const uint8_t *)core_text, core_bytes) &&
	    EVP_MAC_final(ctx, ret, &n, HEADER_DIGEST_BYTES) &&
	    n == HEADER_DIGEST_BYTES)
		r = 0;
	EVP_MAC_CTX_free(ctx);
	EVP_MAC_free(mac);
	return r;
}

int header_hmac_key(const struct secret *dek,
		    const uint8_t uuid[HEADER_UUID_BYTES],
		    const char *volume_id, struct secret **ret)
{
	char info[sizeof(LABEL_HMAC) + HEADER_VOLUME_ID_CHARS];
	struct secret *key = secret_new(HEADER_HMAC_KEY_BYTES);
	int r;

	if (!key) {
		log_error("no locked memory for a key: %s", strerror(errno));
		return -ENOMEM;
	}
	snprintf(info, sizeof(info), LABEL_HMAC "%s", volume_id);
	r = derive(dek, uuid, HEADER_UUID_BYTES, info, secret_bytes(key));
	if (r < 0) {
		log_error("OpenSSL refused to derive the key of the header's HMAC");
		secret_free(key);
		return r;
	}
	*ret = key;
	return 0;
}

static int hmac(const struct secret *key, const uint8_t *superblock,
		const char *core_text, size_t core_bytes, uint8_t *ret)
{
	int r = mac_parts(key, superblock, core_text, core_bytes, ret);

	if (r < 0)
		log_error("OpenSSL refused to compute the header's HMAC");
	return r;
}

/* @lineage must be core's if core has one. */
static int check_lineage(const struct header *h, const char *name,
			 const char *lineage)
{
	if (h->core.lineage[0] && strcmp(h->core.lineage, lineage) != 0) {
		log_error("'%s': the unwrapped key is not this volume's: the header was tampered with",
			  name);
		return -EBADMSG;
	}
	return 0;
}

int header_seal(struct header *h, const struct secret *dek)
{
	uint8_t superblock[HEADER_SUPERBLOCK_BYTES];
	char lineage[HEADER_LINEAGE_CHARS];
	struct secret *key = NULL;
	char *text;
	int r;

	r = check_dek(h->core.volume_id, dek);
	if (r == 0)
		r = header_lineage(dek, lineage);
	if (r == 0)
		r = check_lineage(h, h->core.volume_id, lineage);
	if (r < 0)
		return r;
	memcpy(h->core.lineage, lineage, sizeof(lineage));
	r = header_core_store(h);
	if (r < 0)
		return r;
	text = json_dumps(h->core_json, JSON_COMPACT);
	if (!text)
		return -ENOMEM;
	free(h->core_text);
	h->core_text = text;
	h->core_bytes = strlen(text);
	if (h->core_bytes > HEADER_COPY_BYTES / 2) {
		log_error("'%s': core is too big for the header",
			  h->core.volume_id);
		return -EINVAL;
	}
	header_pack_superblock(h, superblock);
	r = header_hmac_key(dek, h->core.uuid, h->core.volume_id, &key);
	if (r == 0)
		r = hmac(key, superblock, h->core_text, h->core_bytes,
			 h->hmac);
	secret_free(key);
	return r;
}

/* The HMAC of stored copy @index. */
static int verify_copy(struct header *h, unsigned int index,
		       const struct secret *key)
{
	const uint8_t *copy = h->stored + index * HEADER_COPY_BYTES;
	uint8_t digest[HEADER_DIGEST_BYTES];
	int r;

	r = hmac(key, copy, (const char *)copy + AT_CORE,
		 le32(copy + AT_CORE_BYTES), digest);
	if (r < 0)
		return r;
	if (CRYPTO_memcmp(digest, copy + AT_HMAC, sizeof(digest)) != 0) {
		h->copies[index].state = HEADER_COPY_TAMPERED;
		return -EBADMSG;
	}
	h->copies[index].state = HEADER_COPY_VERIFIED;
	return 0;
}

int header_verify_with(struct header *h, const char *name,
		       const char *lineage, const struct secret *key)
{
	unsigned int i;
	int r, worst;

	/* The copy that serves may be the forged one, so look at both. */
	worst = check_lineage(h, name, lineage);
	for (i = 0; i < HEADER_COPIES; i++) {
		if (h->copies[i].state < HEADER_COPY_GOOD)
			continue;
		r = verify_copy(h, i, key);
		if (r == -EBADMSG)
			log_error("'%s': copy %c of the header was tampered with: its HMAC is wrong; 'envelope check --copy %c --repair' replaces it if the other copy is good, else restore a header backup",
				  name, 'A' + i, 'B' - i);
		if (r < 0 && worst == 0)
			worst = r;
	}
	return worst;
}

int header_verify(struct header *h, const char *name, const struct secret *dek)
{
	char lineage[HEADER_LINEAGE_CHARS];
	struct secret *key = NULL;
	int r;

	r = check_dek(name, dek);
	if (r == 0)
		r = header_lineage(dek, lineage);
	if (r == 0)
		r = header_hmac_key(dek, h->core.uuid, h->core.volume_id,
				    &key);
	if (r == 0)
		r = header_verify_with(h, name, lineage, key);
	secret_free(key);
	return r;
}
