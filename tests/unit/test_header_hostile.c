// SPDX-License-Identifier: GPL-2.0-or-later
/* Headers whose SHA-256 holds and whose content was made to hurt. */
#include "header_fixture.h"

#define LINEAGE "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define CORE_HEAD "{\"volume_id\":\"vol-0123456789abcdef0\",\"revision\":1,\"generation\":1,\"critical\":[\"holes\"],\"size\":8388608,\"data_offset\":1048576,\"sector_size\":4096,\"cipher\":\"aes-xts-plain64\",\"flags\":[\"holes\"],\"created\":\"2026-01-02T03:04:05Z\",\"lineage\":\"" LINEAGE "\""
#define CORE CORE_HEAD "}"
#define SLOT_TAIL "\"key_id\":\"" ARN_1 "\",\"context\":{},\"ciphertext\":\"d3JhcHBlZA==\",\"created\":\"2026-01-02T03:04:05Z\"}"
#define SLOT "{\"provider\":\"aws-kms\"," SLOT_TAIL
#define SLOTS "{\"slots\":[" SLOT "]}"

/* @text with @from replaced by @to; the caller frees. */
static char *edited(const char *text, const char *from, const char *to)
{
	const char *at = strstr(text, from);
	char *out = NULL;

	assert_non_null(at);
	assert_true(asprintf(&out, "%.*s%s%s", (int)(at - text), text, to,
			     at + strlen(from)) > 0);
	return out;
}

/* Put the texts into copy A alone and read: what is said, and -errno. */
static int read_bytes(const char *core, size_t core_bytes, const char *slots,
		      size_t slots_bytes)
{
	uint8_t *copy = malloc(HEADER_COPY_BYTES);
	struct header *h = NULL;
	int fd = fixture_file(), r;

	fixture_texts(copy, 0, core, core_bytes, slots, slots_bytes);
	fixture_store(fd, 0, copy);
	fixture_listen();
	r = header_read(fd, "disk", &h);
	header_free(h);
	free(copy);
	close(fd);
	return r;
}

static int read_texts(const char *core, const char *slots)
{
	return read_bytes(core, strlen(core), slots, strlen(slots));
}

static void good_texts_pass(void **state)
{
	(void)state;
	assert_int_equal(read_texts(CORE, SLOTS), 0);
	assert_string_equal(fixture_heard(), "");
}

struct edit {
	const char *from;
	const char *to;
	int error;
	const char *sentence;
};

static const struct edit core_edits[] = {
	{ "vol-0", "VOL-0", -EBADMSG, "volume_id is not vol- and 17" },
	{ "vol-0", "vol-00", -EBADMSG, "volume_id is too long" },
	{ "\"vol-0123456789abcdef0\"", "7", -EBADMSG,
	  "volume_id is not there or not a text" },
	{ "\"revision\":1", "\"revision\":0", -EBADMSG,
	  "revision is not a number in its range" },
	{ "\"revision\":1", "\"revision\":-1", -EBADMSG,
	  "revision is not a number in its range" },
	{ "\"revision\":1", "\"revision\":9007199254740993", -EBADMSG,
	  "revision is not a number in its range" },
	{ "\"revision\":1", "\"revision\":18446744073709551616", -EBADMSG,
	  "core: malformed JSON" },
	{ "\"revision\":1", "\"revision\":1.0", -EBADMSG,
	  "revision is not a number in its range" },
	{ "\"revision\":1,", "", -EBADMSG,
	  "revision is not a number in its range" },
	{ "\"generation\":1", "\"generation\":4294967297", -EBADMSG,
	  "generation is not a number in its range" },
	{ "8388608", "8388609", -EBADMSG,
	  "size is out of range or not a multiple of sector_size" },
	{ "8388608", "4611686018427387905", -EBADMSG,
	  "size is not a number in its range" },
	{ "1048576", "0", -EBADMSG, "data_offset is out of range" },
	{ "1048576", "1048577", -EBADMSG, "data_offset is out of range" },
	{ "4096", "4000", -EBADMSG,
	  "sector_size is not 512, 1024, 2048 or 4096" },
	{ "2026-01-02T", "2026-01-02 ", -EBADMSG, "created is not a time" },
	{ LINEAGE, "", -EBADMSG, "lineage is empty" },
	{ LINEAGE, "0123", -EBADMSG,
	  "lineage is not 64 hexadecimal digits" },
	{ "aes-xts-plain64", "aes-cbc-essiv", -EOPNOTSUPP,
	  "cipher 'aes-cbc-essiv', this program knows aes-xts-plain64" },
	{ "\"critical\":[\"holes\"]", "\"critical\":[\"reencryption\"]",
	  -EOPNOTSUPP, "the volume needs 'reencryption', which this program does not know" },
	{ "\"critical\":[\"holes\"]", "\"critical\":[1]", -EBADMSG,
	  "a critical name is not a text" },
	{ "\"critical\":[\"holes\"]", "\"critical\":{}", -EBADMSG,
	  "critical or flags is not an array" },
	{ "\"flags\":[\"holes\"]", "\"flags\":[[]]", -EBADMSG,
	  "a flag is not a text" },
	{ "\"revision\":1", "\"revision\":1,\"revision\":1", -EBADMSG,
	  "core: malformed JSON" },
	{ "\"revision\":1", "\"revision\":1,\"x\":\"\\u0000\"", -EBADMSG,
	  "core: malformed JSON" },
	{ "\"revision\":1", "\"revision\":1,\"x\":\"\xff\"", -EBADMSG,
	  "core: malformed JSON" },
	{ "\"revision\":1", "\"revision\":1,\"x\":[[[[[[[[1]]]]]]]]", -EBADMSG,
	  "core: JSON nested more than 8 levels deep" },
	{ "\"revision\":1", "\"revision\":1,\"device\":{\"size\":1}", -EBADMSG,
	  "data_offset of a detached header is not 0" },
	{ "\"revision\":1", "\"revision\":1,\"lease\":[]", -EBADMSG,
	  "core: lease is not an object" },
	{ "\"revision\":1", "\"revision\":1,\"lease\":{\"seconds\":900}", -EBADMSG,
	  "core: grace is not a number in its range" },
	{ "\"revision\":1", "\"revision\":1,\"lease\":{\"seconds\":9,\"grace\":0}", -EBADMSG,
	  "core: lease: a lease has at least 10s" },
	{ "\"revision\":1", "\"revision\":1,\"lease\":{\"seconds\":0,\"grace\":0}", -EBADMSG,
	  "core: seconds is not a number in its range" },
	{ "\"revision\":1", "\"revision\":1,\"lease\":{\"seconds\":900,\"grace\":2592000}", -EBADMSG,
	  "core: lease: lease and grace have at most 30d together" },
	{ "\"revision\":1", "\"revision\":1,\"device\":[]", -EBADMSG,
	  "origin or device is not an object" },
	{ "\"revision\":1", "\"revision\":1,\"origin\":{\"snapshot_id\":\"x\"}",
	  -EBADMSG, "origin is not a snapshot id" },
};

static void hostile_core(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(core_edits) / sizeof(core_edits[0]); i++) {
		const struct edit *e = &core_edits[i];
		char *core = edited(CORE, e->from, e->to);

		assert_int_equal(read_texts(core, SLOTS), e->error);
		assert_heard(e->sentence);
		free(core);
	}
}

static const struct edit slot_edits[] = {
	{ "aws-kms", "AWS", -EBADMSG, "slot 0: provider is not a name" },
	{ "us-east-1", "us-east-1.evil.com", -EBADMSG,
	  "slot 0: key_id is not the full ARN of a KMS key" },
	{ ":key/", ":alias/", -EBADMSG,
	  "slot 0: key_id is not the full ARN of a KMS key" },
	{ "\"context\":{}", "\"context\":{\"envelope:volume-id\":\"x\"}",
	  -EBADMSG, "context names that begin with envelope: are reserved" },
	{ "\"context\":{}", "\"context\":{\"a\":1}", -EBADMSG,
	  "context is not made of names and texts" },
	{ "\"context\":{}", "\"context\":{\"\":\"a\"}", -EBADMSG,
	  "context is not made of names and texts" },
	{ "\"context\":{}", "\"context\":[]", -EBADMSG,
	  "context is not an object" },
	{ "\"context\":{},", "", -EBADMSG, "context is not an object" },
	{ "d3JhcHBlZA==", "", -EBADMSG,
	  "ciphertext is not base64 of 1 to 6144 bytes" },
	{ "d3JhcHBlZA==", "d3JhcHBlZA", -EBADMSG, "ciphertext is not base64" },
	{ "d3JhcHBlZA==", "d3JhcHBlZB==", -EBADMSG,
	  "ciphertext is not base64" },
	{ "d3JhcHBlZA==", "d3Jh\\ncHBlZA==", -EBADMSG,
	  "ciphertext is not base64" },
	{ "d3JhcHBlZA==", "====", -EBADMSG, "ciphertext is not base64" },
	{ "2026-01", "26-01", -EBADMSG, "slot 0: created is not a time" },
	{ "\"provider\":\"aws-kms\",", "", -EBADMSG,
	  "slot 0: a member is missing or not a text" },
	{ "[" SLOT "]", "[]", -EBADMSG, "not an array of 1 to 16 slots" },
	{ "[" SLOT "]", "[7]", -EBADMSG, "slot 0: not an object" },
	{ "[" SLOT "]", "{}", -EBADMSG, "not an array of 1 to 16 slots" },
	{ SLOTS, "[]", -EBADMSG, "slots is not an object" },
	{ "\"slots\":", "\"slots\":[],\"slots\":", -EBADMSG,
	  "slots: malformed JSON" },
};

static void hostile_slots(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(slot_edits) / sizeof(slot_edits[0]); i++) {
		const struct edit *e = &slot_edits[i];
		char *slots = edited(SLOTS, e->from, e->to);

		assert_int_equal(read_texts(CORE, slots), e->error);
		assert_heard(e->sentence);
		free(slots);
	}
}

/* Without the prefix, or under an unknown provider, all is well. */
static void harmless_slots_pass(void **state)
{
	char *slots = edited(SLOTS, "\"context\":{}",
			     "\"context\":{\"envelope\":\"x\"},\"more\":[1]");

	(void)state;
	assert_int_equal(read_texts(CORE, slots), 0);
	assert_string_equal(fixture_heard(), "");
	free(slots);
	slots = edited(SLOTS, "aws-kms\",\"key_id\":\"" ARN_1,
		       "vault\",\"key_id\":\"transit/keys/a");
	assert_int_equal(read_texts(CORE, slots), 0);
	assert_string_equal(fixture_heard(), "");
	free(slots);
}

static void seventeen_slots_refused(void **state)
{
	char *slots = malloc(20000), *p = slots;
	int i;

	(void)state;
	p += sprintf(p, "{\"slots\":[" SLOT);
	for (i = 1; i < 17; i++)
		p += sprintf(p, "," SLOT);
	strcpy(p, "]}");
	assert_int_equal(read_texts(CORE, slots), -EBADMSG);
	assert_heard("slots: not an array of 1 to 16 slots");
	free(slots);
}

static void wrapped_key_too_big_refused(void **state)
{
	char *big = malloc(9000), *slots;

	(void)state;
	memset(big, 'A', 8196);	/* base64 of 6147 bytes */
	big[8196] = '\0';
	slots = edited(SLOTS, "d3JhcHBlZA==", big);
	assert_int_equal(read_texts(CORE, slots), -EBADMSG);
	assert_heard("ciphertext is not base64 of 1 to 6144 bytes");
	free(slots);
	big[8192] = '\0';	/* and of 6144 */
	slots = edited(SLOTS, "d3JhcHBlZA==", big);
	assert_int_equal(read_texts(CORE, slots), 0);
	assert_string_equal(fixture_heard(), "");
	free(slots);
	free(big);
}

static void raw_nul_refused(void **state)
{
	char core[sizeof(CORE) + 8] = CORE;

	(void)state;
	assert_int_equal(read_bytes(core, strlen(CORE) + 1, SLOTS,
				    strlen(SLOTS)), -EBADMSG);
	assert_heard("core: NUL byte in JSON");
}

/* Write @v of 4 bytes at @offset of a good copy A. */
static int read_with_field(size_t offset, uint64_t v, unsigned int bytes)
{
	uint8_t *copy = malloc(HEADER_COPY_BYTES);
	struct header *h = NULL;
	int fd = fixture_file(), r;

	fixture_texts(copy, 0, CORE, strlen(CORE), SLOTS, strlen(SLOTS));
	fixture_put(copy + offset, v, bytes);
	fixture_fix_sha(copy);
	fixture_store(fd, 0, copy);
	fixture_listen();
	r = header_read(fd, "disk", &h);
	header_free(h);
	free(copy);
	close(fd);
	return r;
}

static void hostile_superblock(void **state)
{
	static const struct {
		size_t offset;
		uint64_t v;
		unsigned int bytes;
		int error;
		const char *sentence;
	} fields[] = {
		{ 8, 2, 4, -EOPNOTSUPP, "header version 2, this program knows version 1" },
		{ 12, 8192, 4, -EBADMSG, "impossible sizes" },
		{ 16, 65536, 4, -EBADMSG, "impossible sizes" },
		{ 20, 0xffffffff, 4, -EBADMSG, "impossible sizes" },
		{ 20, 131072, 4, -EBADMSG, "impossible sizes" },
		{ 76, 0xffffffff, 4, -EBADMSG, "impossible sizes" },
		{ 76, 126976, 4, -EBADMSG, "impossible sizes" },
		{ 40, 1, 1, -EBADMSG, "reserved bytes are not zero" },
		{ 63, 1, 1, -EBADMSG, "reserved bytes are not zero" },
		{ 80, 1, 1, -EBADMSG, "reserved bytes are not zero" },
		{ 192, 1, 1, -EBADMSG, "reserved bytes are not zero" },
		{ 4095, 1, 1, -EBADMSG, "reserved bytes are not zero" },
		{ 131071, 1, 1, -EBADMSG, "reserved bytes are not zero" },
		{ 64, 0, 8, -EBADMSG, "sequence out of range" },
		{ 64, 1ull << 63, 8, -EBADMSG, "sequence out of range" },
		{ 72, 1, 4, -EBADMSG, "no undamaged copy of the header is left" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		assert_int_equal(read_with_field(fields[i].offset, fields[i].v,
						 fields[i].bytes),
				 fields[i].error);
		assert_heard(fields[i].sentence);
	}
}

/* 128 KiB of brackets, of digits, of one long text: refused, not survived. */
static void huge_texts_refused(void **state)
{
	const size_t room = HEADER_COPY_BYTES - 4096;
	char *big = malloc(room);

	(void)state;
	memset(big, '[', room);
	assert_int_equal(read_bytes(big, room, "", 0), -EBADMSG);
	assert_heard("core: JSON nested more than 8 levels deep");
	memset(big, '9', room);
	assert_int_equal(read_bytes(big, room, "", 0), -EBADMSG);
	assert_heard("core: malformed JSON");
	memset(big, '"', 1);
	memset(big + room - 1, '"', 1);
	assert_int_equal(read_bytes(big, room, "", 0), -EBADMSG);
	assert_heard("core: malformed JSON");
	assert_int_equal(read_bytes("", 0, "", 0), -EBADMSG);
	assert_heard("core: malformed JSON");
	free(big);
}

/* A good copy B does not help: no accident makes such a copy A. */
static void hostile_beside_good_refused(void **state)
{
	struct secret *dek = fixture_dek(1);
	uint8_t *copy = malloc(HEADER_COPY_BYTES);
	int fd = fixture_volume(dek);
	struct header *h = NULL;

	(void)state;
	fixture_texts(copy, 0, "[", 1, SLOTS, strlen(SLOTS));
	fixture_store(fd, 0, copy);
	fixture_listen();
	assert_int_equal(header_read(fd, "disk", &h), -EBADMSG);
	assert_heard("'disk': copy A of the header was tampered with: core: malformed JSON");
	free(copy);
	close(fd);
	secret_free(dek);
}

/* Members we do not know survive an update; core byte for byte. */
static void unknown_members_kept(void **state)
{
	char *core = edited(CORE, "\"revision\":1",
			    "\"revision\":1, \"later\" : {\"a\":[1,2]}");
	char *slots = edited(SLOTS, "\"context\":{}",
			     "\"context\":{},\"label\":\"x\"");
	uint8_t *copy = malloc(HEADER_COPY_BYTES);
	struct header_slot slot = fixture_slot(ARN_2);
	int fd = fixture_file();
	struct header *h = NULL;

	(void)state;
	fixture_texts(copy, 0, core, strlen(core), slots, strlen(slots));
	fixture_store(fd, 0, copy);
	assert_int_equal(header_read(fd, "disk", &h), 0);
	assert_non_null(json_object_get(header_core_json(h), "later"));
	assert_int_equal(header_add_slot(h, &slot), 0);
	assert_int_equal(header_write(fd, "disk", h), 0);
	fixture_load(fd, 1, copy);
	assert_memory_equal(copy + 4096, core, strlen(core));
	assert_non_null(memmem(copy, HEADER_COPY_BYTES, "\"label\":\"x\"",
			       11));
	header_free(h);
	close(fd);
	free(core);
	free(slots);
	free(copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_texts_pass),
		{ "security-06-hostile-core-refused", hostile_core, 0, 0, 0 },
		{ "security-06-hostile-slots-refused", hostile_slots, 0, 0, 0 },
		{ "security-06-hostile-superblock-refused", hostile_superblock,
		  0, 0, 0 },
		{ "security-06-seventeen-slots-refused",
		  seventeen_slots_refused, 0, 0, 0 },
		{ "security-06-huge-texts-refused", huge_texts_refused, 0, 0,
		  0 },
		{ "security-06-raw-nul-refused", raw_nul_refused, 0, 0, 0 },
		{ "security-05-harmless-slots-pass", harmless_slots_pass, 0, 0,
		  0 },
		cmocka_unit_test(wrapped_key_too_big_refused),
		cmocka_unit_test(hostile_beside_good_refused),
		cmocka_unit_test(unknown_members_kept),
	};

	return cmocka_run_group_tests_name("header_hostile", tests, NULL, NULL);
}
