// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The images in tests/vectors/header, which every later version must open.
 * Runs from the top of the tree.
 */
#include "header_fixture.h"

#include "json.h"

#define VECTORS "tests/vectors/header/"

static json_t *golden;

static int load_golden(void **state)
{
	json_error_t error;

	(void)state;
	golden = json_load_file(VECTORS "golden.json", 0, &error);
	if (!golden)
		printf("# " VECTORS "golden.json: %s\n", error.text);
	return golden ? 0 : -1;
}

static int free_golden(void **state)
{
	(void)state;
	json_decref(golden);
	return 0;
}

static const char *text_of(const json_t *o, const char *name)
{
	const char *text = NULL;

	assert_int_equal(json_get_string(o, name, &text), 0);
	return text;
}

static uint64_t number_of(const json_t *o, const char *name)
{
	uint64_t n = 0;

	assert_int_equal(json_get_u64(o, name, 0, INT64_MAX, &n), 0);
	return n;
}

static bool flag_of(const json_t *o, const char *name)
{
	int flag = 0;

	assert_int_equal(json_get_bool(o, name, &flag), 0);
	return flag;
}

static struct secret *golden_dek(void)
{
	const char *hex = text_of(golden, "dek");
	struct secret *dek = secret_new(HEADER_DEK_BYTES);
	unsigned int v;
	size_t i;

	for (i = 0; i < HEADER_DEK_BYTES; i++) {
		assert_int_equal(sscanf(hex + 2 * i, "%2x", &v), 1);
		secret_bytes(dek)[i] = v;
	}
	return dek;
}

static int open_image(const char *name)
{
	uint8_t *image = malloc(HEADER_BYTES);
	int fd = fixture_file();
	char command[256];
	FILE *f;

	snprintf(command, sizeof(command), "gzip -dc " VECTORS "%s", name);
	f = popen(command, "r");
	assert_non_null(f);
	assert_int_equal(fread(image, 1, HEADER_BYTES, f), HEADER_BYTES);
	assert_int_equal(pclose(f), 0);
	fixture_store(fd, 0, image);
	fixture_store(fd, 1, image + HEADER_COPY_BYTES);
	free(image);
	return fd;
}

static void compare_core(const struct header_core *core, const json_t *want)
{
	const json_t *device = json_object_get(want, "device");
	char uuid[HEADER_UUID_CHARS];

	header_uuid_print(core->uuid, uuid);
	assert_string_equal(uuid, text_of(want, "uuid"));
	assert_string_equal(core->volume_id, text_of(want, "volume_id"));
	assert_string_equal(core->lineage, text_of(golden, "lineage"));
	assert_string_equal(core->created, text_of(want, "created"));
	assert_string_equal(core->origin, text_of(want, "origin"));
	assert_int_equal(core->revision, number_of(want, "revision"));
	assert_int_equal(core->generation, number_of(want, "generation"));
	assert_int_equal(core->size_bytes, number_of(want, "size"));
	assert_int_equal(core->data_offset_bytes,
			 number_of(want, "data_offset"));
	assert_int_equal(core->sector_size, number_of(want, "sector_size"));
	assert_int_equal(core->holes, flag_of(want, "holes"));
	assert_int_equal(core->iv_large_sectors,
			 flag_of(want, "iv_large_sectors"));
	assert_int_equal(core->detached, json_is_object(device));
	if (!core->detached)
		return;
	assert_int_equal(core->device.size_bytes, number_of(device, "size"));
	assert_string_equal(core->device.wwn, text_of(device, "wwn"));
	assert_string_equal(core->device.partuuid,
			    text_of(device, "partuuid"));
}

static void compare_slots(const struct header *h, const json_t *want)
{
	uint8_t digest[32];
	json_t *context;
	size_t i, j;
	char hex[65];

	assert_int_equal(header_slot_count(h), json_array_size(want));
	for (i = 0; i < header_slot_count(h); i++) {
		struct header_slot slot = header_slot_get(h, i);
		const json_t *w = json_array_get(want, i);

		assert_string_equal(slot.provider, text_of(w, "provider"));
		assert_string_equal(slot.key_id, text_of(w, "key_id"));
		assert_string_equal(slot.created, text_of(w, "created"));
		SHA256(slot.ciphertext, slot.ciphertext_bytes, digest);
		for (j = 0; j < sizeof(digest); j++)
			sprintf(hex + 2 * j, "%02x", digest[j]);
		assert_string_equal(hex, text_of(w, "ciphertext_sha256"));
		context = NULL;
		assert_int_equal(header_context(h, i, &context), 0);
		assert_true(json_equal(context,
				       json_object_get(w, "context")));
		json_decref(context);
	}
}

static void compare_copies(const struct header *h, const json_t *want)
{
	const char *states = text_of(want, "states");
	unsigned int used = text_of(want, "copy")[0] == 'B';
	unsigned int i;

	for (i = 0; i < HEADER_COPIES; i++)
		assert_int_equal(header_copy(h, i).state, states[i] == 'V' ?
				 HEADER_COPY_VERIFIED : HEADER_COPY_DAMAGED);
	assert_true(header_copy(h, used).used);
	assert_int_equal(header_copy(h, used).sequence,
			 number_of(want, "sequence"));
}

static void golden_images_open(void **state)
{
	struct secret *dek = golden_dek();
	const json_t *want;
	struct header *h;
	size_t i;
	int fd;

	(void)state;
	json_array_foreach(json_object_get(golden, "images"), i, want) {
		fd = open_image(text_of(want, "image"));
		h = NULL;
		assert_int_equal(header_read(fd, "image", &h), 0);
		compare_core(header_core(h), want);
		compare_slots(h, json_object_get(want, "slots"));
		assert_int_equal(header_verify(h, "image", dek), 0);
		compare_copies(h, want);
		header_free(h);
		close(fd);
	}
	assert_int_equal(i, 6);
	secret_free(dek);
}

/* Rewritten without a change of core, they still verify. */
static void golden_images_survive_an_update(void **state)
{
	struct secret *dek = golden_dek();
	const json_t *want;
	struct header *h;
	size_t i;
	int fd;

	(void)state;
	json_array_foreach(json_object_get(golden, "images"), i, want) {
		fd = open_image(text_of(want, "image"));
		h = NULL;
		assert_int_equal(header_read(fd, "image", &h), 0);
		assert_int_equal(header_write(fd, "image", h), 0);
		header_free(h);
		h = NULL;
		assert_int_equal(header_read(fd, "image", &h), 0);
		compare_core(header_core(h), want);
		compare_slots(h, json_object_get(want, "slots"));
		assert_int_equal(header_verify(h, "image", dek), 0);
		assert_true(header_copies_agree(h));
		header_free(h);
		close(fd);
	}
	secret_free(dek);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden_images_open),
		cmocka_unit_test(golden_images_survive_an_update),
	};

	return cmocka_run_group_tests_name("header_golden", tests, load_golden,
					   free_golden);
}
