// SPDX-License-Identifier: GPL-2.0
/*
 * The key type "envelope", and how a key is found and used; the only file
 * that sees the bytes of a secret.
 */

#include <linux/atomic.h>
#include <linux/err.h>
#include <linux/key-type.h>
#include <linux/keyctl.h>
#include <linux/ktime.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/timekeeping.h>
#include <crypto/algapi.h>
#include <keys/user-type.h>

#include "envelope.h"

#define HALF_BYTES	(ENVELOPE_SECRET_BYTES / 2)

/* Keeps this digest apart from any other use of SHA-256 on a secret. */
static const u8 digest_label[] = "dm-envelope volume key 1";

/* CRYPTO_MINALIGN: setkey would otherwise make a copy to align it */
struct envelope_payload {
	u8 secret[ENVELOPE_SECRET_BYTES] __aligned(CRYPTO_MINALIGN);
	/* both under the registry mutex */
	time64_t seen_expiry;		/* wall clock seconds, as in the key */
	time64_t deadline;		/* seconds since boot, TIME64_MAX: none */
};

static atomic_t payload_count = ATOMIC_INIT(0);

static void payload_free(struct envelope_payload *payload)
{
	if (!payload)
		return;
	kfree_sensitive(payload);
	atomic_dec(&payload_count);
}

static bool secret_valid(const void *secret, size_t bytes)
{
	/* equal halves would make XTS a weak ECB (IEEE 1619, FIPS 140-3 IG) */
	return bytes == ENVELOPE_SECRET_BYTES &&
	       crypto_memneq(secret, secret + HALF_BYTES, HALF_BYTES);
}

static int type_vet_description(const char *description)
{
	return envelope_name_valid(description) ? 0 : -EINVAL;
}

static int type_preparse(struct key_preparsed_payload *prep)
{
	struct envelope_payload *payload;

	if (!prep->data || !secret_valid(prep->data, prep->datalen))
		return -EINVAL;
	payload = kmalloc(sizeof(*payload), GFP_KERNEL);
	if (!payload)
		return -ENOMEM;
	memcpy(payload->secret, prep->data, ENVELOPE_SECRET_BYTES);
	payload->seen_expiry = -1;	/* no key has it */
	payload->deadline = TIME64_MAX;
	atomic_inc(&payload_count);
	prep->payload.data[0] = payload;
	prep->quotalen = ENVELOPE_SECRET_BYTES;
	return 0;
}

static void type_free_preparse(struct key_preparsed_payload *prep)
{
	payload_free(prep->payload.data[0]);
	prep->payload.data[0] = NULL;
}

/*
 * Without this method a second add_key() of a name silently replaces the link
 * to the first key, and its revocation would then hit a key nobody uses.
 */
static int type_update(struct key *key, struct key_preparsed_payload *prep)
{
	return -EEXIST;
}

static void wipe(struct key *key)
{
	struct envelope_payload *payload = key->payload.data[0];

	key->payload.data[0] = NULL;
	payload_free(payload);
}

static void type_revoke(struct key *key)
{
	envelope_lock_users(key, ENVELOPE_REASON_REVOKED);
	wipe(key);
}

static void type_destroy(struct key *key)
{
	wipe(key);
}

static void type_describe(const struct key *key, struct seq_file *m)
{
	seq_puts(m, key->description);
	if (key_is_positive(key))
		seq_printf(m, ": %u", key->datalen);
}

static struct key_type key_type_envelope = {
	.name			= ENVELOPE_KEY_TYPE_NAME,
	.def_datalen		= ENVELOPE_SECRET_BYTES,
	.flags			= KEY_TYPE_INSTANT_REAP,
	.vet_description	= type_vet_description,
	.preparse		= type_preparse,
	.free_preparse		= type_free_preparse,
	.instantiate		= generic_key_instantiate,
	.update			= type_update,
	.revoke			= type_revoke,
	.destroy		= type_destroy,
	.describe		= type_describe,
};

int envelope_key_init(void)
{
	return register_key_type(&key_type_envelope);
}

void envelope_key_exit(void)
{
	unregister_key_type(&key_type_envelope);
}

unsigned int envelope_key_count(void)
{
	return atomic_read(&payload_count);
}

/*
 * request_key() does not look into the user keyring unless the session links
 * it, and under systemd, sudo or an initramfs it does not.
 */
static struct key *find_in_user_keyring(struct key_type *type,
					const char *name)
{
	key_ref_t keyring, found;

	keyring = lookup_user_key(KEY_SPEC_USER_KEYRING, 0, KEY_NEED_SEARCH);
	if (IS_ERR(keyring))
		return ERR_CAST(keyring);
	found = keyring_search(keyring, type, name, true);
	key_ref_put(keyring);
	if (IS_ERR(found))
		return ERR_CAST(found);
	return key_ref_to_ptr(found);
}

struct key *envelope_key_find(bool leased, const char *name)
{
	struct key_type *type = leased ? &key_type_envelope : &key_type_logon;
	struct key *key, *other;

	key = request_key(type, name, NULL);
	if (!IS_ERR(key))
		return key;
	other = find_in_user_keyring(type, name);
	/* a dead key says more than one that is not there */
	if (other == ERR_PTR(-EAGAIN) || other == ERR_PTR(-ENOKEY))
		return key;
	return other;
}

/* The secret of a key, or NULL. Under key->sem. */
static const u8 *secret_of(struct key *key, bool leased)
{
	const struct user_key_payload *logon;
	const struct envelope_payload *payload;

	if (leased) {
		payload = key->payload.data[0];
		return payload ? payload->secret : NULL;
	}
	logon = user_key_payload_locked(key);
	if (!logon || logon->datalen != ENVELOPE_SECRET_BYTES)
		return NULL;
	return logon->data;
}

int envelope_key_check(struct key *key, bool leased)
{
	const u8 *secret;
	int r;

	r = key_validate(key);
	if (r)
		return r == -ENOKEY ? -EKEYREVOKED : r;
	secret = secret_of(key, leased);
	if (!secret)
		return leased ? -EKEYREVOKED : -EINVAL;
	return secret_valid(secret, ENVELOPE_SECRET_BYTES) ? 0 : -EINVAL;
}

void envelope_key_digest(struct key *key, bool leased,
			 u8 digest_ret[SHA256_DIGEST_SIZE])
{
	u8 text[sizeof(digest_label) + ENVELOPE_SECRET_BYTES];

	memcpy(text, digest_label, sizeof(digest_label));
	memcpy(text + sizeof(digest_label), secret_of(key, leased),
	       ENVELOPE_SECRET_BYTES);
	sha256(text, sizeof(text), digest_ret);
	memzero_explicit(text, sizeof(text));
}

int envelope_key_apply(struct key *key, bool leased,
		       struct envelope_cipher *cipher)
{
	return envelope_cipher_set(cipher, secret_of(key, leased));
}

enum envelope_reason envelope_key_reason(const struct key *key)
{
	unsigned long flags = READ_ONCE(key->flags);
	time64_t expiry = READ_ONCE(key->expiry);

	if (flags & BIT(KEY_FLAG_REVOKED))
		return ENVELOPE_REASON_REVOKED;
	if (flags & BIT(KEY_FLAG_INVALIDATED))
		return ENVELOPE_REASON_INVALIDATED;
	if (expiry && expiry <= ktime_get_real_seconds())
		return ENVELOPE_REASON_EXPIRED;
	return ENVELOPE_REASON_NONE;
}

time64_t envelope_key_deadline(struct key *key)
{
	/* wiped only once no target has the key any more */
	struct envelope_payload *payload = key->payload.data[0];
	time64_t expiry = READ_ONCE(key->expiry);
	time64_t left;

	if (expiry == payload->seen_expiry)
		return payload->deadline;
	payload->seen_expiry = expiry;
	payload->deadline = TIME64_MAX;
	if (expiry && expiry != TIME64_MAX) {
		left = max_t(time64_t, expiry - ktime_get_real_seconds(), 0);
		payload->deadline = ktime_get_boottime_seconds() + left;
	}
	return payload->deadline;
}

void envelope_key_kill(struct key *key, enum envelope_reason reason)
{
	down_write(&key->sem);
	envelope_lock_users(key, reason);
	wipe(key);
	up_write(&key->sem);
}
