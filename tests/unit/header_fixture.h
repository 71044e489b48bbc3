/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the tests of the header share: a volume, its DEK, forgeries, messages. */
#ifndef HEADER_FIXTURE_H
#define HEADER_FIXTURE_H

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#include <errno.h>
#include <openssl/sha.h>

#include "header.h"
#include "secret.h"

#define ARN_1 "arn:aws:kms:us-east-1:111122223333:key/11111111-2222-3333-4444-555555555555"
#define ARN_2 "arn:aws:kms:eu-west-1:111122223333:key/mrk-0123456789abcdef0123456789abcdef"
#define VOLUME_ID "vol-0123456789abcdef0"
#define AT_SHA 128

static inline struct secret *fixture_dek(uint8_t seed)
{
	struct secret *dek = secret_new(HEADER_DEK_BYTES);
	size_t i;

	assert_non_null(dek);
	for (i = 0; i < HEADER_DEK_BYTES; i++)
		secret_bytes(dek)[i] = seed + 3 * i;
	return dek;
}

static inline struct header_core fixture_core(void)
{
	struct header_core core = {
		.volume_id = VOLUME_ID,
		.uuid = { 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x46, 0x17,
			  0x88, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f },
		.revision = 1,
		.generation = 1,
		.size_bytes = 8 << 20,
		.data_offset_bytes = HEADER_DATA_OFFSET_BYTES,
		.sector_size = 4096,
		.holes = true,
		.created = "2026-01-02T03:04:05Z",
	};

	return core;
}

static inline struct header_slot fixture_slot(const char *arn)
{
	static const uint8_t wrapped[100] = "wrapped";
	struct header_slot slot = {
		.provider = HEADER_PROVIDER_AWS,
		.key_id = arn,
		.ciphertext = wrapped,
		.ciphertext_bytes = sizeof(wrapped),
		.created = "2026-01-02T03:04:05Z",
	};

	return slot;
}

/* A sealed header with one slot. */
static inline struct header *fixture_header(const struct secret *dek)
{
	struct header_core core = fixture_core();
	struct header_slot slot = fixture_slot(ARN_1);
	struct header *h = NULL;

	assert_int_equal(header_new(&core, &h), 0);
	assert_int_equal(header_add_slot(h, &slot), 0);
	assert_int_equal(header_seal(h, dek), 0);
	return h;
}

static inline int fixture_file(void)
{
	int fd = memfd_create("header", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 16 << 20), 0);
	return fd;
}

/* A file with the header of fixture_header() in both copies. */
static inline int fixture_volume(const struct secret *dek)
{
	struct header *h = fixture_header(dek);
	int fd = fixture_file();

	assert_int_equal(header_write(fd, "volume", h), 0);
	header_free(h);
	return fd;
}

static inline void fixture_load(int fd, unsigned int index, uint8_t *copy)
{
	assert_int_equal(pread(fd, copy, HEADER_COPY_BYTES,
			       index * HEADER_COPY_BYTES), HEADER_COPY_BYTES);
}

static inline void fixture_store(int fd, unsigned int index,
				 const uint8_t *copy)
{
	assert_int_equal(pwrite(fd, copy, HEADER_COPY_BYTES,
				index * HEADER_COPY_BYTES), HEADER_COPY_BYTES);
}

/* What anybody with a disk editor can do: put the SHA-256 right again. */
static inline void fixture_fix_sha(uint8_t *copy)
{
	memset(copy + AT_SHA, 0, 32);
	SHA256(copy, HEADER_COPY_BYTES, copy + AT_SHA);
}

static inline void fixture_put(uint8_t *p, uint64_t v, unsigned int bytes)
{
	while (bytes-- > 0) {
		*p++ = v;
		v >>= 8;
	}
}

/* Replace @from by @to (same length) in copy @index, SHA-256 recomputed. */
static inline void fixture_forge(int fd, unsigned int index, const char *from,
				 const char *to)
{
	uint8_t *copy = malloc(HEADER_COPY_BYTES), *at;

	assert_int_equal(strlen(from), strlen(to));
	fixture_load(fd, index, copy);
	at = memmem(copy, HEADER_COPY_BYTES, from, strlen(from));
	assert_non_null(at);
	memcpy(at, to, strlen(to));
	fixture_fix_sha(copy);
	fixture_store(fd, index, copy);
	free(copy);
}

static inline void fixture_flip(int fd, off_t at)
{
	uint8_t byte;

	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 0x40;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
}

/* A copy with just these two texts, SHA-256 right, HMAC zero. */
static inline void fixture_texts(uint8_t *copy, unsigned int index,
				 const char *core, size_t core_bytes,
				 const char *slots, size_t slots_bytes)
{
	memset(copy, 0, HEADER_COPY_BYTES);
	memcpy(copy, HEADER_MAGIC, 8);
	fixture_put(copy + 8, 1, 4);
	fixture_put(copy + 12, HEADER_SUPERBLOCK_BYTES, 4);
	fixture_put(copy + 16, HEADER_COPY_BYTES, 4);
	fixture_put(copy + 20, core_bytes, 4);
	fixture_put(copy + 64, 1, 8);
	fixture_put(copy + 72, index, 4);
	fixture_put(copy + 76, slots_bytes, 4);
	memcpy(copy + 4096, core, core_bytes);
	memcpy(copy + 4096 + core_bytes, slots, slots_bytes);
	fixture_fix_sha(copy);
}

/* Digest of a whole file, to prove that nothing was written. */
static inline void fixture_digest(int fd, uint8_t ret[32])
{
	size_t bytes = lseek(fd, 0, SEEK_END);
	uint8_t *all = malloc(bytes);

	assert_int_equal(pread(fd, all, bytes, 0), bytes);
	SHA256(all, bytes, ret);
	free(all);
}

/* Standard error between the two calls, in a buffer that stays. */
static int fixture_stderr = -1;
static int fixture_caught;

static inline void fixture_listen(void)
{
	fixture_stderr = dup(2);
	fixture_caught = memfd_create("stderr", MFD_CLOEXEC);
	assert_true(dup2(fixture_caught, 2) >= 0);
}

static inline const char *fixture_heard(void)
{
	static char text[8192];
	ssize_t n = pread(fixture_caught, text, sizeof(text) - 1, 0);

	dup2(fixture_stderr, 2);
	close(fixture_stderr);
	close(fixture_caught);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

#define assert_heard(sentence) do { \
	const char *heard_ = fixture_heard(); \
	if (!strstr(heard_, sentence)) \
		fail_msg("heard: %s", heard_); \
} while (0)

#endif
