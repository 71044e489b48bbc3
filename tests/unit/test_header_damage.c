// SPDX-License-Identifier: GPL-2.0-or-later
/* Stored headers after accidents and after attacks. */
#include "header_fixture.h"

static struct header *reread(int fd)
{
	struct header *h = NULL;

	assert_int_equal(header_read(fd, "disk", &h), 0);
	return h;
}

/* Every byte up to the texts, then samples; the last byte of the copy. */
static size_t next_sample(size_t at)
{
	if (at < 256)
		return at + 1;
	if (at < 5000)
		return at + 41;
	if (at == HEADER_COPY_BYTES - 1)
		return HEADER_COPY_BYTES;
	return at + 4099 < HEADER_COPY_BYTES ? at + 4099 :
					       HEADER_COPY_BYTES - 1;
}

static void flip_and_mend(int fd, unsigned int index, size_t at,
			  const struct secret *dek)
{
	struct header *h;

	fixture_flip(fd, index * HEADER_COPY_BYTES + at);
	h = reread(fd);
	assert_int_equal(header_copy(h, index).state,
			 at < 8 ? HEADER_COPY_ABSENT : HEADER_COPY_DAMAGED);
	assert_true(header_copy(h, 1 - index).used);
	assert_int_equal(header_repair(fd, "disk", h, dek), 0);
	header_free(h);
	h = reread(fd);
	assert_int_equal(header_verify(h, "disk", dek), 0);
	assert_int_equal(header_copy(h, index).state, HEADER_COPY_VERIFIED);
	assert_true(header_copies_agree(h));
	header_free(h);
}

static void flipped_byte_is_mended(void **state)
{
	struct secret *dek = fixture_dek(1);
	int fd = fixture_volume(dek);
	unsigned int index;
	size_t at;

	(void)state;
	for (index = 0; index < HEADER_COPIES; index++)
		for (at = 0; at < HEADER_COPY_BYTES; at = next_sample(at))
			flip_and_mend(fd, index, at, dek);
	close(fd);
	secret_free(dek);
}

static void both_damaged(void **state)
{
	struct secret *dek = fixture_dek(1);
	int fd = fixture_volume(dek);
	struct header *h = NULL;

	(void)state;
	fixture_flip(fd, 5000);
	fixture_flip(fd, HEADER_COPY_BYTES + 4100);
	fixture_listen();
	assert_int_equal(header_read(fd, "disk", &h), -EBADMSG);
	assert_heard("'disk': no undamaged copy of the header is left: restore a header backup");
	/* One without magic, the other damaged: still not "no header". */
	fixture_flip(fd, 0);
	fixture_listen();
	assert_int_equal(header_read(fd, "disk", &h), -EBADMSG);
	assert_heard("no undamaged copy of the header is left");
	close(fd);
	secret_free(dek);
}

/* A copy in the other's place is an accident, not an attack. */
static void misplaced_copy(void **state)
{
	struct secret *dek = fixture_dek(1);
	uint8_t *copy = malloc(HEADER_COPY_BYTES);
	int fd = fixture_volume(dek);
	struct header *h;

	(void)state;
	fixture_load(fd, 1, copy);
	fixture_store(fd, 0, copy);
	h = reread(fd);
	assert_int_equal(header_copy(h, 0).state, HEADER_COPY_DAMAGED);
	assert_true(header_copy(h, 1).used);
	assert_int_equal(header_verify(h, "disk", dek), 0);
	header_free(h);
	free(copy);
	close(fd);
	secret_free(dek);
}

/* Nobody may go on, and not one byte may change. */
static void expect_tampered(int fd, const struct secret *dek,
			    const char *sentence)
{
	uint8_t before[32], after[32];
	struct header *h = reread(fd);

	fixture_digest(fd, before);
	fixture_listen();
	assert_int_equal(header_verify(h, "disk", dek), -EBADMSG);
	assert_heard(sentence);
	fixture_listen();
	assert_int_equal(header_repair(fd, "disk", h, dek), -EBADMSG);
	assert_heard(sentence);
	fixture_digest(fd, after);
	assert_memory_equal(before, after, 32);
	header_free(h);
}

static void tampered_core(void **state)
{
	static const char *const edits[][2] = {
		{ "\"size\":8388608", "\"size\":4194304" },
		{ "\"data_offset\":1048576", "\"data_offset\":2097152" },
		{ "\"sector_size\":4096", "\"sector_size\":2048" },
		{ "\"revision\":1", "\"revision\":9" },
		{ "\"generation\":1", "\"generation\":2" },
		{ "\"flags\":[\"holes\"]", "\"flags\":[\"hoole\"]" },
		{ "\"created\":\"2026", "\"created\":\"2025" },
	};
	struct secret *dek = fixture_dek(1);
	unsigned int which;
	size_t i;
	int fd;

	(void)state;
	for (i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
		/* 1: in copy A, 2: in copy B, 3: in both. */
		for (which = 1; which <= 3; which++) {
			fd = fixture_volume(dek);
			if (which & 1)
				fixture_forge(fd, 0, edits[i][0], edits[i][1]);
			if (which & 2)
				fixture_forge(fd, 1, edits[i][0], edits[i][1]);
			expect_tampered(fd, dek, which == 1 ?
				"'disk': copy A of the header was tampered with" :
				"'disk': copy B of the header was tampered with");
			close(fd);
		}
	}
	secret_free(dek);
}

static void tampered_lineage(void **state)
{
	struct secret *dek = fixture_dek(1), *other = fixture_dek(2);
	char mine[HEADER_LINEAGE_CHARS], theirs[HEADER_LINEAGE_CHARS];
	int fd = fixture_volume(dek);

	(void)state;
	assert_int_equal(header_lineage(dek, mine), 0);
	assert_int_equal(header_lineage(other, theirs), 0);
	assert_string_not_equal(mine, theirs);
	expect_tampered(fd, other, "the unwrapped key is not this volume's");
	/* With the forger's own lineage in core, the HMAC still is missing. */
	fixture_forge(fd, 0, mine, theirs);
	fixture_forge(fd, 1, mine, theirs);
	expect_tampered(fd, other, "copy A of the header was tampered with");
	expect_tampered(fd, dek, "the unwrapped key is not this volume's");
	close(fd);
	secret_free(dek);
	secret_free(other);
}

/* The volume UUID stands in the superblock, and salts the key. */
static void tampered_superblock(void **state)
{
	struct secret *dek = fixture_dek(1);
	uint8_t *copy = malloc(HEADER_COPY_BYTES);
	int fd = fixture_volume(dek);
	unsigned int i;

	(void)state;
	for (i = 0; i < HEADER_COPIES; i++) {
		fixture_load(fd, i, copy);
		copy[24] ^= 1;
		fixture_fix_sha(copy);
		fixture_store(fd, i, copy);
	}
	expect_tampered(fd, dek, "copy A of the header was tampered with");
	free(copy);
	close(fd);
	secret_free(dek);
}

/* Both halves alike: no key for XTS, and a sign of a lying KMS. */
static void equal_halves(void **state)
{
	struct secret *dek = fixture_dek(1);
	int fd = fixture_volume(dek);

	(void)state;
	memcpy(secret_bytes(dek) + 32, secret_bytes(dek), 32);
	expect_tampered(fd, dek, "not 64 bytes with different halves");
	close(fd);
	secret_free(dek);
}

/* The header as it was before core changed, in copy A, with a top sequence. */
static void forged_sequence(void **state)
{
	struct secret *dek = fixture_dek(1);
	uint8_t *old = malloc(HEADER_COPY_BYTES);
	int fd = fixture_volume(dek);
	struct header *h = reread(fd);
	struct header_core core = *header_core(h);

	(void)state;
	fixture_load(fd, 0, old);
	core.size_bytes = 16 << 20;
	assert_int_equal(header_change_core(h, &core), 0);
	assert_int_equal(header_seal(h, dek), 0);
	assert_int_equal(header_write(fd, "disk", h), 0);
	header_free(h);
	fixture_put(old + 64, INT64_MAX, 8);
	fixture_fix_sha(old);
	fixture_store(fd, 0, old);

	h = reread(fd);
	assert_int_equal(header_core(h)->revision, 2);
	assert_true(header_copy(h, 1).used);
	assert_int_equal(header_copy(h, 0).sequence, INT64_MAX);
	assert_int_equal(header_verify(h, "disk", dek), 0);
	assert_int_equal(header_repair(fd, "disk", h, dek), 0);
	header_free(h);
	h = reread(fd);
	assert_true(header_copies_agree(h));
	assert_int_equal(header_core(h)->revision, 2);
	assert_int_equal(header_core(h)->size_bytes, 16 << 20);
	header_free(h);
	free(old);
	close(fd);
	secret_free(dek);
}

/* The forger's copy wins the choice, fails the HMAC; the good one survives. */
static void forged_copy_is_replaced(void **state)
{
	struct secret *dek = fixture_dek(1);
	int fd = fixture_volume(dek);
	struct header *h;

	(void)state;
	fixture_forge(fd, 0, "\"revision\":1", "\"revision\":7");
	expect_tampered(fd, dek, "copy A of the header was tampered with: its HMAC is wrong; 'envelope check --copy B --repair'");
	h = reread(fd);
	assert_true(header_copy(h, 0).used);
	header_free(h);
	h = NULL;
	assert_int_equal(header_read_copy(fd, "disk", 1, &h), 0);
	assert_int_equal(header_core(h)->revision, 1);
	assert_int_equal(header_copy(h, 0).state, HEADER_COPY_ABSENT);
	assert_int_equal(header_repair(fd, "disk", h, dek), 0);
	header_free(h);
	h = reread(fd);
	assert_int_equal(header_core(h)->revision, 1);
	assert_int_equal(header_verify(h, "disk", dek), 0);
	assert_true(header_copies_agree(h));
	header_free(h);
	close(fd);
	secret_free(dek);
}

/* The forged copy itself is no way to repair. */
static void forged_copy_repairs_nothing(void **state)
{
	struct secret *dek = fixture_dek(1);
	int fd = fixture_volume(dek);
	uint8_t before[32], after[32];
	struct header *h = NULL;

	(void)state;
	fixture_forge(fd, 0, "\"revision\":1", "\"revision\":7");
	fixture_digest(fd, before);
	assert_int_equal(header_read_copy(fd, "disk", 0, &h), 0);
	fixture_listen();
	assert_int_equal(header_repair(fd, "disk", h, dek), -EBADMSG);
	assert_heard("copy A of the header was tampered with");
	fixture_digest(fd, after);
	assert_memory_equal(before, after, 32);
	header_free(h);
	close(fd);
	secret_free(dek);
}

/* What a writer without the DEK must ask first. */
static void cores_agree(void **state)
{
	struct secret *dek = fixture_dek(1);
	int fd = fixture_volume(dek);
	struct header *h = reread(fd);

	(void)state;
	assert_true(header_cores_agree(h));
	header_free(h);
	/* Slots may differ, core may not, nor may a copy be missing. */
	fixture_forge(fd, 0, "key/1111", "key/2222");
	h = reread(fd);
	assert_true(header_cores_agree(h));
	header_free(h);
	fixture_forge(fd, 1, "\"revision\":1", "\"revision\":2");
	h = reread(fd);
	assert_false(header_cores_agree(h));
	header_free(h);
	fixture_forge(fd, 1, "\"revision\":2", "\"revision\":1");
	fixture_flip(fd, 5000);
	h = reread(fd);
	assert_false(header_cores_agree(h));
	header_free(h);
	close(fd);
	secret_free(dek);
}

static void copies_of_different_volumes(void **state)
{
	struct secret *dek = fixture_dek(1);
	int fd = fixture_volume(dek);
	struct header *h = NULL;

	(void)state;
	fixture_forge(fd, 1, VOLUME_ID, "vol-0123456789abcdef1");
	fixture_listen();
	assert_int_equal(header_read(fd, "disk", &h), -EBADMSG);
	assert_heard("'disk': the copies of the header name different volumes: tampered with");
	close(fd);
	secret_free(dek);
}

/* Slots and sequence are outside the HMAC, so the holder of no DEK rewraps. */
static void slots_are_outside_the_hmac(void **state)
{
	struct secret *dek = fixture_dek(1);
	int fd = fixture_volume(dek);
	struct header *h;

	(void)state;
	fixture_forge(fd, 0, "key/1111", "key/2222");
	fixture_forge(fd, 1, "key/1111", "key/2222");
	h = reread(fd);
	assert_int_equal(header_verify(h, "disk", dek), 0);
	header_free(h);
	close(fd);
	secret_free(dek);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{ "security-03-flipped-byte-is-mended", flipped_byte_is_mended,
		  0, 0, 0 },
		cmocka_unit_test(both_damaged),
		cmocka_unit_test(misplaced_copy),
		{ "security-03-tampered-core-refused", tampered_core, 0, 0, 0 },
		{ "security-01-tampered-lineage-refused", tampered_lineage, 0,
		  0, 0 },
		{ "security-02-tampered-superblock-refused",
		  tampered_superblock, 0, 0, 0 },
		{ "security-08-equal-halves-refused", equal_halves, 0, 0, 0 },
		{ "security-03-forged-sequence-loses", forged_sequence, 0, 0,
		  0 },
		{ "security-03-forged-copy-survived", forged_copy_is_replaced,
		  0, 0, 0 },
		{ "security-03-forged-copy-repairs-nothing",
		  forged_copy_repairs_nothing, 0, 0, 0 },
		cmocka_unit_test(cores_agree),
		{ "security-03-copies-of-different-volumes-refused",
		  copies_of_different_volumes, 0, 0, 0 },
		{ "security-02-slots-are-outside-the-hmac",
		  slots_are_outside_the_hmac, 0, 0, 0 },
	};

	return cmocka_run_group_tests_name("header_damage", tests, NULL, NULL);
}
