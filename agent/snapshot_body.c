// SPDX-License-Identifier: GPL-2.0-or-later
/* A snapshot's body: its bytes, as snapshot.h says them, and its HMAC. */
#include "snapshot_private.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "derive.h"
#include "json.h"
#include "log.h"

#define MAGIC "ENVSNAPB"
#define LABEL_SEAL "envelope seal v1"
#define LABEL_SNAPSHOT "envelope snapshot v1"
#define RUN_BYTES 16u
#define MAC_BYTES 32u

/* Offsets in the fixed part. */
enum {
	AT_MAGIC = 0,
	AT_VERSION = 8,
	AT_FIXED_BYTES = 12,
	AT_CHUNK_BYTES = 16,
	AT_META_BYTES = 20,
	AT_TABLE_BYTES = 24,
	AT_CHUNKS = 32,
	AT_STORED = 40,
	AT_UUID = 48,
	AT_RESERVED = 64,
	AT_META = 128,
};

static const char *const known_names[] = {
	"snapshot_id", "created", "core", "parent", "source", NULL,
};

int snapshot_seal(const struct secret *dek, struct secret **ret)
{
	struct secret *seal = secret_new(DERIVE_BYTES);
	int r = seal ? derive(dek, NULL, 0, LABEL_SEAL, secret_bytes(seal)) :
		       -ENOMEM;

	if (r == 0) {
		*ret = seal;
		return 0;
	}
	log_error("no key to authenticate a snapshot by: %s", strerror(-r));
	secret_free(seal);
	return r;
}

/* HMAC with a key of this snapshot's alone. */
static int body_mac(const struct snapshot *s, const uint8_t *body, size_t bytes,
		    const struct secret *seal, uint8_t ret[MAC_BYTES])
{
	char info[sizeof(LABEL_SNAPSHOT) + HEADER_SNAPSHOT_ID_CHARS];
	struct secret *key = secret_new(DERIVE_BYTES);
	unsigned int n = 0;
	int r = -ENOMEM;

	snprintf(info, sizeof(info), LABEL_SNAPSHOT "%s", s->original);
	if (key)
		r = derive(seal, NULL, 0, info, secret_bytes(key));
	if (r == 0 && (!HMAC(EVP_sha256(), secret_cbytes(key), DERIVE_BYTES,
			     body, bytes, ret, &n) || n != MAC_BYTES))
		r = -EIO;
	secret_free(key);
	if (r == -ENOMEM)
		log_error("no locked memory for a key: %s", strerror(ENOMEM));
	else if (r < 0)
		log_error("OpenSSL refused to compute the snapshot's HMAC");
	return r;
}

/* Is @dek that of @s, by the fingerprint? */
static int check_lineage(const char *name, const struct snapshot *s,
			 const struct secret *dek)
{
	char lineage[HEADER_LINEAGE_CHARS];
	int r = header_lineage(dek, lineage);

	if (r < 0 || strcmp(lineage, header_core(s->header)->lineage) == 0)
		return r;
	log_error("'%s': the unwrapped key is not this snapshot's: it was tampered with; take another copy of the store",
		  name);
	return -EBADMSG;
}

static json_t *source_json(const struct snapshot *s)
{
	if (!s->source.snapshot_id[0])
		return NULL;
	return json_pack("{ss ss ss}", "snapshot_id", s->source.snapshot_id,
			 "lineage", s->source.lineage, "body", s->source.body);
}

static char *meta_text(const struct snapshot *s)
{
	json_t *meta = json_pack("{ss ss s[] sO ss* so*}", "snapshot_id",
				 s->original, "created", s->begun, "critical",
				 "core", header_core_json(s->header), "parent",
				 s->parent[0] ? s->parent : NULL, "source",
				 source_json(s));
	char *text = meta ? json_dumps(meta, JSON_COMPACT) : NULL;

	json_decref(meta);
	return text;
}

static uint8_t *put_runs(const struct snapshot *s, uint8_t *p)
{
	size_t i;

	for (i = 0; i < s->run_count; i++) {
		const struct snapshot_run *run = s->runs + i;
		size_t n = run->stored ? run->chunks * SNAPSHOT_DIGEST_BYTES :
			   0;

		put_le32(p, run->stored);
		put_le64(p + 8, run->chunks);
		p += RUN_BYTES;
		if (n > 0)
			memcpy(p, s->digests + run->first_digest *
			       SNAPSHOT_DIGEST_BYTES, n);
		p += n;
	}
	return p;
}

int snapshot_body_encode(struct snapshot *s, const struct secret *seal,
			 uint8_t **ret, size_t *bytes_ret)
{
	size_t table = s->run_count * RUN_BYTES +
		       s->stored * SNAPSHOT_DIGEST_BYTES;
	char *meta = meta_text(s);
	size_t meta_bytes = meta ? strlen(meta) : 0;
	size_t bytes = AT_META + meta_bytes + table;
	uint8_t *body = calloc(1, bytes + MAC_BYTES);
	int r = -EINVAL;

	if (!meta || !body) {
		r = -ENOMEM;
		goto out;
	}
	if (s->chunks != snapshot_chunks(s) ||
	    meta_bytes > SNAPSHOT_MAX_META_BYTES)
		goto out;
	memcpy(body + AT_MAGIC, MAGIC, 8);
	put_le32(body + AT_VERSION, SNAPSHOT_VERSION);
	put_le32(body + AT_FIXED_BYTES, AT_META);
	put_le32(body + AT_CHUNK_BYTES, SNAPSHOT_CHUNK_BYTES);
	put_le32(body + AT_META_BYTES, meta_bytes);
	put_le64(body + AT_TABLE_BYTES, table);
	put_le64(body + AT_CHUNKS, s->chunks);
	put_le64(body + AT_STORED, s->stored);
	memcpy(body + AT_UUID, header_core(s->header)->uuid,
	       HEADER_UUID_BYTES);
	memcpy(body + AT_META, meta, meta_bytes);
	put_runs(s, body + AT_META + meta_bytes);
	r = body_mac(s, body, bytes, seal, body + bytes);
	if (r == 0)
		r = snapshot_body_digest(body, bytes + MAC_BYTES, s->body);
	if (r < 0)
		goto out;
	*ret = body;
	*bytes_ret = bytes + MAC_BYTES;
	body = NULL;
out:
	free(meta);
	free(body);
	return r;
}

static int refuse(const char *name, const char *what)
{
	log_error("'%s': damaged or forged: %s; take another copy of the store",
		  name, what);
	return -EBADMSG;
}

/* The fixed part, and that the sizes in it come to @bytes. */
static int check_fixed(const char *name, const uint8_t *body, size_t bytes)
{
	static const uint8_t zero[AT_META - AT_RESERVED];
	uint64_t meta, table, rest;

	if (bytes < AT_META + MAC_BYTES || memcmp(body, MAGIC, 8) != 0)
		return refuse(name, "it is not the body of a snapshot");
	if (le32(body + AT_VERSION) != SNAPSHOT_VERSION) {
		log_error("'%s': format version %u; this program knows %u: use a newer one",
			  name, le32(body + AT_VERSION), SNAPSHOT_VERSION);
		return -EOPNOTSUPP;
	}
	if (le32(body + AT_FIXED_BYTES) != AT_META ||
	    le32(body + AT_CHUNK_BYTES) != SNAPSHOT_CHUNK_BYTES ||
	    memcmp(body + AT_RESERVED, zero, sizeof(zero)) != 0)
		return refuse(name, "its fixed part breaks a rule");
	meta = le32(body + AT_META_BYTES);
	table = le64(body + AT_TABLE_BYTES);
	rest = bytes - AT_META - MAC_BYTES;
	if (meta < 2 || meta > SNAPSHOT_MAX_META_BYTES || meta > rest ||
	    table != rest - meta)
		return refuse(name, "its parts are not as long as it says");
	return 0;
}

static int take_text(const char *name, const json_t *meta, const char *member,
		     char *ret, size_t room)
{
	const char *text;

	if (json_get_string(meta, member, &text) < 0 || strlen(text) >= room)
		return refuse(name, "its meta text breaks a rule");
	strcpy(ret, text);
	return 0;
}

/* What need not be there, and is well formed if it is. */
static int take_optional(const char *name, const json_t *meta,
			 struct snapshot *s)
{
	const json_t *source = json_object_get(meta, "source");
	int r = 0;

	if (json_object_get(meta, "parent"))
		r = take_text(name, meta, "parent", s->parent,
			      sizeof(s->parent));
	if (r == 0 && s->parent[0] && !snapshot_id_valid(s->parent))
		r = refuse(name, "its parent is none");
	if (r < 0 || !source)
		return r;
	r = take_text(name, source, "snapshot_id", s->source.snapshot_id,
		      sizeof(s->source.snapshot_id));
	if (r == 0)
		r = take_text(name, source, "lineage", s->source.lineage,
			      sizeof(s->source.lineage));
	if (r == 0)
		r = take_text(name, source, "body", s->source.body,
			      sizeof(s->source.body));
	if (r == 0 && (!snapshot_id_valid(s->source.snapshot_id) ||
		       !snapshot_digest_valid(s->source.lineage) ||
		       !snapshot_digest_valid(s->source.body)))
		r = refuse(name, "its source is none");
	return r;
}

static int parse_meta(const char *name, const uint8_t *body,
		      const json_t *slots, struct snapshot *s)
{
	char why[JSON_WHY_BYTES];
	json_t *meta = NULL;
	json_t *core;
	int r;

	/* Core is as deep in here as it may be, and one level further down. */
	r = json_parse_strict((const char *)body + AT_META,
			      le32(body + AT_META_BYTES), HEADER_MAX_DEPTH + 1,
			      &meta, why);
	if (r == -EBADMSG)
		return refuse(name, why);
	if (r < 0)
		return r;
	r = json_is_object(meta) ? 0 :
	    refuse(name, "its meta text is not an object");
	if (r == 0)
		r = snapshot_check_critical(name, meta, known_names);
	if (r == 0)
		r = take_text(name, meta, "snapshot_id", s->original,
			      sizeof(s->original));
	if (r == 0)
		r = take_text(name, meta, "created", s->begun,
			      sizeof(s->begun));
	if (r == 0 && !snapshot_id_valid(s->original))
		r = refuse(name, "its snapshot_id is none");
	if (r == 0 && !header_time_valid(s->begun))
		r = refuse(name, "its time is none");
	if (r == 0)
		r = take_optional(name, meta, s);
	if (r == 0 && json_get_object(meta, "core", &core) < 0)
		r = refuse(name, "it has no core");
	if (r == 0)
		r = header_from_parts(name, core, slots, body + AT_UUID,
				      &s->header);
	json_decref(meta);
	return r;
}

/* One run at @p of @bytes; *@used_ret is its length. */
static int parse_run(const char *name, const uint8_t *p, uint64_t bytes,
		     struct snapshot *s, uint64_t *used_ret)
{
	uint64_t left = snapshot_chunks(s) - s->chunks;
	uint64_t chunks;
	uint8_t *to;
	bool stored;
	int r;

	if (bytes < RUN_BYTES || le32(p) > 1 || le32(p + 4) != 0)
		return refuse(name, "its table breaks a rule");
	stored = le32(p) == 1;
	chunks = le64(p + 8);
	if (chunks == 0 || chunks > left)
		return refuse(name, "its table has more chunks than the volume");
	if (s->run_count > 0 && s->runs[s->run_count - 1].stored == stored)
		return refuse(name, "its table breaks a rule");
	*used_ret = RUN_BYTES;
	if (stored) {
		if (chunks > (bytes - RUN_BYTES) / SNAPSHOT_DIGEST_BYTES)
			return refuse(name, "its table is cut short");
		r = snapshot_digest_room(s, chunks, &to);
		if (r < 0)
			return r;
		memcpy(to, p + RUN_BYTES, chunks * SNAPSHOT_DIGEST_BYTES);
		*used_ret += chunks * SNAPSHOT_DIGEST_BYTES;
	}
	return snapshot_add_run(s, stored, chunks);
}

static int parse_table(const char *name, const uint8_t *body,
		       struct snapshot *s)
{
	const uint8_t *p = body + AT_META + le32(body + AT_META_BYTES);
	uint64_t bytes = le64(body + AT_TABLE_BYTES);
	uint64_t used;
	int r;

	while (bytes > 0) {
		r = parse_run(name, p, bytes, s, &used);
		if (r < 0)
			return r;
		p += used;
		bytes -= used;
	}
	if (s->chunks != snapshot_chunks(s) ||
	    s->chunks != le64(body + AT_CHUNKS) ||
	    s->stored != le64(body + AT_STORED))
		return refuse(name, "its table does not account for every chunk");
	return 0;
}

int snapshot_body_parse(const char *name, const uint8_t *body, size_t bytes,
			const json_t *slots, struct snapshot **ret)
{
	struct snapshot *s;
	int r;

	r = check_fixed(name, body, bytes);
	if (r < 0)
		return r;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	r = parse_meta(name, body, slots, s);
	if (r == 0 && !header_core(s->header)->lineage[0])
		r = refuse(name, "its core names no lineage");
	if (r == 0)
		r = parse_table(name, body, s);
	if (r == 0)
		r = snapshot_body_digest(body, bytes, s->body);
	if (r < 0) {
		snapshot_free(s);
		return r;
	}
	/* Until a wrapper says something else. */
	strcpy(s->id, s->original);
	strcpy(s->created, s->begun);
	*ret = s;
	return 0;
}

int snapshot_body_check(const char *name, const struct snapshot *s,
			const uint8_t *body, size_t bytes,
			const struct secret *seal)
{
	uint8_t mac[MAC_BYTES];
	int r;

	if (bytes < MAC_BYTES)
		return refuse(name, "it is cut short");
	r = body_mac(s, body, bytes - MAC_BYTES, seal, mac);
	if (r < 0)
		return r;
	if (CRYPTO_memcmp(mac, body + bytes - MAC_BYTES, MAC_BYTES) == 0)
		return 0;
	log_error("'%s': the snapshot was tampered with: its HMAC is wrong; take another copy of the store",
		  name);
	return -EBADMSG;
}

int snapshot_body_verify(const char *name, const struct snapshot *s,
			 const uint8_t *body, size_t bytes,
			 const struct secret *dek)
{
	struct secret *seal = NULL;
	int r = check_lineage(name, s, dek);

	if (r == 0)
		r = snapshot_seal(dek, &seal);
	if (r == 0)
		r = snapshot_body_check(name, s, body, bytes, seal);
	secret_free(seal);
	return r;
}
