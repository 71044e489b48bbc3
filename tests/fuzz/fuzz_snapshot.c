// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Wrappers and bodies of snapshots, which come from a store that others write.
 * The input:
 *
 *   a wrapper, one line
 *   a body
 *
 * Both are taken or refused with a sentence; what is taken accounts for every
 * chunk, and its names hold nothing but digits.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz_log.h"
#include "snapshot.h"

#define ID "snap-0123456789abcdef0"
#define MAX_CHUNKS 100000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check_taken(const struct snapshot *s)
{
	uint64_t chunks = snapshot_chunks(s), stored = 0, i;

	if (!snapshot_id_valid(snapshot_id(s)) ||
	    strlen(header_core(snapshot_header(s))->lineage) != 64 ||
	    header_slot_count(snapshot_header(s)) < 1)
		abort();
	if (snapshot_digest(s, chunks) || snapshot_stored_chunks(s) > chunks)
		abort();
	if (chunks > MAX_CHUNKS)
		return;
	for (i = 0; i < chunks; i++) {
		if (snapshot_chunk_bytes(s, i) == 0 ||
		    snapshot_chunk_bytes(s, i) > SNAPSHOT_CHUNK_BYTES)
			abort();
		stored += snapshot_digest(s, i) != NULL;
	}
	if (stored != snapshot_stored_chunks(s))
		abort();
}

static void must_have_said(int r)
{
	if (r < 0 && fuzz_errors == 0)
		abort();
}

static void check_wrapper(const char *text, size_t len)
{
	struct snapshot_wrapper w = { 0 };
	int r;

	fuzz_errors = 0;
	r = snapshot_wrapper_parse(ID, text, len, &w);
	must_have_said(r);
	if (r == 0 && (strcmp(w.snapshot_id, ID) != 0 ||
		       strspn(w.body, "0123456789abcdef") != 64 ||
		       strspn(w.lineage, "0123456789abcdef") != 64))
		abort();
	snapshot_wrapper_free(&w);
}

static void check_body(const uint8_t *body, size_t bytes)
{
	json_t *slots = json_pack("{s[{ss ss s{} ss ss}]}", "slots",
		"provider", "aws-kms", "key_id",
		"arn:aws:kms:us-east-1:111122223333:key/11111111",
		"context", "ciphertext", "AAAA",
		"created", "2026-01-02T03:04:05Z");
	struct snapshot *s = NULL;
	int r;

	fuzz_errors = 0;
	r = snapshot_body_parse("body", body, bytes, slots, &s);
	must_have_said(r);
	if (r == 0)
		check_taken(s);
	snapshot_free(s);
	json_decref(slots);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	const uint8_t *end = bytes ? memchr(data, '\n', bytes) : NULL;
	size_t len = end ? (size_t)(end - data) : bytes;
	/* Exact copies, so that reading beyond the end is seen. */
	uint8_t *wrapper = malloc(len ? len : 1);
	uint8_t *body = malloc(bytes - len ? bytes - len : 1);
	size_t rest = end ? bytes - len - 1 : 0;

	if (!wrapper || !body)
		abort();
	if (len > 0)
		memcpy(wrapper, data, len);
	if (rest > 0)
		memcpy(body, end + 1, rest);
	check_wrapper((const char *)wrapper, len);
	check_body(body, rest);
	free(wrapper);
	free(body);
	return 0;
}
