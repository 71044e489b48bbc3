// SPDX-License-Identifier: GPL-2.0-or-later
/* A small table of signing keys, all in one locked page. */
#include "signing_keys.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 32 /* a newer key takes the place of an older one */
#define TEXT_BYTES 1024

struct entry {
	uint8_t digest[CRYPTO_SHA256_BYTES]; /* of what the key is made of */
	uint8_t key[CRYPTO_SHA256_BYTES];
	bool used;
};

struct signing_keys {
	pthread_mutex_t lock;  /* guards the entries */
	struct secret *entries; /* SLOTS of them */
};

int signing_keys_new(struct signing_keys **ret)
{
	struct signing_keys *k = calloc(1, sizeof(*k));

	if (!k)
		return -ENOMEM;
	k->entries = secret_new(SLOTS * sizeof(struct entry));
	if (!k->entries) {
		free(k);
		return -ENOMEM;
	}
	memset(secret_bytes(k->entries), 0, secret_len(k->entries));
	pthread_mutex_init(&k->lock, NULL);
	*ret = k;
	return 0;
}

void signing_keys_free(struct signing_keys *k)
{
	if (!k)
		return;
	secret_free(k->entries);
	pthread_mutex_destroy(&k->lock);
	free(k);
}

static struct entry *entry_of(struct signing_keys *k, const uint8_t *digest)
{
	struct entry *all = (struct entry *)secret_bytes(k->entries);

	return &all[digest[0] % SLOTS];
}

/* -EMSGSIZE: such a row is not ours, and nothing is kept of it. */
static int digest_of(const struct sealed_key *sealed,
		     const struct sigv4_claim *claim,
		     uint8_t ret[static CRYPTO_SHA256_BYTES])
{
	const char *const texts[] = {
		sealed->place.kind, sealed->place.account,
		sealed->place.region, sealed->place.key_id,
		sealed->place.material_id, claim->date, claim->region,
		claim->service, claim->terminator,
	};
	char all[TEXT_BYTES];
	size_t used = 0, i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		size_t n = strlen(texts[i]) + 1;

		if (n > sizeof(all) - used)
			return -EMSGSIZE;
		memcpy(all + used, texts[i], n);
		used += n;
	}
	if (sealed->bytes > sizeof(all) - used)
		return -EMSGSIZE;
	memcpy(all + used, sealed->data, sealed->bytes);
	return crypto_sha256(all, used + sealed->bytes, ret);
}

static bool find(struct signing_keys *k, const uint8_t *digest,
		 struct secret *key)
{
	struct entry *e = entry_of(k, digest);
	bool found;

	pthread_mutex_lock(&k->lock);
	found = e->used && memcmp(e->digest, digest, sizeof(e->digest)) == 0;
	if (found)
		memcpy(secret_bytes(key), e->key, sizeof(e->key));
	pthread_mutex_unlock(&k->lock);
	return found;
}

static void keep(struct signing_keys *k, const uint8_t *digest,
		 const struct secret *key)
{
	struct entry *e = entry_of(k, digest);

	pthread_mutex_lock(&k->lock);
	memcpy(e->digest, digest, sizeof(e->digest));
	memcpy(e->key, secret_cbytes(key), sizeof(e->key));
	e->used = true;
	pthread_mutex_unlock(&k->lock);
}

static int derive(const struct secret *root, const struct sealed_key *sealed,
		  const struct sigv4_claim *claim, struct secret *key)
{
	struct secret *plain = NULL;
	int rc = seal_open(root, &sealed->place, sealed->data, sealed->bytes,
			   &plain);

	if (rc == 0)
		rc = sigv4_signing_key(claim, plain, key);
	secret_free(plain);
	return rc;
}

int signing_key_get(struct signing_keys *k, const struct secret *root,
		    const struct sealed_key *sealed,
		    const struct sigv4_claim *claim, struct secret **ret)
{
	struct secret *key = secret_new(CRYPTO_SHA256_BYTES);
	uint8_t digest[CRYPTO_SHA256_BYTES];
	int rc = key ? digest_of(sealed, claim, digest) : -ENOMEM;
	bool keepable = rc == 0;

	if (rc == 0 && find(k, digest, key)) {
		*ret = key;
		return 0;
	}
	if (rc == 0 || rc == -EMSGSIZE)
		rc = derive(root, sealed, claim, key);
	if (rc < 0) {
		secret_free(key);
		return rc;
	}
	if (keepable)
		keep(k, digest, key);
	*ret = key;
	return 0;
}
