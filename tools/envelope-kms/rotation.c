// SPDX-License-Identifier: GPL-2.0-or-later
/* Rotation: its schedule, on demand, and the list of past ones. */
#include "rotation.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "material.h"
#include "metadata.h"
#include "operations.h"
#include "page.h"
#include "params.h"
#include "related.h"
#include "resolve.h"

#define DAYS_MIN 90
#define DAYS_MAX 2560
#define DAYS_USUAL 365
#define CONFLICT_MS (20 * 60 * INT64_C(1000))
#define STATES_REFUSED (STATE_DISABLED | STATE_PENDING_DELETION | \
	STATE_CREATING | STATE_UNAVAILABLE)

int64_t rotation_days_ms(int64_t days)
{
	return days * 24 * 60 * 60 * 1000;
}

/* @id becomes the current material of @key in its own region. */
static int make_current(struct server *s, struct key_row *key,
			struct material_row *row)
{
	struct material_row old;
	int rc = store_material_find(s->store, key, key->material_id, &old);

	if (rc == 0) {
		strcpy(old.state, MATERIAL_NON_CURRENT);
		rc = store_material_set(s->store, key, &old);
	}
	/* A replica may have imported the new one alone. */
	if (rc == 0 || rc == -ENOENT)
		rc = store_material_set(s->store, key, row);
	strcpy(key->material_id, row->material_id);
	return rc < 0 ? rc : store_key_set_material(s->store, key);
}

/* The same in one region of a key, with its event. @fresh NULL: imported. */
static int rotate_in(struct server *s, struct key_row *key,
		     const struct key_row *named, const char *material_id,
		     const char *type, const struct secret *fresh)
{
	struct material_row row = { .created_ms = server_now_ms() };
	bool here = strcmp(key->region, named->region) == 0;
	int rc = 0;

	strcpy(row.material_id, material_id);
	if (fresh) {
		rc = store_material_count(s->store, key, "", &row.seq);
		if (rc == 0)
			rc = material_put(s->store, s->root, key, &row, fresh);
	} else {
		rc = store_material_find(s->store, key, material_id, &row);
	}
	if (rc < 0)
		return rc;
	strcpy(row.state, MATERIAL_CURRENT);
	strcpy(row.rotation_type, type);
	row.rotated_ms = server_now_ms();
	/* Imported material may be the first of the key to expire. */
	if (row.expires_ms &&
	    (!key->expires_ms || row.expires_ms < key->expires_ms))
		key->expires_ms = row.expires_ms;
	rc = make_current(s, key, &row);
	return rc < 0 ? rc :
	       audit_service_event(s->audit, here ? "RotateKey" :
				   "SynchronizeMultiRegionKey", key);
}

/*
 * Rotates @key in all its regions, inside a transaction. @material_id: of
 * imported material that waits for this; NULL: fresh material.
 */
static int rotate(struct server *s, const struct key_row *key,
		  const char *material_id, const char *type)
{
	char id[MATERIAL_ID_BYTES];
	struct related all = { .key = NULL };
	struct secret *fresh = NULL;
	size_t i;
	int rc = related_get(s->store, key, &all);

	if (rc == 0 && !material_id) {
		fresh = secret_new(MATERIAL_BYTES);
		rc = fresh ? crypto_random(secret_bytes(fresh),
					   MATERIAL_BYTES) : -ENOMEM;
		if (rc == 0)
			rc = material_new_id(id);
		material_id = id;
	}
	for (i = 0; rc == 0 && i < all.count; i++)
		rc = rotate_in(s, &all.key[i], key, material_id, type, fresh);
	secret_free(fresh);
	related_free(&all);
	return rc;
}

static int rotate_one(struct server *s, struct key_row *key)
{
	int64_t now = server_now_ms();
	int rc = store_key_rotation_due(s->store, now, key);

	if (rc == 0)
		rc = rotate(s, key, NULL, ROTATION_AUTOMATIC);
	if (rc < 0)
		return rc;
	key->rotation_ms = now + rotation_days_ms(key->rotation_days);
	return store_key_set_rotation(s->store, key);
}

int rotation_do_due(struct server *s)
{
	struct key_row key = { .description = NULL };
	int rc = store_begin(s->store);

	if (rc < 0)
		return rc;
	rc = rotate_one(s, &key);
	if (rc == 0)
		rc = store_commit(s->store);
	else
		store_rollback(s->store);
	if (rc == 0)
		log_info("key %s has been rotated", key.key_id);
	key_row_free(&key);
	return rc;
}

static int unsupported_origin(struct call *c, const struct key_row *key)
{
	char arn[CALL_ARN_BYTES];

	call_key_arn(key, arn);
	return call_fail(c, ERR_UNSUPPORTED,
			 "%s origin is %s which is not valid for this operation.",
			 arn, key->origin);
}

static bool is_imported(const struct key_row *key)
{
	return strcmp(key->origin, "EXTERNAL") == 0;
}

/* A key whose automatic rotation may be changed now. */
static int check_schedulable(struct call *c, const struct key_row *key)
{
	int rc;

	if (is_imported(key))
		return unsupported_origin(c, key);
	rc = require_primary(c, key);
	return rc < 0 ? rc : require_state(c, key, STATES_REFUSED);
}

int op_enable_key_rotation(struct call *c)
{
	struct facts f = { .action = "kms:EnableKeyRotation" };
	struct key_row key = { .description = NULL };
	int64_t days = DAYS_USUAL;
	int rc;

	if (param_int(c, "RotationPeriodInDays", DAYS_MIN, DAYS_MAX, &days))
		rc = facts_add_int(&f, "kms:RotationPeriodInDays", days);
	else
		rc = 0;
	if (rc == 0)
		rc = resolve_named(c, RESOLVE_KEY_ONLY, &f, &key);
	if (rc == 0)
		rc = check_schedulable(c, &key);
	if (rc == 0) {
		key.rotation_days = days;
		key.rotation_ms = server_now_ms() + rotation_days_ms(days);
		rc = store_key_set_rotation(c->server->store, &key);
	}
	facts_free(&f);
	key_row_free(&key);
	return rc;
}

int op_disable_key_rotation(struct call *c)
{
	struct facts f = { .action = "kms:DisableKeyRotation" };
	struct key_row key = { .description = NULL };
	int rc = resolve_named(c, RESOLVE_KEY_ONLY, &f, &key);

	if (rc == 0)
		rc = check_schedulable(c, &key);
	if (rc == 0) {
		key.rotation_days = 0;
		key.rotation_ms = 0;
		rc = store_key_set_rotation(c->server->store, &key);
	}
	key_row_free(&key);
	return rc;
}

/* A key on its way out is not rotated; after a cancel it is again. */
static bool is_scheduled(const struct key_row *key)
{
	return key->rotation_days && !strstr(key->state, "Deletion");
}

int op_get_key_rotation_status(struct call *c)
{
	struct facts f = { .action = "kms:GetKeyRotationStatus" };
	struct key_row key = { .description = NULL };
	int rc = resolve_named(c, RESOLVE_KEY_ONLY, &f, &key);

	if (rc == 0 && is_imported(&key))
		rc = unsupported_origin(c, &key);
	if (rc < 0)
		goto out;
	c->answer = json_pack("{s:s, s:b}", "KeyId", key.key_id,
			      "KeyRotationEnabled", is_scheduled(&key));
	if (!c->answer)
		rc = -ENOMEM;
	if (rc == 0 && is_scheduled(&key)) {
		json_object_set_new(c->answer, "RotationPeriodInDays",
				    json_integer(key.rotation_days));
		json_object_set_new(c->answer, "NextRotationDate",
				    metadata_seconds(key.rotation_ms));
	}
out:
	key_row_free(&key);
	return rc;
}

static int check_limits(struct call *c, const struct key_row *key)
{
	char arn[CALL_ARN_BYTES];
	int64_t done;
	int rc = store_material_count(c->server->store, key,
				      ROTATION_ON_DEMAND, &done);

	if (rc < 0)
		return rc;
	call_key_arn(key, arn);
	if (done >= c->server->rotation_limit)
		return call_fail(c, ERR_LIMIT_EXCEEDED,
				 "The on-demand rotations limit has been reached for the given keyId. No more on-demand rotations can be performed for this key: %s",
				 arn);
	if (key->rotation_ms &&
	    key->rotation_ms - server_now_ms() <= CONFLICT_MS)
		return call_fail(c, ERR_CONFLICT,
				 "%s is rotated automatically within 20 minutes.",
				 arn);
	return 0;
}

static int take_pending(const struct material_row *row, void *arg)
{
	if (row->present && strcmp(row->state, MATERIAL_PENDING) == 0 &&
	    (!row->expires_ms || row->expires_ms > server_now_ms()))
		strcpy(arg, row->material_id);
	return 0;
}

/* In each region, or the key would encrypt where nobody could decrypt. */
static int pending_everywhere(struct store *s, const struct key_row *key,
			      const char *material_id)
{
	struct related all = { .key = NULL };
	struct material_row row;
	size_t i;
	int rc = related_get(s, key, &all);

	for (i = 0; rc == 0 && i < all.count; i++) {
		rc = store_material_find(s, &all.key[i], material_id, &row);
		if (rc == 0 && !row.present)
			rc = -ENOENT;
	}
	related_free(&all);
	return rc;
}

/* The imported material that waits for a rotation. */
static int find_pending(struct call *c, const struct key_row *key,
			char material_id[static MATERIAL_ID_BYTES])
{
	char arn[CALL_ARN_BYTES];
	int rc;

	material_id[0] = '\0';
	rc = store_material_list(c->server->store, key, false, -1, -1,
				 take_pending, material_id);
	if (rc == 0)
		rc = material_id[0] ? pending_everywhere(c->server->store, key,
							 material_id) :
				      -ENOENT;
	if (rc != -ENOENT)
		return rc;
	call_key_arn(key, arn);
	return call_fail(c, ERR_INVALID_STATE,
			 "No available key material pending rotation for the key: %s.",
			 arn);
}

static int rotate_on_demand(struct call *c, const struct key_row *key)
{
	char material_id[MATERIAL_ID_BYTES];
	int rc = require_primary(c, key);

	if (rc == 0)
		rc = require_state(c, key, STATES_REFUSED |
				   STATE_PENDING_IMPORT | STATE_UPDATING);
	if (rc == 0)
		rc = check_limits(c, key);
	if (rc == 0 && is_imported(key))
		rc = find_pending(c, key, material_id);
	if (rc < 0)
		return rc;
	return rotate(c->server, key, is_imported(key) ? material_id : NULL,
		      ROTATION_ON_DEMAND);
}

int op_rotate_key_on_demand(struct call *c)
{
	struct facts f = { .action = "kms:RotateKeyOnDemand" };
	struct key_row key = { .description = NULL };
	int rc = resolve_named(c, RESOLVE_KEY_ONLY, &f, &key);

	if (rc == 0)
		rc = rotate_on_demand(c, &key);
	if (rc == 0) {
		c->answer = json_pack("{s:s}", "KeyId", key.key_id);
		c->response_elements = json_pack("{s:s}", "keyId", key.key_id);
		rc = c->answer && c->response_elements ? 0 : -ENOMEM;
	}
	key_row_free(&key);
	return rc;
}

struct rotation_list {
	struct page page;
	struct store *store;
	const struct key_row *key;
};

static const char *shown_state(struct rotation_list *list,
			       const struct material_row *row)
{
	if (strcmp(row->state, MATERIAL_PENDING) == 0 &&
	    pending_everywhere(list->store, list->key, row->material_id) < 0)
		return "PENDING_MULTI_REGION_IMPORT_AND_ROTATION";
	return row->state;
}

static void add_import(json_t *item, const struct material_row *row)
{
	json_object_set_new(item, "ImportState", json_string(row->present ?
			    "IMPORTED" : "PENDING_IMPORT"));
	if (row->description[0])
		json_object_set_new(item, "KeyMaterialDescription",
				    json_string(row->description));
	if (!row->present)
		return;
	json_object_set_new(item, "ExpirationModel",
			    json_string(row->expires_ms ?
					"KEY_MATERIAL_EXPIRES" :
					"KEY_MATERIAL_DOES_NOT_EXPIRE"));
	if (row->expires_ms)
		json_object_set_new(item, "ValidTo",
				    metadata_seconds(row->expires_ms));
}

static int take_rotation(const struct material_row *row, void *arg)
{
	struct rotation_list *list = arg;
	char name[32];
	json_t *item = json_pack("{s:s, s:s, s:s}", "KeyId",
				 list->key->key_id, "KeyMaterialId",
				 row->material_id, "KeyMaterialState",
				 shown_state(list, row));

	if (!item)
		return -ENOMEM;
	if (row->imported)
		add_import(item, row);
	if (row->rotated_ms) {
		json_object_set_new(item, "RotationDate",
				    metadata_seconds(row->rotated_ms));
		json_object_set_new(item, "RotationType",
				    json_string(row->rotation_type));
	}
	snprintf(name, sizeof(name), "%" PRId64, row->seq);
	return page_take(&list->page, name, item);
}

int op_list_key_rotations(struct call *c)
{
	static const char *const what[] = { "ROTATIONS_ONLY",
					    "ALL_KEY_MATERIAL", NULL };
	struct facts f = { .action = "kms:ListKeyRotations" };
	struct rotation_list list = { .store = c->server->store };
	struct key_row key = { .description = NULL };
	const char *include = param_enum(c, "IncludeKeyMaterial", what);
	bool all = include && strcmp(include, what[1]) == 0;
	int rc = page_begin(c, "rotation", 100, 1000, &list.page);

	if (rc < 0)
		return rc;
	rc = resolve_named(c, RESOLVE_KEY_ONLY, &f, &key);
	list.key = &key;
	if (rc == 0)
		rc = store_material_list(c->server->store, &key, !all,
					 list.page.after[0] ?
					 atoll(list.page.after) : -1,
					 list.page.limit + 1, take_rotation,
					 &list);
	if (rc == 0)
		rc = page_answer(c, &list.page, "Rotations");
	page_free(&list.page);
	key_row_free(&key);
	return rc;
}
