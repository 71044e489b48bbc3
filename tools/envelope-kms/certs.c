// SPDX-License-Identifier: GPL-2.0-or-later
/* Makes the X.509 files with OpenSSL. */
#include "certs.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "log.h"

#define VALID_SECONDS (10L * 365 * 24 * 60 * 60)
/* A clock that is a little behind must not refuse a fresh certificate. */
#define BACKDATE_SECONDS (60L * 60)

static bool is_address(const char *host)
{
	unsigned char raw[16];

	return inet_pton(AF_INET, host, raw) == 1 ||
	       inet_pton(AF_INET6, host, raw) == 1;
}

int certs_host_ok(const char *host)
{
	const char *p;

	if (is_address(host))
		return 1;
	if (!*host || strlen(host) > 253 || *host == '.' || *host == '-')
		return 0;
	for (p = host; *p; p++)
		if (!isalnum((unsigned char)*p) && *p != '.' && *p != '-')
			return 0;
	return 1;
}

static bool add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *ext;
	X509V3_CTX ctx;
	bool ok;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	ok = ext && X509_add_ext(cert, ext, -1) == 1;
	X509_EXTENSION_free(ext);
	return ok;
}

static bool set_serial(X509 *cert)
{
	unsigned char raw[16];
	BIGNUM *n = NULL;
	bool ok = false;

	if (RAND_bytes(raw, sizeof(raw)) != 1)
		return false;
	raw[0] &= 0x7f;
	n = BN_bin2bn(raw, sizeof(raw), NULL);
	ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert));
	BN_free(n);
	return ok;
}

/* A certificate for @key, not yet signed and without extensions. */
static X509 *new_cert(EVP_PKEY *key, const char *name, X509 *issuer)
{
	X509 *cert = X509_new();
	X509_NAME *subject;

	if (!cert)
		return NULL;
	subject = X509_get_subject_name(cert);
	if (X509_set_version(cert, 2) != 1 || !set_serial(cert) ||
	    !X509_gmtime_adj(X509_getm_notBefore(cert), -BACKDATE_SECONDS) ||
	    !X509_gmtime_adj(X509_getm_notAfter(cert), VALID_SECONDS) ||
	    X509_set_pubkey(cert, key) != 1 ||
	    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
				       (const unsigned char *)name, -1, -1,
				       0) != 1 ||
	    X509_set_issuer_name(cert, issuer ?
				 X509_get_subject_name(issuer) :
				 subject) != 1) {
		X509_free(cert);
		return NULL;
	}
	return cert;
}

static X509 *make_ca(EVP_PKEY *key)
{
	X509 *ca = new_cert(key, "envelope-kms CA", NULL);

	if (ca && add_extension(ca, ca, NID_basic_constraints,
				"critical,CA:TRUE,pathlen:0") &&
	    add_extension(ca, ca, NID_key_usage,
			  "critical,keyCertSign,cRLSign") &&
	    add_extension(ca, ca, NID_subject_key_identifier, "hash") &&
	    X509_sign(ca, key, EVP_sha256()) > 0)
		return ca;
	X509_free(ca);
	return NULL;
}

/* The subjectAltName of the server, in OpenSSL's words. */
static char *alt_names(const char *const *hosts, size_t count)
{
	char *text = NULL;
	size_t bytes, i;
	FILE *out = open_memstream(&text, &bytes);

	if (!out)
		return NULL;
	fputs("DNS:localhost,IP:127.0.0.1,IP:::1", out);
	for (i = 0; i < count; i++)
		fprintf(out, ",%s:%s", is_address(hosts[i]) ? "IP" : "DNS",
			hosts[i]);
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

static X509 *make_server(EVP_PKEY *key, X509 *ca, EVP_PKEY *ca_key,
			 const char *names)
{
	X509 *cert = new_cert(key, "envelope-kms", ca);

	if (cert && names && add_extension(cert, ca, NID_basic_constraints,
					   "critical,CA:FALSE") &&
	    add_extension(cert, ca, NID_key_usage,
			  "critical,digitalSignature") &&
	    add_extension(cert, ca, NID_ext_key_usage, "serverAuth") &&
	    add_extension(cert, ca, NID_subject_key_identifier, "hash") &&
	    add_extension(cert, ca, NID_authority_key_identifier, "keyid") &&
	    add_extension(cert, ca, NID_subject_alt_name, names) &&
	    X509_sign(cert, ca_key, EVP_sha256()) > 0)
		return cert;
	X509_free(cert);
	return NULL;
}

static int write_pem(const char *dir, const char *name, X509 *cert,
		     EVP_PKEY *key)
{
	BIO *bio = BIO_new(cert ? BIO_s_mem() : BIO_s_secmem());
	char *data;
	long bytes;
	int rc = -EIO;

	if (!bio)
		return -ENOMEM;
	if (cert ? PEM_write_bio_X509(bio, cert) == 1 :
	    PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL,
					  NULL) == 1) {
		bytes = BIO_get_mem_data(bio, &data);
		rc = file_write(dir, name, cert ? 0644 : 0600, data,
				(size_t)bytes);
	}
	BIO_free(bio);
	return rc;
}

int certs_make(const char *dir, const char *const *hosts, size_t count)
{
	EVP_PKEY *ca_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
	char *names = alt_names(hosts, count);
	X509 *ca = ca_key ? make_ca(ca_key) : NULL;
	X509 *cert = ca && key ? make_server(key, ca, ca_key, names) : NULL;
	int rc = -EIO;

	if (!cert) {
		log_error("cannot make the TLS certificates");
		goto out;
	}
	rc = write_pem(dir, FILE_CA, ca, NULL);
	if (rc == 0)
		rc = write_pem(dir, FILE_CA_KEY, NULL, ca_key);
	if (rc == 0)
		rc = write_pem(dir, FILE_CERTIFICATE, cert, NULL);
	if (rc == 0)
		rc = write_pem(dir, FILE_KEY, NULL, key);
out:
	X509_free(cert);
	X509_free(ca);
	EVP_PKEY_free(key);
	EVP_PKEY_free(ca_key);
	free(names);
	return rc;
}
