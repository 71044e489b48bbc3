// SPDX-License-Identifier: GPL-2.0-or-later
/* The record of a copy that was begun: made, found, believed. */
#include "snapshot_pending.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "derive.h"
#include "json.h"
#include "log.h"
#include "snapshot_key.h"

#define LABEL "envelope pending v1"
#define MAC_CHARS SNAPSHOT_DIGEST_CHARS

/* The MAC of @o, which has none in it. -EIO, -ENOMEM with a message. */
static int record_mac(const json_t *o, const struct secret *dek,
		      char ret[MAC_CHARS])
{
	char *text = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
	struct secret *key = secret_new(DERIVE_BYTES), *seal = NULL;
	uint8_t mac[SNAPSHOT_DIGEST_BYTES];
	unsigned int n = 0;
	int r = text && key ? snapshot_seal(dek, &seal) : -ENOMEM;

	if (r == 0)
		r = derive(seal, NULL, 0, LABEL, secret_bytes(key));
	if (r == 0 && (!HMAC(EVP_sha256(), secret_cbytes(key), DERIVE_BYTES,
			     (unsigned char *)text, strlen(text), mac, &n) ||
		       n != sizeof(mac)))
		r = -EIO;
	if (r == 0)
		snapshot_hex(mac, ret);
	else
		log_error("cannot authenticate the record of a copy: %s",
			  strerror(-r));
	secret_free(seal);
	secret_free(key);
	free(text);
	return r;
}

static json_t *compose(const struct snapshot *s)
{
	const struct header *h = snapshot_header((struct snapshot *)s);
	const struct snapshot_source *source = snapshot_source(s);
	char uuid[2 * HEADER_UUID_BYTES + 1];
	size_t i;

	for (i = 0; i < HEADER_UUID_BYTES; i++)
		snprintf(uuid + 2 * i, 3, "%02x", header_core(h)->uuid[i]);
	return json_pack("{ss ss ss ss s{ss ss ss} sO ss sO}", "snapshot_id",
			 snapshot_id(s), "created", snapshot_created(s),
			 "lineage", header_core(h)->lineage, "parent",
			 snapshot_parent(s), "source", "snapshot_id",
			 source->snapshot_id, "lineage", source->lineage,
			 "body", source->body, "core", header_core_json(h),
			 "uuid", uuid, "slots",
			 json_object_get(header_slots_json(h), "slots"));
}

int snapshot_pending_put(struct snapshot_store *st, const struct snapshot *s,
			 const struct secret *dek)
{
	json_t *o = compose(s);
	char mac[MAC_CHARS];
	char *text = NULL;
	int r = o ? record_mac(o, dek, mac) : -ENOMEM;

	if (r == 0 && json_object_set_new(o, "mac", json_string(mac)) < 0)
		r = -ENOMEM;
	if (r == 0)
		text = json_dumps(o, JSON_COMPACT);
	if (r == 0)
		r = text ? snapshot_store_pending_put(st, snapshot_id(s),
						      text) : -ENOMEM;
	free(text);
	json_decref(o);
	return r;
}

/* Is @o the record of such a copy? Nothing of it is believed yet. */
static bool matches(const json_t *o, const struct snapshot *source,
		    const char *key_id, const char *parent)
{
	const json_t *of = json_object_get(o, "source");
	const json_t *slot = json_array_get(json_object_get(o, "slots"), 0);

	return strcmp(json_text(of, "snapshot_id"), snapshot_id(source)) == 0 &&
	       strcmp(json_text(of, "body"), snapshot_body(source)) == 0 &&
	       strcmp(json_text(o, "parent"), parent) == 0 &&
	       strcmp(json_text(slot, "key_id"), key_id) == 0;
}

static int parse_uuid(const char *text, uint8_t ret[HEADER_UUID_BYTES])
{
	unsigned int byte;
	size_t i;

	if (strlen(text) != 2 * HEADER_UUID_BYTES)
		return -EBADMSG;
	for (i = 0; i < HEADER_UUID_BYTES; i++) {
		if (sscanf(text + 2 * i, "%2x", &byte) != 1)
			return -EBADMSG;
		ret[i] = byte;
	}
	return 0;
}

/* The copy that @o is of, by @source, which matches() compared it with. */
static int to_snapshot(const json_t *o, const struct snapshot *source,
		       struct snapshot **ret)
{
	const char *id = json_text(o, "snapshot_id");
	json_t *slots = json_pack("{sO}", "slots",
				  json_object_get(o, "slots"));
	struct snapshot_source of = { 0 };
	uint8_t uuid[HEADER_UUID_BYTES];
	struct header *h = NULL;
	int r = slots ? 0 : -ENOMEM;

	if (r == 0 && !snapshot_id_valid(id))
		r = -EBADMSG;
	if (r == 0)
		r = parse_uuid(json_text(o, "uuid"), uuid);
	if (r == 0)
		r = header_from_parts(id, json_object_get(o, "core"), slots,
				      uuid, &h);
	strcpy(of.snapshot_id, snapshot_id(source));
	strcpy(of.body, snapshot_body(source));
	strcpy(of.lineage, header_core(snapshot_header(
		(struct snapshot *)source))->lineage);
	if (r == 0)
		r = snapshot_new_copy(id, h, &of, ret);
	if (r == 0)
		snapshot_set_parent(*ret, json_text(o, "parent"));
	header_free(h);
	json_decref(slots);
	return r;
}

/* The DEK of @s, and whether it is that of @o. */
static int prove(const json_t *o, const struct snapshot *s, struct volume_kms *k,
		 struct secret **dek_ret)
{
	char lineage[HEADER_LINEAGE_CHARS], want[MAC_CHARS];
	struct secret *dek = NULL;
	const char *mac;
	int r = snapshot_unwrap(s, k, NULL, &dek);

	if (r == 0)
		r = header_lineage(dek, lineage);
	if (r == 0 && strcmp(lineage, header_core(snapshot_header(
			(struct snapshot *)s))->lineage) != 0)
		r = -EBADMSG;
	mac = json_text(o, "mac");
	if (r == 0 && strlen(mac) != MAC_CHARS - 1)
		r = -EBADMSG;
	if (r == 0) {
		json_t *rest = json_copy((json_t *)o);

		json_object_del(rest, "mac");
		r = record_mac(rest, dek, want);
		json_decref(rest);
	}
	if (r == 0 && CRYPTO_memcmp(mac, want, MAC_CHARS - 1) != 0)
		r = -EBADMSG;
	if (r < 0)
		secret_free(dek);
	else
		*dek_ret = dek;
	return r;
}

/* 0 with *@ret NULL: not this one. */
static int consider(struct snapshot_store *st, const char *id,
		    const struct snapshot *source, struct volume_kms *k,
		    const char *key_id, const char *parent,
		    struct snapshot **ret, struct secret **dek_ret)
{
	char why[JSON_WHY_BYTES];
	json_t *o = NULL;
	char *text = NULL;
	int r;

	/* Published, and killed before it could say so. */
	if (snapshot_store_has(st, id))
		return snapshot_store_pending_remove(st, id);
	r = snapshot_store_pending_get(st, id, &text);
	if (r == 0)
		r = json_parse_strict(text, strlen(text), HEADER_MAX_DEPTH + 1,
				      &o, why);
	free(text);
	if (r == 0 && !matches(o, source, key_id, parent)) {
		json_decref(o);
		return 0;
	}
	if (r == 0)
		r = to_snapshot(o, source, ret);
	if (r == 0)
		r = prove(o, *ret, k, dek_ret);
	json_decref(o);
	if (r == 0)
		return 0;
	snapshot_free(*ret);
	*ret = NULL;
	/* One that was made up is denied; so will be all else, if that was not. */
	if (r == -EHOSTUNREACH || r == -ENOMEM)
		return r;
	log_warn("the record of the copy %s does not hold: it is begun anew",
		 id);
	return 0;
}

int snapshot_pending_find(struct snapshot_store *st,
			  const struct snapshot *source, struct volume_kms *k,
			  const char *key_id, const char *parent,
			  struct snapshot **ret, struct secret **dek_ret)
{
	json_t *ids = NULL;
	const json_t *id;
	size_t i;
	int r = snapshot_store_pending_list(st, &ids);

	*ret = NULL;
	*dek_ret = NULL;
	json_array_foreach(ids, i, id) {
		if (r < 0 || *ret)
			break;
		r = consider(st, json_string_value(id), source, k, key_id,
			     parent, ret, dek_ret);
	}
	json_decref(ids);
	return r;
}
