// SPDX-License-Identifier: GPL-2.0-or-later
/* The header in memory and through a file: fields, slots, seal, contexts. */
#include "header_fixture.h"

static struct header *reread(int fd)
{
	struct header *h = NULL;

	assert_int_equal(header_read(fd, "volume", &h), 0);
	return h;
}

static void header_round_trip(void **state)
{
	struct secret *dek = fixture_dek(1);
	struct header_core want = fixture_core();
	int fd = fixture_volume(dek);
	struct header *h = reread(fd);
	const struct header_core *core = header_core(h);
	struct header_slot slot = header_slot_get(h, 0);

	(void)state;
	assert_string_equal(core->volume_id, want.volume_id);
	assert_memory_equal(core->uuid, want.uuid, HEADER_UUID_BYTES);
	assert_int_equal(core->revision, 1);
	assert_int_equal(core->generation, 1);
	assert_int_equal(core->size_bytes, want.size_bytes);
	assert_int_equal(core->data_offset_bytes, want.data_offset_bytes);
	assert_int_equal(core->sector_size, 4096);
	assert_true(core->holes);
	assert_false(core->iv_large_sectors);
	assert_false(core->detached);
	assert_string_equal(core->created, want.created);
	assert_int_equal(strlen(core->lineage), 64);
	assert_string_equal(core->origin, "");
	assert_int_equal(header_slot_count(h), 1);
	assert_string_equal(slot.provider, "aws-kms");
	assert_string_equal(slot.key_id, ARN_1);
	assert_int_equal(slot.ciphertext_bytes, 100);
	assert_memory_equal(slot.ciphertext, "wrapped", 8);
	assert_string_equal(slot.created, want.created);
	assert_int_equal(header_verify(h, "volume", dek), 0);
	assert_true(header_copies_agree(h));
	assert_int_equal(header_copy(h, 0).state, HEADER_COPY_VERIFIED);
	assert_int_equal(header_copy(h, 1).state, HEADER_COPY_VERIFIED);
	header_free(h);
	close(fd);
	secret_free(dek);
}

static void header_detached_round_trip(void **state)
{
	struct secret *dek = fixture_dek(1);
	struct header_core core = fixture_core();
	struct header_slot slot = fixture_slot(ARN_1);
	struct header *h = NULL;
	int fd = fixture_file();

	(void)state;
	core.detached = true;
	core.data_offset_bytes = 0;
	core.holes = false;
	core.iv_large_sectors = true;
	core.sector_size = 512;
	core.device.size_bytes = 9 << 20;
	strcpy(core.device.wwn, "0x5000c500a0b0c0d0");
	strcpy(core.device.partuuid, "0b9828c1-02");
	strcpy(core.origin, "snap-0123456789abcdef0");
	assert_int_equal(header_new(&core, &h), 0);
	assert_int_equal(header_add_slot(h, &slot), 0);
	assert_int_equal(header_seal(h, dek), 0);
	assert_int_equal(header_write(fd, "header", h), 0);
	header_free(h);
	h = reread(fd);
	assert_true(header_core(h)->detached);
	assert_false(header_core(h)->holes);
	assert_true(header_core(h)->iv_large_sectors);
	assert_int_equal(header_core(h)->device.size_bytes, 9 << 20);
	assert_string_equal(header_core(h)->device.wwn, core.device.wwn);
	assert_string_equal(header_core(h)->device.partuuid,
			    core.device.partuuid);
	assert_string_equal(header_core(h)->origin, core.origin);
	assert_int_equal(header_verify(h, "header", dek), 0);
	header_free(h);
	close(fd);
	secret_free(dek);
}

static void header_context_from_core(void **state)
{
	struct secret *dek = fixture_dek(1);
	struct header *h = fixture_header(dek);
	struct header_slot slot = fixture_slot(ARN_2);
	json_t *context = NULL;

	(void)state;
	slot.context = json_pack("{ss}", "team", "storage");
	assert_int_equal(header_add_slot(h, &slot), 0);
	json_decref(slot.context);
	assert_int_equal(header_context(h, 0, &context), 0);
	assert_int_equal(json_object_size(context), 2);
	json_decref(context);
	assert_int_equal(header_context(h, 1, &context), 0);
	assert_int_equal(json_object_size(context), 3);
	assert_string_equal(json_string_value(json_object_get(context,
		"envelope:volume-id")), VOLUME_ID);
	assert_string_equal(json_string_value(json_object_get(context,
		"envelope:generation")), "1");
	assert_string_equal(json_string_value(json_object_get(context,
		"team")), "storage");
	json_decref(context);
	header_free(h);
	secret_free(dek);
}

static void header_reserved_pair_refused(void **state)
{
	struct secret *dek = fixture_dek(1);
	struct header *h = fixture_header(dek);
	struct header_slot slot = fixture_slot(ARN_2);
	struct header_core core = fixture_core();
	json_t *context = NULL;

	(void)state;
	slot.context = json_pack("{ss}", "envelope:x", "y");
	fixture_listen();
	assert_int_equal(header_add_slot(h, &slot), -EINVAL);
	assert_heard("context names that begin with envelope: are reserved");
	fixture_listen();
	assert_int_equal(header_context_of(&core, slot.context, &context),
			 -EINVAL);
	assert_heard("encryption context: context names that begin with envelope: are reserved");
	assert_int_equal(header_slot_count(h), 1);
	json_decref(slot.context);
	header_free(h);
	secret_free(dek);
}

static void header_slot_rules(void **state)
{
	static const char *const keys[] = {
		"alias/envelope", "arn:aws:kms:us-east-1:111122223333:alias/a",
		"11111111-2222-3333-4444-555555555555", "",
		"arn:aws:kms:us-east-1.evil.com:111122223333:key/a",
		"arn:aws:kms:US-EAST-1:111122223333:key/a",
		"arn:aws:kms:us-east-1:11112222333:key/a",
		"arn:aws:s3:us-east-1:111122223333:key/a",
		"arn:aws:kms:us-east-1:111122223333:key/a/b",
	};
	struct secret *dek = fixture_dek(1);
	struct header *h = fixture_header(dek);
	struct header_slot slot;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		slot = fixture_slot(keys[i]);
		fixture_listen();
		assert_int_equal(header_add_slot(h, &slot), -EINVAL);
		assert_heard("key_id is not the full ARN of a KMS key");
	}
	slot = fixture_slot(ARN_2);
	slot.ciphertext_bytes = 0;
	fixture_listen();
	assert_int_equal(header_add_slot(h, &slot), -EINVAL);
	assert_heard("wrapped key of 0 bytes, want 1 to 6144");
	slot = fixture_slot(ARN_2);
	slot.provider = "AWS KMS";
	fixture_listen();
	assert_int_equal(header_add_slot(h, &slot), -EINVAL);
	assert_heard("provider is not a name");
	assert_int_equal(header_slot_count(h), 1);
	header_free(h);
	secret_free(dek);
}

static void header_slots_change(void **state)
{
	struct secret *dek = fixture_dek(1);
	struct header *h = fixture_header(dek);
	struct header_slot slot = fixture_slot(ARN_2);
	int i;

	(void)state;
	for (i = 1; i < HEADER_MAX_SLOTS; i++)
		assert_int_equal(header_add_slot(h, &slot), 0);
	fixture_listen();
	assert_int_equal(header_add_slot(h, &slot), -EINVAL);
	assert_heard("the header has 16 already");
	assert_int_equal(header_remove_slot(h, 0), 0);
	assert_int_equal(header_slot_count(h), 15);
	assert_string_equal(header_slot_get(h, 0).key_id, ARN_2);
	assert_int_equal(header_remove_slot(h, 15), -EINVAL);
	slot = fixture_slot(ARN_1);
	assert_int_equal(header_set_slot(h, 14, &slot), 0);
	assert_string_equal(header_slot_get(h, 14).key_id, ARN_1);
	assert_int_equal(header_set_slot(h, 15, &slot), -EINVAL);
	header_free(h);
	secret_free(dek);
}

/* Rewrap: no DEK, no seal, and the HMAC still holds. */
static void header_new_slot_needs_no_key(void **state)
{
	struct secret *dek = fixture_dek(1);
	struct header_slot slot = fixture_slot(ARN_2);
	int fd = fixture_volume(dek);
	uint8_t *copy = malloc(HEADER_COPY_BYTES);
	struct header *h = reread(fd);
	int i;

	(void)state;
	assert_int_equal(header_set_slot(h, 0, &slot), 0);
	assert_int_equal(header_write(fd, "volume", h), 0);
	header_free(h);
	h = reread(fd);
	assert_int_equal(header_verify(h, "volume", dek), 0);
	assert_int_equal(header_copy(h, 0).sequence, 2);
	for (i = 0; i < HEADER_COPIES; i++) {
		fixture_load(fd, i, copy);
		assert_null(memmem(copy, HEADER_COPY_BYTES, ARN_1,
				   strlen(ARN_1)));
	}
	free(copy);
	header_free(h);
	close(fd);
	secret_free(dek);
}

static void header_core_change_needs_seal(void **state)
{
	struct secret *dek = fixture_dek(1);
	int fd = fixture_volume(dek);
	struct header *h = reread(fd);
	struct header_core core = *header_core(h);

	(void)state;
	core.size_bytes = 4 << 20;
	assert_int_equal(header_change_core(h, &core), 0);
	fixture_listen();
	assert_int_equal(header_write(fd, "volume", h), -EINVAL);
	assert_heard("'volume': a header without seal or slot cannot be stored");
	assert_int_equal(header_seal(h, dek), 0);
	assert_int_equal(header_write(fd, "volume", h), 0);
	header_free(h);
	h = reread(fd);
	assert_int_equal(header_core(h)->revision, 2);
	assert_int_equal(header_core(h)->size_bytes, 4 << 20);
	assert_int_equal(header_verify(h, "volume", dek), 0);
	header_free(h);
	close(fd);
	secret_free(dek);
}

static void header_identity_cannot_change(void **state)
{
	struct secret *dek = fixture_dek(1);
	struct header *h = fixture_header(dek);
	struct header_core core = *header_core(h);

	(void)state;
	strcpy(core.volume_id, "vol-0123456789abcdef1");
	fixture_listen();
	assert_int_equal(header_change_core(h, &core), -EINVAL);
	assert_heard("cannot change the volume's identity");
	core = *header_core(h);
	core.size_bytes += 512;
	fixture_listen();
	assert_int_equal(header_change_core(h, &core), -EINVAL);
	assert_heard("size is out of range or not a multiple of sector_size");
	header_free(h);
	secret_free(dek);
}

static void header_new_rules(void **state)
{
	struct header_core core = fixture_core();
	struct header *h = NULL;

	(void)state;
	core.sector_size = 8192;
	fixture_listen();
	assert_int_equal(header_new(&core, &h), -EINVAL);
	assert_heard("cannot make a header: core: sector_size is not 512, 1024, 2048 or 4096");
	core = fixture_core();
	core.data_offset_bytes = 4096;
	fixture_listen();
	assert_int_equal(header_new(&core, &h), -EINVAL);
	assert_heard("data_offset is out of range");
	core = fixture_core();
	core.detached = true;
	fixture_listen();
	assert_int_equal(header_new(&core, &h), -EINVAL);
	assert_heard("device.size is out of range");
	assert_null(h);
}

static void header_seal_refuses_other_key(void **state)
{
	struct secret *dek = fixture_dek(1), *other = fixture_dek(2);
	struct secret *halves = fixture_dek(1), *shorter = secret_new(32);
	struct header *h = fixture_header(dek);

	(void)state;
	memcpy(secret_bytes(halves) + 32, secret_bytes(halves), 32);
	fixture_listen();
	assert_int_equal(header_seal(h, other), -EBADMSG);
	assert_heard("the unwrapped key is not this volume's");
	fixture_listen();
	assert_int_equal(header_seal(h, halves), -EBADMSG);
	assert_heard("not 64 bytes with different halves");
	fixture_listen();
	assert_int_equal(header_seal(h, shorter), -EBADMSG);
	assert_heard("not 64 bytes with different halves");
	header_free(h);
	secret_free(dek);
	secret_free(other);
	secret_free(halves);
	secret_free(shorter);
}

static void header_new_identity_is_random(void **state)
{
	struct header_core a = { 0 }, b = { 0 };
	char uuid[HEADER_UUID_CHARS];

	(void)state;
	assert_int_equal(header_new_identity(&a), 0);
	assert_int_equal(header_new_identity(&b), 0);
	assert_true(header_volume_id_valid(a.volume_id));
	assert_string_not_equal(a.volume_id, b.volume_id);
	assert_memory_not_equal(a.uuid, b.uuid, HEADER_UUID_BYTES);
	header_uuid_print(a.uuid, uuid);
	assert_int_equal(strlen(uuid), 36);
	assert_int_equal(uuid[14], '4');
	assert_int_equal(header_uuid_parse(uuid, b.uuid), 0);
	assert_memory_equal(a.uuid, b.uuid, HEADER_UUID_BYTES);
	uuid[0] = 'A';
	assert_int_equal(header_uuid_parse(uuid, b.uuid), -EINVAL);
	assert_int_equal(header_uuid_parse("0-1-2-3", b.uuid), -EINVAL);
	assert_int_equal(strlen(a.created), 20);
}

static void header_names(void **state)
{
	char *text = header_escape("a\x1b[31m\\\xc3\xa9\x7f");

	(void)state;
	assert_string_equal(text, "a\\x1b[31m\\\\\\xc3\\xa9\\x7f");
	free(text);
	assert_true(header_volume_id_valid("vol-0123456789abcdef0"));
	assert_false(header_volume_id_valid("vol-0123456789ABCDEF0"));
	assert_false(header_volume_id_valid("vol-0123456789abcdef"));
	assert_false(header_volume_id_valid("vol-0123456789abcdef00"));
	assert_false(header_volume_id_valid("snap-123456789abcdef0"));
}

static void header_none(void **state)
{
	struct header *h = NULL;
	int fd = fixture_file();
	bool a = true, b = true;

	(void)state;
	fixture_listen();
	assert_int_equal(header_read(fd, "disk", &h), -ENODATA);
	assert_heard("'disk': no envelope header");
	assert_int_equal(header_magic_at(fd, "disk", &a, &b), 0);
	assert_false(a || b);
	/* A file that ends before copy B is no different. */
	assert_int_equal(ftruncate(fd, 100), 0);
	fixture_listen();
	assert_int_equal(header_read(fd, "disk", &h), -ENODATA);
	assert_heard("'disk': no envelope header");
	assert_int_equal(pwrite(fd, "ENVELOPE", 8, 131072), 8);
	assert_int_equal(header_magic_at(fd, "disk", &a, &b), 0);
	assert_false(a);
	assert_true(b);
	close(fd);
}

static void header_fit(void **state)
{
	struct secret *dek = fixture_dek(1);
	struct header *h = fixture_header(dek);

	(void)state;
	assert_int_equal(header_check_fit(h, "disk", 9 << 20), 0);
	fixture_listen();
	assert_int_equal(header_check_fit(h, "disk", (9 << 20) - 1), -EBADMSG);
	assert_heard("'disk': the volume ends at byte 9437184, the device at 9437183");
	header_free(h);
	secret_free(dek);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(header_round_trip),
		cmocka_unit_test(header_detached_round_trip),
		cmocka_unit_test(header_context_from_core),
		cmocka_unit_test(header_reserved_pair_refused),
		cmocka_unit_test(header_slot_rules),
		cmocka_unit_test(header_slots_change),
		cmocka_unit_test(header_new_slot_needs_no_key),
		cmocka_unit_test(header_core_change_needs_seal),
		cmocka_unit_test(header_identity_cannot_change),
		cmocka_unit_test(header_new_rules),
		cmocka_unit_test(header_seal_refuses_other_key),
		cmocka_unit_test(header_new_identity_is_random),
		cmocka_unit_test(header_names),
		cmocka_unit_test(header_none),
		cmocka_unit_test(header_fit),
	};

	return cmocka_run_group_tests_name("header", tests, NULL, NULL);
}
