// SPDX-License-Identifier: GPL-2.0-or-later
/* Names and files of the audit trail's bucket. */
#include "audit_bucket.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "files.h"

#define TEXT_MAX (16 << 20)
#define CHUNK_BYTES 16384

struct audit_gz {
	int fd;          /* beside the one that zlib has, to flush */
	gzFile file;
	EVP_MD_CTX *hash;
	int rc;          /* the first error */
};

void audit_stamp_time(const char *stamp, char ret[static AUDIT_TIME_BYTES])
{
	snprintf(ret, AUDIT_TIME_BYTES, "%.4s-%.2s-%.5s:%.2s:%.3s", stamp,
		 stamp + 4, stamp + 6, stamp + 11, stamp + 13);
}

void audit_log_object(const char *account, const char *region,
		      const char *stamp, const char *unique,
		      char ret[static AUDIT_OBJECT_BYTES])
{
	snprintf(ret, AUDIT_OBJECT_BYTES,
		 "AWSLogs/%s/CloudTrail/%s/%.4s/%.2s/%.2s/%s_CloudTrail_%s_%.13sZ_%s.json.gz",
		 account, region, stamp, stamp + 4, stamp + 6, account,
		 region, stamp, unique);
}

void audit_digest_object(const char *account, const char *region,
			 const char *home, const char *stamp,
			 char ret[static AUDIT_OBJECT_BYTES])
{
	snprintf(ret, AUDIT_OBJECT_BYTES,
		 "AWSLogs/%s/CloudTrail-Digest/%s/%.4s/%.2s/%.2s/%s_CloudTrail-Digest_%s_" AUDIT_TRAIL "_%s_%s.json.gz",
		 account, region, stamp, stamp + 4, stamp + 6, account,
		 region, home, stamp);
}

char *audit_object_path(const char *bucket, const char *object)
{
	return file_path(bucket, object);
}

static int make_folder(const char *path)
{
	if (mkdir(path, 0700) < 0)
		return errno == EEXIST ? 0 : -errno;
	return parent_sync(path);
}

int audit_make_folders(const char *bucket, const char *object)
{
	char *path = audit_object_path(bucket, object);
	char *slash;
	int rc = path ? 0 : -ENOMEM;

	if (!path)
		return rc;
	slash = path + strlen(bucket);
	while (rc == 0 && (slash = strchr(slash + 1, '/'))) {
		*slash = '\0';
		rc = make_folder(path);
		*slash = '/';
	}
	free(path);
	return rc;
}

static void fail(struct audit_gz *gz, int rc)
{
	if (gz->rc == 0)
		gz->rc = rc;
}

int audit_gz_begin(const char *path, struct audit_gz **ret)
{
	struct audit_gz *gz = calloc(1, sizeof(*gz));
	char hash[AUDIT_HASH_HEX];
	int other;

	if (!gz)
		return -ENOMEM;
	gz->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	other = gz->fd < 0 ? -1 : dup(gz->fd);
	if (other < 0)
		fail(gz, -errno);
	else
		gz->file = gzdopen(other, "wb6");
	gz->hash = EVP_MD_CTX_new();
	if (!gz->file || !gz->hash ||
	    EVP_DigestInit_ex(gz->hash, EVP_sha256(), NULL) != 1)
		fail(gz, -ENOMEM);
	if (gz->rc < 0)
		return audit_gz_end(gz, hash);
	*ret = gz;
	return 0;
}

void audit_gz_put(struct audit_gz *gz, const char *data, size_t bytes)
{
	if (bytes && gzwrite(gz->file, data, (unsigned int)bytes) <= 0)
		fail(gz, errno ? -errno : -EIO);
	if (EVP_DigestUpdate(gz->hash, data, bytes) != 1)
		fail(gz, -EIO);
}

int audit_gz_end(struct audit_gz *gz, char hash_ret[static AUDIT_HASH_HEX])
{
	uint8_t hash[CRYPTO_SHA256_BYTES];
	int rc;

	if (gz->file && gzclose(gz->file) != Z_OK)
		fail(gz, errno ? -errno : -EIO);
	if (gz->rc == 0 && EVP_DigestFinal_ex(gz->hash, hash, NULL) != 1)
		fail(gz, -EIO);
	if (gz->rc == 0 && fsync(gz->fd) < 0)
		fail(gz, -errno);
	if (gz->rc == 0)
		crypto_hex(hash, sizeof(hash), hash_ret);
	EVP_MD_CTX_free(gz->hash);
	if (gz->fd >= 0)
		close(gz->fd);
	rc = gz->rc;
	free(gz);
	return rc;
}

/* Appends to *@text, unless that is not wanted. */
static int keep(char **text, size_t *used, const char *data, size_t bytes)
{
	char *bigger;

	if (*used + bytes > TEXT_MAX)
		return -EBADMSG;
	bigger = realloc(*text, *used + bytes + 1);
	if (!bigger)
		return -ENOMEM;
	memcpy(bigger + *used, data, bytes);
	*used += bytes;
	bigger[*used] = '\0';
	*text = bigger;
	return 0;
}

static int inflate_all(gzFile file, EVP_MD_CTX *ctx, char **text)
{
	char chunk[CHUNK_BYTES];
	size_t used = 0;
	int n, error, rc = 0;

	/* zlib passes through what is not gzip; here that is an error. */
	while (rc == 0 && (n = gzread(file, chunk, sizeof(chunk))) > 0) {
		if (EVP_DigestUpdate(ctx, chunk, (size_t)n) != 1)
			rc = -EIO;
		if (rc == 0 && text)
			rc = keep(text, &used, chunk, (size_t)n);
	}
	gzerror(file, &error);
	if (rc == 0 && (error != Z_OK || gzdirect(file)))
		rc = -EBADMSG;
	return rc;
}

int audit_gz_read(const char *path, char hash_ret[static AUDIT_HASH_HEX],
		  char **text_ret)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t hash[CRYPTO_SHA256_BYTES];
	char *text = NULL;
	gzFile file = NULL;
	int rc = fd < 0 ? -errno : -ENOMEM;

	if (fd >= 0)
		file = gzdopen(fd, "rb");
	if (file && ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1)
		rc = inflate_all(file, ctx, text_ret ? &text : NULL);
	if (rc == 0 && EVP_DigestFinal_ex(ctx, hash, NULL) != 1)
		rc = -EIO;
	if (file)
		gzclose(file);
	else if (fd >= 0)
		close(fd);
	EVP_MD_CTX_free(ctx);
	if (rc == 0 && text_ret && !text)
		rc = -EBADMSG;
	if (rc < 0) {
		free(text);
		return rc;
	}
	crypto_hex(hash, sizeof(hash), hash_ret);
	if (text_ret)
		*text_ret = text;
	return 0;
}
