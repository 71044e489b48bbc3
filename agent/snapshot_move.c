// SPDX-License-Identifier: GPL-2.0-or-later
/* The stages of a chunk, one behind the other. */
#include "snapshot_move.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chunk.h"
#include "cipher.h"
#include "crc.h"
#include "device.h"
#include "log.h"

struct job {
	struct snapshot_move *m;
	const struct snapshot_work *w;
	uint64_t chunks;
	_Atomic uint64_t moved;
	_Atomic uint64_t kept;
};

static uint64_t chunks_of(const struct header_core *core)
{
	return core->size_bytes / SNAPSHOT_CHUNK_BYTES +
	       (core->size_bytes % SNAPSHOT_CHUNK_BYTES ? 1 : 0);
}

static size_t bytes_of(const struct snapshot_move *m, uint64_t index)
{
	uint64_t rest = m->core->size_bytes - index * SNAPSHOT_CHUNK_BYTES;

	return rest < SNAPSHOT_CHUNK_BYTES ? rest : SNAPSHOT_CHUNK_BYTES;
}

/* CRC-32C; never 0, which is that of a chunk nobody has made. */
static uint32_t checksum(const uint8_t *p, size_t bytes)
{
	uint32_t crc = crc32c(p, bytes);

	return crc ? crc : 1;
}

/* Files tell where they have no data; devices do not. */
static uint64_t next_of_bytes(const struct snapshot_move *m, uint64_t index,
			      uint64_t chunks)
{
	uint64_t at = m->in.offset_bytes + index * SNAPSHOT_CHUNK_BYTES;
	off_t data = lseek(m->in.fd, (off_t)at, SEEK_DATA);

	if (data < 0)
		return errno == ENXIO ? chunks : index;
	return ((uint64_t)data - m->in.offset_bytes) / SNAPSHOT_CHUNK_BYTES;
}

/* Where holes are ciphertext they have a plaintext, and it is kept. */
static bool passes_holes(const struct snapshot_move *m)
{
	return m->core->holes || m->keep_holes ||
	       (!m->decrypt && !m->encrypt);
}

static uint64_t next(void *user, uint64_t index)
{
	const struct job *job = user;
	const struct snapshot_move *m = job->m;

	if (!passes_holes(m))
		return index;
	return m->source ? snapshot_next_stored(m->source, index) :
			   next_of_bytes(m, index, job->chunks);
}

/* Same bytes under the same key in the same place give the same again. */
static const uint8_t *known_digest(const struct snapshot_move *m,
				   uint64_t index)
{
	const uint8_t *now, *then;

	if (!m->before)
		return NULL;
	now = snapshot_digest(m->source, index);
	then = snapshot_digest(m->before_source, index);
	if (!now || !then || memcmp(now, then, SNAPSHOT_DIGEST_BYTES) != 0)
		return NULL;
	return snapshot_digest(m->before, index);
}

static int stage_read(const struct snapshot_move *m, uint64_t index,
		      uint8_t *to, size_t bytes)
{
	if (m->source && !snapshot_digest(m->source, index)) {
		memset(to, 0, bytes);
		return 0;
	}
	if (m->source)
		return snapshot_store_get_block(m->from, m->source, index, to);
	return device_read_at(m->in.fd, m->in.name, to, bytes,
			      m->in.offset_bytes +
			      index * SNAPSHOT_CHUNK_BYTES);
}

/*
 * The plaintext is there for this function alone. Its checksum before and after
 * the second cipher catches memory that does not keep what is put into it.
 */
static int stage_rekey(const struct snapshot_move *m, uint64_t index,
		       struct pipeline_buffers *b, size_t bytes)
{
	uint64_t at = index * SNAPSHOT_CHUNK_BYTES;
	uint8_t *plain = secret_bytes(b->plain);
	uint32_t before;
	int r;

	r = chunk_decrypt(m->core, m->decrypt, at, b->in, plain, bytes);
	if (r < 0)
		return r;
	before = checksum(plain, bytes);
	r = chunk_encrypt_as(m->core, m->encrypt, at, b->in, plain, b->out,
			     bytes);
	if (r < 0)
		return r;
	if (m->crcs)
		m->crcs[index] = before;
	if (checksum(plain, bytes) == before)
		return 0;
	log_error("chunk %llu: its plaintext changed in memory while it was encrypted: test this machine's memory",
		  (unsigned long long)index);
	return -EIO;
}

/* What was stored, decrypted again, is what was read once. */
static int stage_check(const struct snapshot_move *m, uint64_t index,
		       struct pipeline_buffers *b, size_t bytes)
{
	uint8_t *plain = secret_bytes(b->plain);
	int r = chunk_decrypt(m->core, m->decrypt,
			      index * SNAPSHOT_CHUNK_BYTES, b->in, plain,
			      bytes);

	if (r < 0 || checksum(plain, bytes) == m->crcs[index])
		return r;
	log_error("chunk %llu of %s: it does not decrypt to what it was made of; nothing is published: test this machine's memory, and the store",
		  (unsigned long long)index, snapshot_id(m->source));
	return -EBADMSG;
}

/* Where what is read comes to: of a plain image into locked memory. */
static uint8_t *read_buffer(const struct snapshot_move *m,
			    struct pipeline_buffers *b)
{
	return m->encrypt && !m->decrypt ? secret_bytes(b->plain) : b->in;
}

/* *@ret is where the bytes are that go out: in locked memory, if plain. */
static int stage_cipher(const struct snapshot_move *m, uint64_t index,
			struct pipeline_buffers *b, size_t bytes,
			uint8_t **ret)
{
	uint64_t at = index * SNAPSHOT_CHUNK_BYTES;

	*ret = m->encrypt ? b->out :
	       m->decrypt ? secret_bytes(b->plain) : b->in;
	if (m->check)
		return stage_check(m, index, b, bytes);
	if (m->decrypt && m->encrypt)
		return stage_rekey(m, index, b, bytes);
	if (m->decrypt)
		return chunk_decrypt(m->core, m->decrypt, at, b->in, *ret,
				     bytes);
	if (m->encrypt)
		return chunk_encrypt(m->core, m->encrypt, at,
				     read_buffer(m, b), *ret, bytes);
	return 0;
}

/* Where zeros need not be written, holes of 64 KiB stay holes. */
static int write_pieces(const struct snapshot_move *m, const uint8_t *p,
			size_t bytes, uint64_t at)
{
	const size_t piece = m->sparse ? 64u << 10 : bytes;
	size_t done, n;
	int r = 0;

	for (done = 0; done < bytes && r == 0; done += n) {
		n = bytes - done < piece ? bytes - done : piece;
		if (!m->sparse || !cipher_all_zero(p + done, n))
			r = device_write_at(m->out.fd, m->out.name, p + done,
					    n, at + done);
	}
	return r;
}

static int stage_write(const struct snapshot_move *m, uint64_t index,
		       const uint8_t *p, size_t bytes)
{
	uint8_t *digest = m->digests + index * SNAPSHOT_DIGEST_BYTES;

	if (m->hash)
		return snapshot_sha256(p, bytes, digest);
	if (m->to)
		return snapshot_store_put_block(m->to, m->lineage, p, bytes,
						digest);
	if (m->out.fd < 0)
		return 0;
	return write_pieces(m, p, bytes, m->out.offset_bytes +
			    index * SNAPSHOT_CHUNK_BYTES);
}

static int64_t work(void *user, struct pipeline_buffers *b, uint64_t index)
{
	struct job *job = user;
	struct snapshot_move *m = job->m;
	size_t bytes = bytes_of(m, index);
	const uint8_t *known = known_digest(m, index);
	uint8_t *in, *out;
	int r;

	/* Kept from a snapshot that was checked when it was made. */
	if (m->check && m->crcs[index] == 0)
		return 0;
	if (known) {
		memcpy(m->digests + index * SNAPSHOT_DIGEST_BYTES, known,
		       SNAPSHOT_DIGEST_BYTES);
		job->kept++;
		return 0;
	}
	in = read_buffer(m, b);
	r = stage_read(m, index, in, bytes);
	if (r < 0)
		return r;
	if (!m->source && passes_holes(m) && cipher_all_zero(in, bytes))
		return (int64_t)bytes;
	r = stage_cipher(m, index, b, bytes, &out);
	if (r == 0)
		r = stage_write(m, index, out, bytes);
	if (r < 0)
		return r;
	job->moved++;
	return (int64_t)bytes;
}

int snapshot_move(struct snapshot_move *m, const struct snapshot_work *w)
{
	struct job job = { .m = m, .w = w, .chunks = chunks_of(m->core) };
	const struct pipeline p = {
		.what = m->what,
		.chunks = job.chunks,
		.size_bytes = m->core->size_bytes,
		.jobs = w->jobs,
		.plaintext = m->decrypt || m->encrypt,
		.bytes_per_second = w->bytes_per_second,
		.next = next,
		.work = work,
		.progress = w->progress,
		.user = &job,
	};
	int r;

	/* Pages of it that nobody writes to take no memory. */
	if (m->to || m->hash)
		m->digests = calloc(job.chunks, SNAPSHOT_DIGEST_BYTES);
	if ((m->to || m->hash) && !m->digests) {
		log_error("out of memory");
		return -ENOMEM;
	}
	r = pipeline_run(&p);
	m->moved = job.moved;
	m->kept = job.kept;
	return r;
}

int snapshot_move_tell(const struct snapshot_move *m, struct snapshot *s)
{
	static const uint8_t hole[SNAPSHOT_DIGEST_BYTES];
	uint64_t chunks = chunks_of(m->core), i;
	int r = 0;

	for (i = 0; i < chunks && r == 0; i++) {
		const uint8_t *digest = m->digests + i * SNAPSHOT_DIGEST_BYTES;

		r = snapshot_add_chunk(s, memcmp(digest, hole, sizeof(hole)) ?
				       digest : NULL);
	}
	if (r < 0)
		log_error("out of memory");
	return r;
}
