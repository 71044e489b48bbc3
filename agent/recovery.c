// SPDX-License-Identifier: GPL-2.0-or-later
/* Recovery keys: their text with its checks, and what they wrap. */
#include "recovery.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "context.h"

#define NONCE_BYTES 12
#define TAG_BYTES 16
#define DEK_BYTES 64
#define DATA_CHARS (RECOVERY_GROUP_CHARS - 1)
#define ID_PREFIX "recovery:"
#define ID_DIGITS 16

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
static const char label[] = "envelope recovery v1";

int recovery_new(struct secret **ret)
{
	struct secret *key = secret_new(RECOVERY_KEY_BYTES);

	if (!key)
		return -ENOMEM;
	/* So few bytes come whole, or not at all. */
	if (getrandom(secret_bytes(key), RECOVERY_KEY_BYTES, 0) !=
	    RECOVERY_KEY_BYTES) {
		secret_free(key);
		return -EIO;
	}
	*ret = key;
	return 0;
}

/* Times a = x in GF(32), x^5 + x^2 + 1. */
static unsigned int times_a(unsigned int e)
{
	e <<= 1;
	return e & 32 ? e ^ 0x25 : e;
}

/* Of group @n, from 1. */
static unsigned int check_of(unsigned int n, const uint8_t d[DATA_CHARS])
{
	unsigned int sum = n;
	size_t i;

	for (i = 0; i < DATA_CHARS; i++)
		sum = times_a(sum) ^ d[i];
	/* Once more, or the check and what is before it could change places. */
	return times_a(sum);
}

/* The five bits at place @i of @key; those behind its end are zero. */
static uint8_t bits_at(const uint8_t *key, size_t i)
{
	size_t bit = i * 5, byte = bit / 8;
	unsigned int two;

	if (byte >= RECOVERY_KEY_BYTES)
		return 0;
	two = key[byte] << 8;
	if (byte + 1 < RECOVERY_KEY_BYTES)
		two |= key[byte + 1];
	return two >> (11 - bit % 8) & 31;
}

int recovery_print(const struct secret *key, struct secret **ret)
{
	struct secret *text = secret_new(RECOVERY_TEXT_CHARS);
	uint8_t d[DATA_CHARS];
	unsigned int n;
	size_t i;
	char *at;

	if (!text)
		return -ENOMEM;
	at = (char *)secret_bytes(text);
	for (n = 1; n <= RECOVERY_GROUPS; n++) {
		for (i = 0; i < DATA_CHARS; i++) {
			d[i] = bits_at(secret_cbytes(key),
				       (n - 1) * DATA_CHARS + i);
			*at++ = alphabet[d[i]];
		}
		*at++ = alphabet[check_of(n, d)];
		*at++ = n < RECOVERY_GROUPS ? '-' : '\0';
	}
	wipe(d, sizeof(d));
	*ret = text;
	return 0;
}

/* What is easily taken for another, is. -1: none of them. */
static int digit_of(char c)
{
	const char *at;

	c = toupper((unsigned char)c);
	if (c == 'O')
		c = '0';
	if (c == 'I' || c == 'L')
		c = '1';
	at = c ? strchr(alphabet, c) : NULL;
	return at ? at - alphabet : -1;
}

static bool is_between(char c)
{
	return c == '-' || isspace((unsigned char)c);
}

/*
 * The characters that count, of which there have to be as many as in a key:
 * otherwise nobody can tell which group lacks one.
 */
static int gather(const char *text, size_t chars, char *ret)
{
	size_t n = 0, i;

	for (i = 0; i < chars; i++) {
		if (is_between(text[i]))
			continue;
		if (n == RECOVERY_GROUPS * RECOVERY_GROUP_CHARS)
			return -EBADMSG;
		ret[n++] = text[i];
	}
	return n == RECOVERY_GROUPS * RECOVERY_GROUP_CHARS ? 0 : -EBADMSG;
}

/* False: a typing error. The bits go to their place in @key. */
static bool take_group(unsigned int n, const char *text, uint8_t *key)
{
	uint8_t d[DATA_CHARS];
	bool good = true;
	size_t i, bit;

	for (i = 0; i < DATA_CHARS; i++) {
		int digit = digit_of(text[i]);

		good &= digit >= 0;
		d[i] = digit < 0 ? 0 : digit;
	}
	good = good && digit_of(text[DATA_CHARS]) == (int)check_of(n, d);
	for (i = 0; i < DATA_CHARS * 5; i++) {
		bool set = d[i / 5] >> (4 - i % 5) & 1;

		bit = (n - 1) * DATA_CHARS * 5 + i;
		if (set && bit >= 8 * RECOVERY_KEY_BYTES)
			good = false;
		else if (set)
			key[bit / 8] |= 0x80 >> bit % 8;
	}
	wipe(d, sizeof(d));
	return good;
}

int recovery_parse(const char *text, size_t chars, struct secret **ret,
		   unsigned int *wrong_ret)
{
	struct secret *plain = secret_new(RECOVERY_TEXT_CHARS);
	struct secret *key = secret_new(RECOVERY_KEY_BYTES);
	unsigned int wrong = 0, n;
	char *groups;
	int r = -ENOMEM;

	if (!plain || !key)
		goto out;
	groups = (char *)secret_bytes(plain);
	r = gather(text, chars, groups);
	for (n = 1; r == 0 && n <= RECOVERY_GROUPS; n++, groups +=
	     RECOVERY_GROUP_CHARS)
		if (!take_group(n, groups, secret_bytes(key)))
			wrong |= 1u << (n - 1);
	if (wrong)
		r = -EBADMSG;
	*wrong_ret = wrong;
	if (r < 0)
		goto out;
	*ret = key;
	key = NULL;
out:
	secret_free(plain);
	secret_free(key);
	return r;
}

int recovery_id(const struct secret *key, char ret[RECOVERY_ID_CHARS])
{
	size_t i, at = strlen(ID_PREFIX);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t sum[32];
	int r = -ENOMEM;

	if (ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 &&
	    EVP_DigestUpdate(ctx, label, sizeof(label) - 1) == 1 &&
	    EVP_DigestUpdate(ctx, secret_cbytes(key),
			     RECOVERY_KEY_BYTES) == 1 &&
	    EVP_DigestFinal_ex(ctx, sum, NULL) == 1)
		r = 0;
	EVP_MD_CTX_free(ctx);
	if (r < 0)
		return r;
	strcpy(ret, ID_PREFIX);
	for (i = 0; i < ID_DIGITS / 2; i++)
		sprintf(ret + at + 2 * i, "%02x", sum[i]);
	return 0;
}

bool recovery_id_valid(const char *text)
{
	size_t prefix = strlen(ID_PREFIX);

	return strncmp(text, ID_PREFIX, prefix) == 0 &&
	       strlen(text) == prefix + ID_DIGITS &&
	       strspn(text + prefix, "0123456789abcdef") == ID_DIGITS;
}

int recovery_wrap(const struct secret *key, const json_t *context,
		  const struct secret *dek,
		  uint8_t ret[RECOVERY_WRAPPED_BYTES])
{
	uint8_t *nonce = ret, *sealed = ret + NONCE_BYTES;
	struct context aad = { 0 };
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int n, r = -EINVAL;

	if (secret_len(dek) == DEK_BYTES)
		r = c ? context_encode(context, &aad) : -ENOMEM;
	if (r == 0 &&
	    (getrandom(nonce, NONCE_BYTES, 0) != NONCE_BYTES ||
	     EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL,
				secret_cbytes(key), nonce) != 1 ||
	     EVP_EncryptUpdate(c, NULL, &n, aad.data, aad.bytes) != 1 ||
	     EVP_EncryptUpdate(c, sealed, &n, secret_cbytes(dek),
			       DEK_BYTES) != 1 ||
	     EVP_EncryptFinal_ex(c, sealed + DEK_BYTES, &n) != 1 ||
	     EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES,
				 sealed + DEK_BYTES) != 1))
		r = -EIO;
	EVP_CIPHER_CTX_free(c);
	context_free(&aad);
	return r;
}

int recovery_unwrap(const struct secret *key, const json_t *context,
		    const uint8_t *wrapped, size_t wrapped_bytes,
		    struct secret **dek_ret)
{
	const uint8_t *sealed = wrapped + NONCE_BYTES;
	struct secret *dek = secret_new(DEK_BYTES);
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	struct context aad = { 0 };
	int n, r = -EBADMSG;

	if (wrapped_bytes == RECOVERY_WRAPPED_BYTES)
		r = c && dek ? context_encode(context, &aad) : -ENOMEM;
	if (r == 0 &&
	    (EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL,
				secret_cbytes(key), wrapped) != 1 ||
	     EVP_DecryptUpdate(c, NULL, &n, aad.data, aad.bytes) != 1 ||
	     EVP_DecryptUpdate(c, secret_bytes(dek), &n, sealed,
			       DEK_BYTES) != 1 ||
	     EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES,
				 (void *)(sealed + DEK_BYTES)) != 1 ||
	     EVP_DecryptFinal_ex(c, secret_bytes(dek) + DEK_BYTES, &n) != 1))
		r = -EBADMSG;
	if (r == 0) {
		*dek_ret = dek;
		dek = NULL;
	}
	secret_free(dek);
	EVP_CIPHER_CTX_free(c);
	context_free(&aad);
	return r;
}
