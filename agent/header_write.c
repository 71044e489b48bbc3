// SPDX-License-Identifier: GPL-2.0-or-later
/* Changing a stored header so that one whole copy is there at every moment. */
#include "header_private.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

#include "log.h"

#define LOCK_TRIES 200
#define LOCK_WAIT_NS 50000000	/* 50 ms: 10 s in all */

static int lock(int fd, const char *name, int most)
{
	const struct timespec wait = { .tv_nsec = LOCK_WAIT_NS };
	int tries;

	for (tries = 0; tries < most; tries++) {
		if (tries > 0)
			nanosleep(&wait, NULL);
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK && errno != EINTR) {
			log_error("'%s': cannot lock: %s", name,
				  strerror(errno));
			return -EIO;
		}
	}
	log_error("'%s': another program holds the header's lock: try again when it is done",
		  name);
	return -EBUSY;
}

int header_lock(int fd, const char *name)
{
	return lock(fd, name, LOCK_TRIES);
}

int header_lock_now(int fd, const char *name)
{
	return lock(fd, name, 1);
}

/* What is stored now, which need not be what @h was read from. */
struct present {
	unsigned int first;	/* the copy to write first */
	uint64_t sequence;	/* the highest of the good copies, or 0 */
};

static int look(int fd, const char *name, uint8_t *copy, struct present *ret)
{
	struct header_copy_info info[HEADER_COPIES];
	char why[HEADER_WHY_BYTES];
	struct header *h;
	unsigned int i;
	int r;

	ret->sequence = 0;
	for (i = 0; i < HEADER_COPIES; i++) {
		r = header_pread_all(fd, name, copy, HEADER_COPY_BYTES,
				     i * HEADER_COPY_BYTES);
		if (r < 0)
			return r;
		h = NULL;
		r = header_copy_parse(copy, i, &info[i], &h, why);
		header_free(h);
		if (r == -ENOMEM)
			return r;
		if (info[i].sequence > ret->sequence)
			ret->sequence = info[i].sequence;
	}
	/* Never tear the copy that a reader would use now. */
	ret->first = header_copy_beats(&info[1], &info[0]) ? 0 : 1;
	return 0;
}

static int write_copies(int fd, const char *name, struct header *h,
			uint8_t *copy, const struct present *now)
{
	uint64_t sequence = now->sequence > h->sequence ? now->sequence :
							  h->sequence;
	unsigned int turn, index;
	int r;

	/* A forged sequence may stand at the end of the range, or behind. */
	sequence = sequence < HEADER_MAX_SEQUENCE ? sequence + 1 :
						    HEADER_MAX_SEQUENCE;
	for (turn = 0; turn < HEADER_COPIES; turn++) {
		index = turn == 0 ? now->first : 1 - now->first;
		r = header_pack(h, index, sequence, copy);
		if (r == -EINVAL)
			log_error("'%s': the slots do not fit into the header",
				  name);
		if (r == 0)
			r = header_pwrite_all(fd, name, copy,
					      HEADER_COPY_BYTES,
					      index * HEADER_COPY_BYTES);
		if (r == 0)
			r = header_flush(fd, name);
		if (r < 0)
			return r;
	}
	h->sequence = sequence;
	return 0;
}

/* @first: the copy to write first, or -1: the one that serves less. */
static int store(int fd, const char *name, struct header *h, int first)
{
	uint8_t *copy = malloc(HEADER_COPY_BYTES);
	struct present now;
	int r;

	if (!copy)
		return -ENOMEM;
	r = look(fd, name, copy, &now);
	if (r == 0 && first >= 0)
		now.first = first;
	if (r == 0)
		r = write_copies(fd, name, h, copy, &now);
	free(copy);
	return r;
}

static int check_complete(const char *name, const struct header *h)
{
	if (h->core_text && h->slot_count > 0)
		return 0;
	log_error("'%s': a header without seal or slot cannot be stored",
		  name);
	return -EINVAL;
}

int header_write(int fd, const char *name, struct header *h)
{
	int r = check_complete(name, h);

	return r == 0 ? store(fd, name, h, -1) : r;
}

/* As look(), by digests alone: both are good, and have the core of @h. */
static int look_at_digests(int fd, const char *name, const struct header *h,
			   uint8_t *copy, struct present *ret)
{
	struct header_copy_info info[HEADER_COPIES];
	unsigned int i;
	int r;

	for (i = 0; i < HEADER_COPIES; i++) {
		r = header_pread_all(fd, name, copy, HEADER_COPY_BYTES,
				     i * HEADER_COPY_BYTES);
		if (r < 0)
			return r;
		info[i] = header_copy_probe(copy, i);
		if (info[i].state != HEADER_COPY_GOOD ||
		    CRYPTO_memcmp(copy + AT_HMAC, h->hmac,
				  sizeof(h->hmac)) != 0) {
			log_error("'%s': copy %c of the header is damaged, or another one than was read: 'envelope check --repair' first",
				  name, 'A' + i);
			return -EBADMSG;
		}
	}
	ret->sequence = info[info[1].sequence > info[0].sequence].sequence;
	ret->first = header_copy_beats(&info[1], &info[0]) ? 0 : 1;
	return 0;
}

int header_write_slots(int fd, const char *name, struct header *h)
{
	uint8_t *copy = malloc(HEADER_COPY_BYTES);
	struct present now;
	int r = copy ? check_complete(name, h) : -ENOMEM;

	if (r == 0)
		r = look_at_digests(fd, name, h, copy, &now);
	if (r == 0)
		r = write_copies(fd, name, h, copy, &now);
	free(copy);
	return r;
}

int header_repair(int fd, const char *name, struct header *h,
		  const struct secret *dek)
{
	int r = header_verify(h, name, dek);

	if (r < 0 || header_copies_agree(h))
		return r;
	return store(fd, name, h, h->copies[0].used ? 1 : 0);
}

static int read_back_zeros(int fd, const char *name, uint8_t *copy)
{
	size_t i, offset;
	int r;

	/* Past the cache, where the kernel lets go of it. */
	posix_fadvise(fd, 0, HEADER_BYTES, POSIX_FADV_DONTNEED);
	for (offset = 0; offset < HEADER_BYTES; offset += HEADER_COPY_BYTES) {
		r = header_pread_all(fd, name, copy, HEADER_COPY_BYTES, offset);
		if (r < 0)
			return r;
		for (i = 0; i < HEADER_COPY_BYTES; i++) {
			if (copy[i] == 0)
				continue;
			log_error("'%s': byte %zu of the header is still there after the erase",
				  name, offset + i);
			return -EIO;
		}
	}
	return 0;
}

int header_erase(int fd, const char *name)
{
	uint8_t *copy = calloc(1, HEADER_COPY_BYTES);
	unsigned int i;
	int r = 0;

	if (!copy)
		return -ENOMEM;
	for (i = 0; i < HEADER_COPIES && r == 0; i++)
		r = header_pwrite_all(fd, name, copy, HEADER_COPY_BYTES,
				      i * HEADER_COPY_BYTES);
	if (r == 0)
		r = header_flush(fd, name);
	if (r == 0)
		r = read_back_zeros(fd, name, copy);
	free(copy);
	return r;
}
