// SPDX-License-Identifier: GPL-2.0-or-later
/* Imported material: in, out again, and out by its date. */
#include "import.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "material.h"
#include "operations.h"
#include "params.h"
#include "reaper.h"
#include "related.h"
#include "resolve.h"
#include "rotation.h"

#define VALID_DAYS_MAX 365
#define DESCRIPTION_MAX 256
#define STATES_REFUSED (STATE_PENDING_DELETION | STATE_CREATING | \
	STATE_UNAVAILABLE)

struct import {
	struct secret *token, *wrapped, *material;
	int64_t expires_ms;       /* 0: never */
	const char *model, *type, *description, *material_id;
	struct key_row key;
	struct material_row row;  /* what becomes of it */
	bool known;               /* the key has, or had, this material */
};

/* Walks the material of a key for what its state follows from. */
struct survey {
	bool missing;
	int64_t expires_ms;
	char pending[MATERIAL_ID_BYTES];
	int64_t now_ms;
	char expired[MATERIAL_ID_BYTES]; /* one of them */
	bool expired_pending;
};

static int survey_row(const struct material_row *row, void *arg)
{
	struct survey *v = arg;
	bool pending = strcmp(row->state, MATERIAL_PENDING) == 0;

	if (pending)
		strcpy(v->pending, row->material_id);
	else if (!row->present)
		v->missing = true;
	else if (row->expires_ms &&
		 (!v->expires_ms || row->expires_ms < v->expires_ms))
		v->expires_ms = row->expires_ms;
	if (row->present && row->expires_ms && row->expires_ms <= v->now_ms) {
		strcpy(v->expired, row->material_id);
		v->expired_pending = pending;
	}
	return 0;
}

/* What waits for its rotation nobody needs yet. */
static int count_needed(const struct material_row *row, void *arg)
{
	*(int64_t *)arg += strcmp(row->state, MATERIAL_PENDING) != 0;
	return 0;
}

static int survey_key(struct store *s, const struct key_row *key,
		      int64_t now_ms, struct survey *v)
{
	struct related all = { .key = NULL };
	struct key_row *primary;
	int64_t own = 0, first = 0;
	int rc;

	memset(v, 0, sizeof(*v));
	v->now_ms = now_ms;
	rc = store_material_list(s, key, false, -1, -1, survey_row, v);
	if (rc < 0 || !is_replica(key))
		return rc;
	/* A replica lacks what it never had, too. */
	rc = related_get(s, key, &all);
	primary = rc == 0 ? related_in(&all, key->primary_region) : NULL;
	if (primary)
		rc = store_material_list(s, primary, false, -1, -1,
					 count_needed, &first);
	if (rc == 0 && primary)
		rc = store_material_list(s, key, false, -1, -1,
					 count_needed, &own);
	if (rc == 0 && primary && own < first)
		v->missing = true;
	related_free(&all);
	return rc;
}

int import_missing(struct store *s, const struct key_row *key)
{
	struct survey v;
	int rc;

	if (strcmp(key->origin, "EXTERNAL") != 0)
		return 0;
	rc = survey_key(s, key, server_now_ms(), &v);
	return rc < 0 ? rc : v.missing || !key->material_id[0];
}

/* State and dates of @key from the material that it has now. */
static int settle(struct store *s, struct key_row *key)
{
	bool waits = strcmp(key->state, "PendingImport") == 0;
	bool leaves = strstr(key->state, "Deletion");
	struct survey v;
	bool complete;
	int rc = survey_key(s, key, server_now_ms(), &v);

	if (rc < 0)
		return rc;
	complete = !v.missing && key->material_id[0];
	if (waits && complete)
		strcpy(key->state, "Enabled");
	else if (!complete && !leaves)
		strcpy(key->state, "PendingImport");
	key->expires_ms = v.expires_ms;
	rc = store_key_set_material(s, key);
	return rc < 0 ? rc : store_key_set_state(s, key);
}

/* A date of the API: seconds, a fraction allowed. 0: absent or wrong. */
static int64_t param_date(struct call *c, const char *name)
{
	json_t *value = json_object_get(c->params, name);

	if (!value || json_is_null(value))
		return 0;
	if (json_is_number(value) && json_number_value(value) > 0 &&
	    json_number_value(value) < 1e12)
		return (int64_t)(json_number_value(value) * 1000);
	c->malformed = true;
	return 0;
}

static void read_import(struct call *c, struct import *in)
{
	static const char *const models[] = {
		"KEY_MATERIAL_EXPIRES", "KEY_MATERIAL_DOES_NOT_EXPIRE", NULL
	};
	static const char *const types[] = {
		"NEW_KEY_MATERIAL", "EXISTING_KEY_MATERIAL", NULL
	};

	in->token = param_blob(c, "ImportToken", IMPORT_BLOB_MAX);
	in->wrapped = param_blob(c, "EncryptedKeyMaterial", IMPORT_BLOB_MAX);
	in->model = param_enum(c, "ExpirationModel", models);
	in->type = param_enum(c, "ImportType", types);
	in->description = param_string(c, "KeyMaterialDescription",
				       PARAM_OPTIONAL, 0, DESCRIPTION_MAX);
	in->material_id = param_string(c, "KeyMaterialId", PARAM_OPTIONAL,
				       MATERIAL_ID_BYTES - 1,
				       MATERIAL_ID_BYTES - 1);
	in->expires_ms = param_date(c, "ValidTo");
	if (!in->model)
		in->model = models[0];
}

static int check_expiry(struct call *c, const struct import *in)
{
	int64_t now = server_now_ms();

	if (strcmp(in->model, "KEY_MATERIAL_EXPIRES") != 0)
		return !in->expires_ms ? 0 : call_fail(c, ERR_VALIDATION,
			"A validTo date must not be set if the ExpirationModel is KEY_MATERIAL_DOES_NOT_EXPIRE");
	if (!in->expires_ms)
		return call_fail(c, ERR_VALIDATION,
				 "A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES");
	if (in->expires_ms <= now ||
	    in->expires_ms > now + rotation_days_ms(VALID_DAYS_MAX))
		return call_fail(c, ERR_VALIDATION,
				 "The validTo date must be in the future and at most %d days ahead",
				 VALID_DAYS_MAX);
	return 0;
}

/* However it fails to open, the answer is one. */
static int unwrap(struct call *c, struct import *in)
{
	struct import_token token = { .opened = NULL };
	int rc = import_token_open(c, &in->key, in->token, &token);

	if (rc < 0)
		return rc;
	rc = wrap_open(token.private_der, token.private_bytes,
		       token.algorithm, secret_cbytes(in->wrapped),
		       secret_len(in->wrapped), &in->material);
	secret_free(token.opened);
	if (rc == 0 && secret_len(in->material) != MATERIAL_BYTES)
		rc = -EBADMSG;
	return rc == -EBADMSG ?
	       call_fail(c, ERR_INVALID_CIPHERTEXT, "%s", "") : rc;
}

/*
 * The same for the same material in the same key, and of no use to who wants
 * to know whether two keys have the same.
 */
static int compute_id(struct call *c, struct import *in)
{
	size_t key_bytes = strlen(in->key.key_id);
	struct secret *own = NULL, *data = secret_new(key_bytes +
						      MATERIAL_BYTES);
	uint8_t id[CRYPTO_SHA256_BYTES];
	int rc = data ? 0 : -ENOMEM;

	if (rc == 0) {
		memcpy(secret_bytes(data), in->key.key_id, key_bytes);
		memcpy(secret_bytes(data) + key_bytes,
		       secret_cbytes(in->material), MATERIAL_BYTES);
		rc = crypto_kdf(c->server->root,
				"envelope-kms material id v1", NULL, 0, &own);
	}
	if (rc == 0)
		rc = crypto_hmac(secret_cbytes(own), secret_len(own),
				 secret_cbytes(data), secret_len(data), id);
	if (rc == 0)
		crypto_hex(id, sizeof(id), in->row.material_id);
	secret_free(own);
	secret_free(data);
	return rc;
}

static int incorrect(struct call *c)
{
	return call_fail(c, ERR_INCORRECT_KEY_MATERIAL, "%s", "");
}

/* A replica takes what its primary has, as what the primary has it. */
static int place_in_replica(struct call *c, struct import *in)
{
	struct related all = { .key = NULL };
	struct key_row *primary;
	int rc = related_get(c->server->store, &in->key, &all);

	if (rc < 0)
		return rc;
	primary = related_in(&all, in->key.primary_region);
	rc = primary ? store_material_find(c->server->store, primary,
					   in->row.material_id, &in->row) :
		       -ENOENT;
	related_free(&all);
	return rc == -ENOENT ? incorrect(c) : rc;
}

/* What material becomes that this key has not had. */
static int place_new(struct call *c, struct import *in)
{
	struct survey v;
	int rc = survey_key(c->server->store, &in->key, server_now_ms(), &v);

	if (rc < 0)
		return rc;
	if (v.pending[0])
		return call_fail(c, ERR_INVALID_STATE,
				 "New key material (id: %s) cannot be imported into KMS key %s, because another key material (id: %s) is pending rotation.",
				 in->row.material_id, in->key.key_id,
				 v.pending);
	strcpy(in->row.state, in->key.material_id[0] ? MATERIAL_PENDING :
						       MATERIAL_CURRENT);
	in->row.created_ms = server_now_ms();
	return store_material_count(c->server->store, &in->key, "",
				    &in->row.seq);
}

static int place_material(struct call *c, struct import *in)
{
	bool fresh = in->type ? strcmp(in->type, "NEW_KEY_MATERIAL") == 0 :
				!in->key.material_id[0];
	struct material_row row;
	int rc = store_material_find(c->server->store, &in->key,
				     in->row.material_id, &row);

	if (rc < 0 && rc != -ENOENT)
		return rc;
	in->known = rc == 0;
	if (in->known)
		in->row = row;
	if (in->material_id && strcmp(in->material_id,
				      in->row.material_id) != 0)
		return incorrect(c);
	if (!in->known && is_replica(&in->key))
		return place_in_replica(c, in);
	if (in->known ? fresh && strcmp(row.state, MATERIAL_PENDING) != 0 :
			!fresh)
		return incorrect(c);
	return in->known ? 0 : place_new(c, in);
}

static int keep_material(struct call *c, struct import *in)
{
	struct server *s = c->server;
	int rc;

	in->row.imported = true;
	in->row.expires_ms = in->expires_ms;
	if (in->description)
		snprintf(in->row.description, sizeof(in->row.description),
			 "%s", in->description);
	if (strcmp(in->row.state, MATERIAL_CURRENT) == 0)
		strcpy(in->key.material_id, in->row.material_id);
	rc = material_put(s->store, s->root, &in->key, &in->row,
			  in->material);
	return rc < 0 ? rc : settle(s->store, &in->key);
}

static int answer_material(struct call *c, const struct key_row *key,
			   const char *material_id)
{
	char arn[CALL_ARN_BYTES];

	call_key_arn(key, arn);
	c->answer = json_pack("{s:s}", "KeyId", arn);
	c->response_elements = json_pack("{s:s}", "keyId", arn);
	if (!c->answer || !c->response_elements)
		return -ENOMEM;
	if (!material_id[0])
		return 0;
	if (json_object_set_new(c->answer, "KeyMaterialId",
				json_string(material_id)) < 0 ||
	    json_object_set_new(c->response_elements, "keyMaterialId",
				json_string(material_id)) < 0)
		return -ENOMEM;
	return 0;
}

int op_import_key_material(struct call *c)
{
	struct facts f = { .action = "kms:ImportKeyMaterial" };
	struct import in = { .token = NULL };
	int rc;

	read_import(c, &in);
	rc = resolve_named(c, RESOLVE_KEY_ONLY, &f, &in.key);
	if (rc == 0)
		rc = require_external(c, &in.key);
	if (rc == 0)
		rc = require_state(c, &in.key, STATES_REFUSED);
	if (rc == 0)
		rc = check_expiry(c, &in);
	if (rc == 0)
		rc = unwrap(c, &in);
	if (rc == 0)
		rc = compute_id(c, &in);
	if (rc == 0)
		rc = place_material(c, &in);
	if (rc == 0)
		rc = keep_material(c, &in);
	if (rc == 0)
		rc = answer_material(c, &in.key, in.row.material_id);
	secret_free(in.token);
	secret_free(in.wrapped);
	secret_free(in.material);
	key_row_free(&in.key);
	return rc;
}

int import_erase(struct store *s, struct key_row *key,
		 const char *material_id, bool pending)
{
	int rc = material_erase(s, key, material_id, pending);

	return rc < 0 ? rc : settle(s, key);
}

int import_set_expiry(struct store *s, struct key_row *key,
		      const char *material_id, int64_t expires_ms)
{
	struct material_row row;
	int rc = store_material_find(s, key, material_id, &row);

	if (rc == 0 && !row.present)
		rc = -ENOENT;
	if (rc < 0)
		return rc;
	row.expires_ms = expires_ms;
	rc = store_material_set(s, key, &row);
	return rc < 0 ? rc : settle(s, key);
}

int import_expire_by(struct store *s, struct key_row *key, int64_t at_ms)
{
	struct survey v;
	int rc = survey_key(s, key, at_ms, &v);

	while (rc == 0 && v.expired[0]) {
		rc = import_erase(s, key, v.expired, v.expired_pending);
		if (rc == 0)
			rc = survey_key(s, key, at_ms, &v);
	}
	return rc;
}

static int delete_material(struct call *c, struct key_row *key,
			   const char *material_id)
{
	struct material_row row;
	int rc = store_material_find(c->server->store, key, material_id,
				     &row);

	if (rc == -ENOENT)
		return call_fail(c, ERR_NOT_FOUND,
				 "Key material '%s' does not exist",
				 material_id);
	if (rc < 0 || !row.present)
		return rc;
	rc = import_erase(c->server->store, key, material_id,
			  strcmp(row.state, MATERIAL_PENDING) == 0);
	/* It waits for the end of this transaction. */
	reaper_wake(c->server->reaper);
	return rc;
}

int op_delete_imported_key_material(struct call *c)
{
	struct facts f = { .action = "kms:DeleteImportedKeyMaterial" };
	struct key_row key = { .description = NULL };
	const char *id = param_string(c, "KeyMaterialId", PARAM_OPTIONAL,
				      MATERIAL_ID_BYTES - 1,
				      MATERIAL_ID_BYTES - 1);
	char material_id[MATERIAL_ID_BYTES];
	int rc = resolve_named(c, RESOLVE_KEY_ONLY, &f, &key);

	if (rc == 0)
		rc = require_external(c, &key);
	if (rc == 0)
		rc = require_state(c, &key, STATE_CREATING | STATE_UPDATING);
	if (rc < 0)
		goto out;
	/* the parameter's limits count characters, not bytes */
	if (id && strlen(id) >= sizeof(material_id)) {
		rc = call_fail(c, ERR_NOT_FOUND,
			       "Key material '%s' does not exist", id);
		goto out;
	}
	strcpy(material_id, id ? id : key.material_id);
	if (material_id[0])
		rc = delete_material(c, &key, material_id);
	if (rc == 0)
		rc = answer_material(c, &key, material_id);
out:
	key_row_free(&key);
	return rc;
}

static int expire(struct server *s, struct key_row *key)
{
	int64_t now = server_now_ms();
	struct survey v;
	int rc = store_key_expired(s->store, now, key);

	if (rc == 0)
		rc = survey_key(s->store, key, now, &v);
	if (rc == 0 && !v.expired[0])
		rc = -ENOENT;
	if (rc == 0)
		rc = import_erase(s->store, key, v.expired,
				  v.expired_pending);
	return rc < 0 ? rc : audit_service_event(s->audit,
						 "DeleteExpiredKeyMaterial",
						 key);
}

int import_expire_one(struct server *s)
{
	struct key_row key = { .description = NULL };
	int rc = store_begin(s->store);

	if (rc < 0)
		return rc;
	rc = expire(s, &key);
	if (rc == 0)
		rc = store_commit(s->store);
	else
		store_rollback(s->store);
	if (rc == 0)
		log_info("imported material of key %s has expired",
			 key.key_id);
	key_row_free(&key);
	return rc;
}
