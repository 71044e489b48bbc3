// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How the images of version 1 that come from the library were made, once:
 *
 *	cc -Iagent tests/vectors/header/generate.c build/libenvelope.a \
 *		-ljansson -lcrypto -o generate && ./generate DIR
 *	gzip -9n DIR/<name>.img
 *
 * They are never made again: later versions must open these very bytes.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "header.h"

#define ARN(account, key) "arn:aws:kms:us-east-1:" account ":key/" key
#define KEY_1 ARN("111122223333", "11111111-2222-3333-4444-555555555555")
#define KEY_2 ARN("444455556666", "mrk-0123456789abcdef0123456789abcdef")

static void must(int r)
{
	if (r < 0)
		exit(1);
}

static struct secret *make_dek(void)
{
	struct secret *dek = secret_new(HEADER_DEK_BYTES);
	int i;

	for (i = 0; i < HEADER_DEK_BYTES; i++)
		secret_bytes(dek)[i] = 200 - i;
	return dek;
}

static struct header_core make_core(void)
{
	struct header_core core = {
		.volume_id = "vol-00112233445566778",
		.size_bytes = 1ull << 34,
		.data_offset_bytes = HEADER_DATA_OFFSET_BYTES,
		.sector_size = 4096,
		.holes = true,
		.created = "2026-11-22T01:02:03Z",
	};
	int i;

	for (i = 0; i < HEADER_UUID_BYTES; i++)
		core.uuid[i] = 0xa0 + i;
	return core;
}

static void add_slot(struct header *h, const char *provider, const char *key,
		     json_t *context, size_t bytes)
{
	uint8_t wrapped[HEADER_MAX_WRAPPED_BYTES];
	const struct header_slot slot = {
		.provider = provider,
		.key_id = key,
		.context = context,
		.ciphertext = wrapped,
		.ciphertext_bytes = bytes,
		.created = "2026-11-22T01:02:04Z",
	};
	size_t i;

	for (i = 0; i < bytes; i++)
		wrapped[i] = 11 * i + bytes;
	must(header_add_slot(h, &slot));
	json_decref(context);
}

static int create(const char *dir, const char *name)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s.img", dir, name);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0644);
	must(fd);
	return fd;
}

static void make_plain(const char *dir, const char *name,
		       const struct secret *dek, bool damage)
{
	struct header_core core = make_core();
	struct header *h = NULL;
	int fd = create(dir, name);

	must(header_new(&core, &h));
	add_slot(h, "aws-kms", KEY_1, NULL, 194);
	must(header_seal(h, dek));
	must(header_write(fd, name, h));
	if (damage && pwrite(fd, "damage", 6, 5000) != 6)
		exit(1);
	header_free(h);
	close(fd);
}

static void make_detached(const char *dir, const struct secret *dek)
{
	struct header_core core = make_core();
	struct header *h = NULL;
	int fd = create(dir, "detached");

	core.detached = true;
	core.data_offset_bytes = 0;
	core.sector_size = 512;
	core.iv_large_sectors = true;
	core.holes = false;
	core.revision = 7;
	core.generation = 2;
	core.device.size_bytes = (1ull << 34) + 512;
	strcpy(core.device.wwn, "naa.5000c500a0b0c0d0");
	strcpy(core.device.partuuid, "0b9828c1-02");
	strcpy(core.origin, "snap-89abcdef012345678");
	must(header_new(&core, &h));
	add_slot(h, "aws-kms", KEY_1, json_pack("{ss ss}", "team", "storage",
						"ort", "K\u00f6ln"), 194);
	add_slot(h, "vault", "transit/keys/envelope", NULL, 1);
	add_slot(h, "aws-kms", KEY_2, NULL, HEADER_MAX_WRAPPED_BYTES);
	must(header_seal(h, dek));
	must(header_write(fd, "detached", h));
	must(header_write(fd, "detached", h));
	header_free(h);
	close(fd);
}

/* A rewrap, then growth of which only copy B was written. */
static void make_interrupted(const char *dir, const struct secret *dek)
{
	static uint8_t old[HEADER_COPY_BYTES];
	struct header_core core = make_core();
	struct header *h = NULL;
	int fd = create(dir, "interrupted");

	must(header_new(&core, &h));
	add_slot(h, "aws-kms", KEY_1, NULL, 194);
	must(header_seal(h, dek));
	must(header_write(fd, "interrupted", h));
	must(header_remove_slot(h, 0));
	add_slot(h, "aws-kms", KEY_2, NULL, 200);
	must(header_write(fd, "interrupted", h));
	must(pread(fd, old, sizeof(old), 0));
	core = *header_core(h);
	core.size_bytes *= 2;
	must(header_change_core(h, &core));
	must(header_seal(h, dek));
	must(header_write(fd, "interrupted", h));
	must(pwrite(fd, old, sizeof(old), 0));
	header_free(h);
	close(fd);
}

int main(int argc, char **argv)
{
	struct secret *dek = make_dek();

	if (argc != 2)
		return 2;
	make_plain(argv[1], "plain", dek, false);
	make_plain(argv[1], "a-damaged", dek, true);
	make_detached(argv[1], dek);
	make_interrupted(argv[1], dek);
	secret_free(dek);
	return 0;
}
