// SPDX-License-Identifier: GPL-2.0-or-later
/* RSA for digests of the audit trail, with OpenSSL. */
#include "audit_sign.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "files.h"
#include "log.h"

#define RSA_BITS 2048

struct audit_key {
	EVP_PKEY *pkey;
};

void audit_key_free(struct audit_key *key)
{
	if (!key)
		return;
	EVP_PKEY_free(key->pkey);
	free(key);
}

static int write_bio(const char *dir, const char *name, mode_t mode, BIO *bio)
{
	char *text = NULL;
	long bytes = BIO_get_mem_data(bio, &text);

	return file_write(dir, name, mode, text, (size_t)bytes);
}

static int write_pair(const char *dir, EVP_PKEY *pkey)
{
	BIO *private = BIO_new(BIO_s_secmem()), *public = BIO_new(BIO_s_mem());
	char *path = file_path(dir, FILE_AUDIT_PUBLIC);
	int rc = -ENOMEM;

	if (!private || !public || !path ||
	    PEM_write_bio_PrivateKey(private, pkey, NULL, NULL, 0, NULL,
				     NULL) != 1 ||
	    PEM_write_bio_PUBKEY(public, pkey) != 1)
		goto out;
	/* One of a key that is gone would be in the way. */
	unlink(path);
	rc = write_bio(dir, FILE_AUDIT_PUBLIC, 0644, public);
	if (rc == 0)
		rc = write_bio(dir, FILE_AUDIT_KEY, 0600, private);
	if (rc == 0)
		rc = dir_sync(dir);
out:
	free(path);
	BIO_free(private);
	BIO_free(public);
	return rc;
}

static int make_key(const char *dir, EVP_PKEY **ret)
{
	EVP_PKEY *pkey = EVP_RSA_gen(RSA_BITS);
	int rc = pkey ? write_pair(dir, pkey) : -EIO;

	if (rc < 0)
		EVP_PKEY_free(pkey);
	else
		*ret = pkey;
	return rc;
}

static int read_key(const char *dir, EVP_PKEY **ret)
{
	struct secret *text = NULL;
	BIO *bio = NULL;
	int rc = file_read(dir, FILE_AUDIT_KEY, 1, &text);

	if (rc < 0)
		return rc;
	bio = BIO_new_mem_buf(secret_cbytes(text), -1);
	if (bio)
		*ret = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	BIO_free(bio);
	secret_free(text);
	if (*ret && EVP_PKEY_get_bits(*ret) == RSA_BITS)
		return 0;
	log_error("%s/" FILE_AUDIT_KEY ": not an RSA key of %d bits", dir,
		  RSA_BITS);
	return -EINVAL;
}

int audit_key_open(const char *dir, struct audit_key **ret)
{
	struct audit_key *key = calloc(1, sizeof(*key));
	char *path = file_path(dir, FILE_AUDIT_KEY);
	int rc = -ENOMEM;

	if (key && path)
		rc = access(path, F_OK) < 0 && errno == ENOENT ?
		     make_key(dir, &key->pkey) : read_key(dir, &key->pkey);
	free(path);
	if (rc < 0)
		audit_key_free(key);
	else
		*ret = key;
	return rc;
}

int audit_key_read_public(const char *path, struct audit_key **ret)
{
	struct audit_key *key = calloc(1, sizeof(*key));
	BIO *bio = BIO_new_file(path, "r");

	if (key && bio)
		key->pkey = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
	BIO_free(bio);
	if (!key || !key->pkey) {
		log_error("%s: cannot read a public key in PEM", path);
		audit_key_free(key);
		return -EINVAL;
	}
	*ret = key;
	return 0;
}

int audit_key_fingerprint(const struct audit_key *key,
			  char ret[static AUDIT_HASH_HEX])
{
	uint8_t hash[CRYPTO_SHA256_BYTES];
	unsigned char *der = NULL;
	int bytes = i2d_PublicKey(key->pkey, &der);
	int rc = bytes > 0 ? crypto_sha256(der, (size_t)bytes, hash) : -EIO;

	OPENSSL_free(der);
	if (rc == 0)
		crypto_hex(hash, sizeof(hash), ret);
	return rc;
}

int audit_key_sign(const struct audit_key *key, const char *text,
		   char ret[static AUDIT_SIGNATURE_HEX])
{
	unsigned char raw[RSA_BITS / 8];
	size_t bytes = sizeof(raw);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int rc = -EIO;

	if (ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL,
				      key->pkey) == 1 &&
	    EVP_DigestSign(ctx, raw, &bytes, (const unsigned char *)text,
			   strlen(text)) == 1) {
		crypto_hex(raw, bytes, ret);
		rc = 0;
	}
	EVP_MD_CTX_free(ctx);
	return rc;
}

int audit_key_verify(const struct audit_key *key, const char *text,
		     const char *signature_hex)
{
	unsigned char raw[RSA_BITS / 8];
	size_t bytes;
	EVP_MD_CTX *ctx;
	int rc = -EBADMSG;

	if (OPENSSL_hexstr2buf_ex(raw, sizeof(raw), &bytes, signature_hex,
				  '\0') != 1)
		return rc;
	ctx = EVP_MD_CTX_new();
	if (ctx && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL,
					key->pkey) == 1 &&
	    EVP_DigestVerify(ctx, raw, bytes, (const unsigned char *)text,
			     strlen(text)) == 1)
		rc = 0;
	EVP_MD_CTX_free(ctx);
	return rc;
}
