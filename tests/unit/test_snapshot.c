// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Bodies and wrappers of snapshots: the golden ones of the second writer, and
 * what is refused. Runs from the top of the tree.
 */
#include "header_fixture.h"

#include "json.h"
#include "snapshot.h"

#define GOLDEN "tests/vectors/snapshot/golden.json"
#define AT_TABLE(body) (128 + (body)[20] + 256 * (body)[21])

static json_t *golden;

static uint8_t *from_hex(const char *hex, size_t *bytes_ret)
{
	size_t n = strlen(hex) / 2, i;
	uint8_t *bytes = malloc(n);
	unsigned int v;

	for (i = 0; i < n; i++) {
		assert_int_equal(sscanf(hex + 2 * i, "%2x", &v), 1);
		bytes[i] = v;
	}
	*bytes_ret = n;
	return bytes;
}

static struct secret *golden_dek(void)
{
	struct secret *dek = secret_new(HEADER_DEK_BYTES);
	size_t n;
	uint8_t *bytes = from_hex(json_text(golden, "dek"), &n);

	assert_int_equal(n, HEADER_DEK_BYTES);
	memcpy(secret_bytes(dek), bytes, n);
	free(bytes);
	return dek;
}

static int load_golden(void **state)
{
	(void)state;
	golden = json_load_file(GOLDEN, 0, NULL);
	return golden ? 0 : -1;
}

static int free_golden(void **state)
{
	(void)state;
	json_decref(golden);
	return 0;
}

static void compare_chunks(const struct snapshot *s, const json_t *chunks)
{
	char hex[SNAPSHOT_DIGEST_CHARS];
	const json_t *want;
	size_t i;

	assert_int_equal(snapshot_chunks(s), json_array_size(chunks));
	json_array_foreach(chunks, i, want) {
		const uint8_t *digest = snapshot_digest(s, i);

		assert_int_equal(digest != NULL, json_is_string(want));
		if (!digest)
			continue;
		snapshot_hex(digest, hex);
		assert_string_equal(hex, json_string_value(want));
	}
	assert_null(snapshot_digest(s, i));
}

static void golden_snapshots_open(void **state)
{
	struct secret *dek = golden_dek();
	struct snapshot_wrapper w;
	struct snapshot *s;
	const json_t *want;
	const char *text;
	uint8_t *body;
	size_t i, n;

	(void)state;
	json_array_foreach(json_object_get(golden, "snapshots"), i, want) {
		text = json_text(want, "wrapper");
		body = from_hex(json_text(want, "body"), &n);
		assert_int_equal(snapshot_wrapper_parse(
			json_text(want, "snapshot_id"), text, strlen(text),
			&w), 0);
		assert_int_equal(snapshot_open(&w, body, n, &s), 0);
		assert_int_equal(snapshot_body_verify("golden", s, body, n,
						      dek), 0);
		compare_chunks(s, json_object_get(want, "chunks"));
		assert_int_equal(header_slot_count(snapshot_header(s)), 1);
		assert_int_equal(w.size_bytes, header_core(
			snapshot_header(s))->size_bytes);
		snapshot_free(s);
		snapshot_wrapper_free(&w);
		free(body);
	}
	assert_int_equal(i, 6);
	secret_free(dek);
}

/* 8 MiB and 4096 bytes: 17 chunks, of which the last is short. */
static struct snapshot *made(const struct secret *dek)
{
	struct header_core core = fixture_core();
	struct header_slot slot = fixture_slot(ARN_1);
	struct snapshot *s = NULL;
	struct header *h = NULL;
	uint8_t digest[32];
	size_t i;

	core.size_bytes = (8 << 20) + 4096;
	assert_int_equal(header_new(&core, &h), 0);
	assert_int_equal(header_add_slot(h, &slot), 0);
	assert_int_equal(header_seal(h, dek), 0);
	assert_int_equal(snapshot_new(h, &s), 0);
	header_free(h);
	for (i = 0; i < 17; i++) {
		memset(digest, i, sizeof(digest));
		assert_int_equal(snapshot_add_chunk(s, i % 5 < 2 ? NULL :
						    digest), 0);
	}
	assert_int_equal(snapshot_add_chunk(s, NULL), -EINVAL);
	return s;
}

static int encode(struct snapshot *s, const struct secret *dek,
		  uint8_t **ret, size_t *n_ret)
{
	struct secret *seal = NULL;
	int r;

	assert_int_equal(snapshot_seal(dek, &seal), 0);
	r = snapshot_body_encode(s, seal, ret, n_ret);
	secret_free(seal);
	return r;
}

static uint8_t *made_body(const struct secret *dek, struct snapshot **s_ret,
			  size_t *n_ret)
{
	uint8_t *body = NULL;

	*s_ret = made(dek);
	assert_int_equal(encode(*s_ret, dek, &body, n_ret), 0);
	return body;
}

static void what_is_encoded_is_parsed(void **state)
{
	struct secret *dek = fixture_dek(1);
	struct snapshot_wrapper w;
	struct snapshot *s, *again;
	char *text = NULL;
	uint8_t *body, *second;
	size_t n, n2, i;

	(void)state;
	body = made_body(dek, &s, &n);
	assert_int_equal(snapshot_wrapper_encode(s, &text), 0);
	assert_int_equal(snapshot_wrapper_parse(snapshot_id(s), text,
						strlen(text), &w), 0);
	assert_int_equal(snapshot_open(&w, body, n, &again), 0);
	assert_int_equal(snapshot_body_verify("again", again, body, n, dek),
			 0);
	assert_int_equal(snapshot_stored_chunks(again), 9);
	assert_int_equal(snapshot_chunk_bytes(again, 15), 524288);
	assert_int_equal(snapshot_chunk_bytes(again, 16), 4096);
	for (i = 0; i < 17; i++) {
		if (i % 5 < 2)
			assert_null(snapshot_digest(again, i));
		else
			assert_int_equal(snapshot_digest(again, i)[31], i);
	}
	assert_int_equal(encode(again, dek, &second, &n2), 0);
	assert_int_equal(n, n2);
	assert_memory_equal(body, second, n);
	free(text);
	free(second);
	free(body);
	snapshot_wrapper_free(&w);
	snapshot_free(again);
	snapshot_free(s);
	secret_free(dek);
}

static void chunks_must_be_complete(void **state)
{
	struct secret *dek = fixture_dek(1);
	struct header *h = fixture_header(dek);
	struct snapshot *s = NULL;
	uint8_t *body = NULL;
	size_t n;

	(void)state;
	assert_int_equal(snapshot_new(h, &s), 0);
	assert_int_equal(snapshot_add_chunk(s, NULL), 0);
	assert_int_equal(encode(s, dek, &body, &n), -EINVAL);
	snapshot_free(s);
	header_free(h);
	secret_free(dek);
}

/* Every bit of a body counts: no byte may change without somebody noticing. */
static void security_22_every_byte_is_authenticated(void **state)
{
	struct secret *dek = fixture_dek(1);
	struct snapshot *s, *forged;
	uint8_t *body;
	size_t n, i;
	int r;

	(void)state;
	body = made_body(dek, &s, &n);
	fixture_listen();
	for (i = 0; i < n; i++) {
		body[i] ^= 1;
		forged = NULL;
		r = snapshot_body_parse("forged", body, n,
			header_slots_json(snapshot_header(s)), &forged);
		if (r == 0)
			r = snapshot_body_verify("forged", forged, body, n,
						 dek);
		snapshot_free(forged);
		body[i] ^= 1;
		if (r == 0)
			break;
	}
	fixture_heard();
	assert_int_equal(i, n);
	free(body);
	snapshot_free(s);
	secret_free(dek);
}

static void security_22_another_key_is_refused(void **state)
{
	struct secret *dek = fixture_dek(1), *other = fixture_dek(2);
	struct secret *seal = NULL;
	struct snapshot *s;
	uint8_t *body;
	size_t n;

	(void)state;
	body = made_body(dek, &s, &n);
	fixture_listen();
	assert_int_equal(snapshot_body_verify("other", s, body, n, other),
			 -EBADMSG);
	assert_heard("not this snapshot's");
	assert_int_equal(snapshot_seal(other, &seal), 0);
	fixture_listen();
	assert_int_equal(snapshot_body_check("other", s, body, n, seal),
			 -EBADMSG);
	assert_heard("HMAC is wrong");
	secret_free(seal);
	free(body);
	snapshot_free(s);
	secret_free(dek);
	secret_free(other);
}

struct change {
	const char *what;
	size_t at;		/* in the table, from its start; or absolute */
	bool in_table;
	uint64_t value;
	unsigned int bytes;
	int want;
	const char *says;
};

static const struct change changes[] = {
	{ "magic", 0, false, 'X', 1, -EBADMSG, "forged" },
	{ "version", 8, false, 2, 4, -EOPNOTSUPP, "newer" },
	{ "fixed part", 12, false, 124, 4, -EBADMSG, "forged" },
	{ "chunk", 16, false, 262144, 4, -EBADMSG, "forged" },
	{ "meta", 20, false, 0xffffffff, 4, -EBADMSG, "forged" },
	{ "no meta", 20, false, 0, 4, -EBADMSG, "forged" },
	{ "table", 24, false, UINT64_MAX, 8, -EBADMSG, "forged" },
	{ "chunks", 32, false, 18, 8, -EBADMSG, "forged" },
	{ "stored", 40, false, 10, 8, -EBADMSG, "forged" },
	{ "reserved", 127, false, 1, 1, -EBADMSG, "forged" },
	{ "kind", 0, true, 2, 4, -EBADMSG, "forged" },
	{ "reserved in run", 4, true, 1, 4, -EBADMSG, "forged" },
	{ "no chunks", 8, true, 0, 8, -EBADMSG, "forged" },
	{ "too many", 8, true, 18, 8, -EBADMSG, "forged" },
	{ "overflow", 8, true, UINT64_MAX, 8, -EBADMSG, "forged" },
	{ "same kind", 16, true, 0, 4, -EBADMSG, "forged" },
	{ "digests overflow", 24, true, 1ull << 59, 8, -EBADMSG, "forged" },
	{ "digests beyond the end", 24, true, 15, 8, -EBADMSG, "cut short" },
};

static void hostile_bodies_are_refused(void **state)
{
	struct secret *dek = fixture_dek(1);
	struct snapshot *s, *forged = NULL;
	uint8_t *body, *copy;
	size_t n, i;

	(void)state;
	body = made_body(dek, &s, &n);
	for (i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		const struct change *c = changes + i;

		copy = malloc(n);
		memcpy(copy, body, n);
		fixture_put(copy + c->at + (c->in_table ? AT_TABLE(copy) : 0),
			    c->value, c->bytes);
		fixture_listen();
		if (snapshot_body_parse("forged", copy, n,
				header_slots_json(snapshot_header(s)),
				&forged) != c->want)
			fail_msg("%s", c->what);
		assert_heard(c->says);
		free(copy);
	}
	for (i = 0; i < n; i++) {
		copy = malloc(i ? i : 1);
		memcpy(copy, body, i);
		fixture_listen();
		assert_int_equal(snapshot_body_parse("cut", copy, i,
				header_slots_json(snapshot_header(s)),
				&forged), -EBADMSG);
		fixture_heard();
		free(copy);
	}
	free(body);
	snapshot_free(s);
	secret_free(dek);
}

/* A core that only a newer version understands is refused with its reason. */
static void newer_cores_are_refused(void **state)
{
	struct secret *dek = fixture_dek(1);
	struct snapshot *s, *newer = NULL;
	uint8_t *body, *at;
	size_t n;

	(void)state;
	body = made_body(dek, &s, &n);
	at = memmem(body, n, "plain64", 7);
	assert_non_null(at);
	memcpy(at, "plain99", 7);
	fixture_listen();
	assert_int_equal(snapshot_body_parse("newer", body, n,
			header_slots_json(snapshot_header(s)), &newer),
			-EOPNOTSUPP);
	assert_heard("plain99");
	free(body);
	snapshot_free(s);
	secret_free(dek);
}

/* What a wrapper says with @from replaced by @to. */
static int parse_changed(const char *text, const char *from, const char *to)
{
	struct snapshot_wrapper w = { 0 };
	const char *at = strstr(text, from);
	char *changed = NULL;
	int r;

	assert_non_null(at);
	assert_true(asprintf(&changed, "%.*s%s%s", (int)(at - text), text, to,
			     at + strlen(from)) > 0);
	fixture_listen();
	r = snapshot_wrapper_parse("snap-0123456789abcdef1", changed,
				   strlen(changed), &w);
	fixture_heard();
	snapshot_wrapper_free(&w);
	free(changed);
	return r;
}

static void hostile_wrappers_are_refused(void **state)
{
	const json_t *g = json_array_get(json_object_get(golden, "snapshots"),
					 1);
	const char *text = json_text(g, "wrapper");
	const char *lineage = json_text(golden, "lineage");
	char up[66];

	(void)state;
	assert_int_equal(parse_changed(text, "envelope", "envelope"), 0);
	assert_int_equal(parse_changed(text, "envelope", "other"), -EBADMSG);
	assert_int_equal(parse_changed(text, "\"version\": 1",
				       "\"version\": 2"), -EOPNOTSUPP);
	assert_int_equal(parse_changed(text, "\"critical\": []",
				       "\"critical\": [\"x\"]"), -EOPNOTSUPP);
	assert_int_equal(parse_changed(text, "\"critical\": []",
				       "\"critical\": 1"), -EBADMSG);
	assert_int_equal(parse_changed(text, "\"slots\": [",
				       "\"slots\": 1, \"s\": ["), -EBADMSG);
	assert_int_equal(parse_changed(text, "vol-", "vol/"), -EBADMSG);
	assert_int_equal(parse_changed(text, "}", ""), -EBADMSG);
	assert_int_equal(parse_changed(text, "\"volume\"", "\"disk\""),
			 -EBADMSG);
	assert_int_equal(parse_changed(text, "us-east-1\",", "../1\","),
			 -EBADMSG);
	assert_int_equal(parse_changed(text, "2026-02", "20260-2"), -EBADMSG);
	snprintf(up, sizeof(up), "../%s", lineage + 3);
	assert_int_equal(parse_changed(text, lineage, up), -EBADMSG);
}

/* The pieces of two snapshots do not go together. */
static void security_26_the_id_must_be_the_one_asked_for(void **state)
{
	const json_t *all = json_object_get(golden, "snapshots");
	const json_t *one = json_array_get(all, 0);
	const json_t *two = json_array_get(all, 1);
	const char *text = json_text(two, "wrapper");
	struct snapshot_wrapper w = { 0 };
	char digest[SNAPSHOT_DIGEST_CHARS];
	uint8_t *body, raw[32];
	struct snapshot *s = NULL;
	size_t n;

	(void)state;
	fixture_listen();
	assert_int_equal(snapshot_wrapper_parse(
		json_text(one, "snapshot_id"), text, strlen(text), &w),
		-EBADMSG);
	assert_heard("wrapper of another snapshot");
	assert_int_equal(snapshot_wrapper_parse(
		json_text(two, "snapshot_id"), text, strlen(text), &w), 0);
	body = from_hex(json_text(one, "body"), &n);
	fixture_listen();
	assert_int_equal(snapshot_open(&w, body, n, &s), -EBADMSG);
	assert_heard("another SHA-256");
	/* Who can write the store can put that right, too. */
	SHA256(body, n, raw);
	snapshot_hex(raw, digest);
	memcpy(w.body, digest, sizeof(digest));
	w.size_bytes = 3 * SNAPSHOT_CHUNK_BYTES;
	fixture_listen();
	assert_int_equal(snapshot_open(&w, body, n, &s), -EBADMSG);
	assert_heard("another snapshot's");
	snapshot_wrapper_free(&w);
	free(body);
}

/* Who can write the store cannot hand a key to another id or another body. */
static void security_22_a_copy_is_bound_to_its_id_and_body(void **state)
{
	struct secret *dek = fixture_dek(1);
	struct snapshot *s, *again = NULL;
	struct snapshot_wrapper w = { 0 };
	char id[HEADER_SNAPSHOT_ID_CHARS];
	json_t *context = NULL, *pairs;
	char *text = NULL;
	uint8_t *body;
	size_t n;

	(void)state;
	body = made_body(dek, &s, &n);
	strcpy(id, snapshot_id(s));
	assert_int_equal(snapshot_context(s, 0, &context), 0);
	assert_non_null(json_object_get(context, "envelope:volume-id"));
	assert_null(json_object_get(context, "envelope:snapshot-id"));
	json_decref(context);
	snapshot_become_copy(s, "snap-eeeeeeeeeeeeeeeee");
	assert_int_equal(snapshot_wrapper_encode(s, &text), 0);
	assert_int_equal(snapshot_wrapper_parse(snapshot_id(s), text,
						strlen(text), &w), 0);
	assert_int_equal(snapshot_open(&w, body, n, &again), 0);
	assert_string_equal(snapshot_original(again), id);
	assert_int_equal(snapshot_body_verify("copy", again, body, n, dek), 0);
	assert_int_equal(snapshot_context(again, 0, &context), 0);
	assert_string_equal(json_text(context, "envelope:snapshot-id"),
			    snapshot_id(s));
	assert_string_equal(json_text(context, "envelope:snapshot-body"),
			    w.body);
	assert_null(json_object_get(context, "envelope:volume-id"));
	json_decref(context);
	snapshot_free(again);
	pairs = json_pack("{ss}", "team", "storage");
	assert_int_equal(snapshot_copy_context(id, NULL, pairs, &context), 0);
	assert_string_equal(json_text(context, "team"), "storage");
	assert_int_equal(json_object_size(context), 2);
	json_decref(context);
	json_decref(pairs);
	/* A snapshot of a volume has the id of its body. */
	w.binding = SNAPSHOT_OF_VOLUME;
	fixture_listen();
	assert_int_equal(snapshot_open(&w, body, n, &again), -EBADMSG);
	assert_heard("another snapshot's");
	snapshot_wrapper_free(&w);
	free(text);
	free(body);
	snapshot_free(s);
	secret_free(dek);
}

static void a_body_names_its_parent_and_source(void **state)
{
	const json_t *all = json_object_get(golden, "snapshots"), *g;
	struct snapshot *s = NULL;
	struct snapshot_wrapper w;
	const char *text;
	uint8_t *body;
	size_t n;

	(void)state;
	g = json_array_get(all, 5);
	text = json_text(g, "wrapper");
	body = from_hex(json_text(g, "body"), &n);
	assert_int_equal(snapshot_wrapper_parse(json_text(g, "snapshot_id"),
						text, strlen(text), &w), 0);
	assert_int_equal(snapshot_open(&w, body, n, &s), 0);
	assert_string_equal(snapshot_parent(s), "snap-00000000000000001");
	assert_string_equal(snapshot_source(s)->snapshot_id,
			    "snap-00000000000000002");
	assert_int_equal(strlen(snapshot_source(s)->body), 64);
	assert_string_equal(snapshot_region(s), "eu-west-1");
	snapshot_free(s);
	snapshot_wrapper_free(&w);
	free(body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden_snapshots_open),
		cmocka_unit_test(what_is_encoded_is_parsed),
		cmocka_unit_test(chunks_must_be_complete),
		cmocka_unit_test(security_22_every_byte_is_authenticated),
		cmocka_unit_test(security_22_another_key_is_refused),
		cmocka_unit_test(hostile_bodies_are_refused),
		cmocka_unit_test(newer_cores_are_refused),
		cmocka_unit_test(hostile_wrappers_are_refused),
		cmocka_unit_test(security_22_a_copy_is_bound_to_its_id_and_body),
		cmocka_unit_test(a_body_names_its_parent_and_source),
		cmocka_unit_test(security_26_the_id_must_be_the_one_asked_for),
	};

	return cmocka_run_group_tests_name("snapshot", tests, load_golden,
					   free_golden);
}
