// SPDX-License-Identifier: GPL-2.0-or-later
/* Seals and opens a long file piece by piece. */
#include "sealed_file.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto.h"
#include "files.h"

#define MAGIC "ENVKMSB\1"
#define MAGIC_BYTES 8
#define CHECK_BYTES 16
#define HEAD_BYTES (MAGIC_BYTES + CRYPTO_NONCE_BYTES + CHECK_BYTES)
#define PIECE_BYTES 65536

/* What both directions know. */
struct pieces {
	int fd;
	struct secret *key;   /* F */
	uint64_t next;        /* number of the next piece */
	struct secret *plain; /* PIECE_BYTES */
	size_t used;          /* bytes of it, to be sealed or given */
	uint8_t sealed[PIECE_BYTES + CRYPTO_TAG_BYTES];
};

struct sealed_out {
	struct pieces p;
};

struct sealed_in {
	struct pieces p;
	size_t given; /* of p.used */
	off_t left;   /* bytes of the file that have not been read */
	bool last;    /* the last piece has been opened */
};

/* -EBADMSG: the file ends before. */
static int read_all(int fd, uint8_t *data, size_t bytes)
{
	while (bytes) {
		ssize_t n = read(fd, data, bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EBADMSG;
		data += n;
		bytes -= (size_t)n;
	}
	return 0;
}

static int begin(struct pieces *p, int fd, const struct secret *root,
		 const uint8_t *nonce, uint8_t check_ret[static CHECK_BYTES])
{
	struct secret *check = NULL;
	int rc = crypto_kdf(root, "envelope-kms backup v1", nonce,
			    CRYPTO_NONCE_BYTES, &p->key);

	p->fd = fd;
	if (rc == 0)
		rc = crypto_kdf(p->key, "envelope-kms backup check v1",
				(const uint8_t *)"", 0, &check);
	if (rc == 0)
		memcpy(check_ret, secret_cbytes(check), CHECK_BYTES);
	secret_free(check);
	p->plain = secret_new(PIECE_BYTES);
	return rc == 0 && !p->plain ? -ENOMEM : rc;
}

static void end(struct pieces *p)
{
	secret_free(p->key);
	secret_free(p->plain);
}

static int piece_key(struct pieces *p, bool last, struct secret **ret)
{
	uint8_t context[9] = { 0 };
	int i;

	for (i = 0; i < 8; i++)
		context[i] = (uint8_t)(p->next >> (56 - 8 * i));
	context[8] = last;
	p->next++;
	return crypto_kdf(p->key, "envelope-kms backup piece v1", context,
			  sizeof(context), ret);
}

static int write_piece(struct pieces *p, bool last)
{
	static const struct crypto_aad none[] = { { NULL, 0 } };
	struct secret *key = NULL;
	int rc = piece_key(p, last, &key);

	if (rc == 0)
		rc = crypto_seal(key, none, secret_cbytes(p->plain), p->used,
				 p->sealed, p->sealed + p->used);
	if (rc == 0)
		rc = file_write_all(p->fd, p->sealed, p->used + CRYPTO_TAG_BYTES);
	p->used = 0;
	secret_free(key);
	return rc;
}

int sealed_out_begin(int fd, const struct secret *root,
		     struct sealed_out **ret)
{
	struct sealed_out *o = calloc(1, sizeof(*o));
	uint8_t head[HEAD_BYTES] = MAGIC;
	uint8_t *nonce = head + MAGIC_BYTES;
	int rc = o ? crypto_random(nonce, CRYPTO_NONCE_BYTES) : -ENOMEM;

	if (rc == 0)
		rc = begin(&o->p, fd, root, nonce, nonce + CRYPTO_NONCE_BYTES);
	if (rc == 0)
		rc = file_write_all(fd, head, sizeof(head));
	if (rc < 0) {
		sealed_out_free(o);
		return rc;
	}
	*ret = o;
	return 0;
}

int sealed_out_put(struct sealed_out *o, const void *data, size_t bytes)
{
	struct pieces *p = &o->p;
	const uint8_t *from = data;
	int rc = 0;

	while (rc == 0 && bytes) {
		size_t n = PIECE_BYTES - p->used;

		/* A full one waits: it may be the last. */
		if (n == 0) {
			rc = write_piece(p, false);
			continue;
		}
		if (n > bytes)
			n = bytes;
		memcpy(secret_bytes(p->plain) + p->used, from, n);
		p->used += n;
		from += n;
		bytes -= n;
	}
	return rc;
}

int sealed_out_end(struct sealed_out *o)
{
	return write_piece(&o->p, true);
}

void sealed_out_free(struct sealed_out *o)
{
	if (!o)
		return;
	end(&o->p);
	free(o);
}

static int read_head(int fd, const struct secret *root, struct sealed_in *in)
{
	uint8_t head[HEAD_BYTES], check[CHECK_BYTES];
	const uint8_t *nonce = head + MAGIC_BYTES;
	struct stat st;
	int rc;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	rc = read_all(fd, head, sizeof(head));
	if (rc == -EBADMSG || (rc == 0 && memcmp(head, MAGIC, MAGIC_BYTES)))
		return -EINVAL;
	if (rc == 0)
		rc = begin(&in->p, fd, root, nonce, check);
	if (rc == 0 && CRYPTO_memcmp(check, nonce + CRYPTO_NONCE_BYTES,
				     CHECK_BYTES) != 0)
		rc = -EKEYREJECTED;
	in->left = st.st_size - HEAD_BYTES;
	return rc;
}

int sealed_in_begin(int fd, const struct secret *root, struct sealed_in **ret)
{
	struct sealed_in *in = calloc(1, sizeof(*in));
	int rc = in ? read_head(fd, root, in) : -ENOMEM;

	if (rc < 0) {
		sealed_in_free(in);
		return rc;
	}
	*ret = in;
	return 0;
}

static int read_piece(struct sealed_in *in)
{
	static const struct crypto_aad none[] = { { NULL, 0 } };
	struct pieces *p = &in->p;
	size_t bytes = sizeof(p->sealed);
	struct secret *key = NULL;
	int rc;

	if (in->last || in->left < CRYPTO_TAG_BYTES)
		return -EBADMSG;
	in->last = in->left <= (off_t)bytes;
	if (in->last)
		bytes = (size_t)in->left;
	rc = read_all(p->fd, p->sealed, bytes);
	in->left -= (off_t)bytes;
	in->given = 0;
	p->used = bytes - CRYPTO_TAG_BYTES;
	if (rc == 0)
		rc = piece_key(p, in->last, &key);
	if (rc == 0)
		rc = crypto_open(key, none, p->sealed, p->used,
				 secret_bytes(p->plain), p->sealed + p->used);
	if (rc < 0)
		p->used = 0;
	secret_free(key);
	return rc;
}

int sealed_in_get(struct sealed_in *in, void *data, size_t bytes)
{
	uint8_t *to = data;
	int rc = 0;

	while (rc == 0 && bytes) {
		size_t n = in->p.used - in->given;

		if (n == 0) {
			rc = read_piece(in);
			continue;
		}
		if (n > bytes)
			n = bytes;
		memcpy(to, secret_cbytes(in->p.plain) + in->given, n);
		in->given += n;
		to += n;
		bytes -= n;
	}
	return rc;
}

int sealed_in_end(struct sealed_in *in)
{
	int rc = 0;

	/* Nothing may have been cut off behind a piece that is not the last. */
	if (!in->last && in->given == in->p.used)
		rc = read_piece(in);
	return rc == 0 && in->given < in->p.used ? -EBADMSG : rc;
}

void sealed_in_free(struct sealed_in *in)
{
	if (!in)
		return;
	end(&in->p);
	free(in);
}
