// SPDX-License-Identifier: GPL-2.0-or-later
/* Puts together KeyMetadata, whose members depend on the kind of key. */
#include "metadata.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "call.h"
#include "related.h"

json_t *metadata_seconds(int64_t ms)
{
	return json_real((double)ms / 1000);
}

static json_t *arn_and_region(const struct key_row *key)
{
	char arn[CALL_ARN_BYTES];

	call_key_arn(key, arn);
	return json_pack("{s:s, s:s}", "Arn", arn, "Region", key->region);
}

/* Absent, not null, for a key of one region: null breaks clients. */
static int add_regions(json_t *m, struct store *s, const struct key_row *key)
{
	struct related all = { .key = NULL };
	json_t *config, *replicas = json_array();
	size_t i;
	int rc = related_get(s, key, &all);

	config = json_pack("{s:s, s:o}", "MultiRegionKeyType",
			   is_replica(key) ? "REPLICA" : "PRIMARY",
			   "ReplicaKeys", replicas);
	for (i = 0; rc == 0 && i < all.count; i++) {
		json_t *one = arn_and_region(&all.key[i]);

		if (is_replica(&all.key[i]))
			rc = json_array_append_new(replicas, one);
		else
			rc = json_object_set_new(config, "PrimaryKey", one);
	}
	related_free(&all);
	if (json_object_set_new(m, "MultiRegionConfiguration", config) < 0)
		return -1;
	return rc;
}

static int add_dates(json_t *m, const struct key_row *key)
{
	int rc = 0;

	if (key->deletion_ms)
		rc = json_object_set_new(m, "DeletionDate",
					 metadata_seconds(key->deletion_ms));
	if (rc == 0 && strcmp(key->state, "PendingReplicaDeletion") == 0)
		rc = json_object_set_new(m, "PendingDeletionWindowInDays",
					 json_integer(key->window_days));
	if (rc == 0 && key->expires_ms)
		rc = json_object_set_new(m, "ValidTo",
					 metadata_seconds(key->expires_ms));
	return rc;
}

static int add_material(json_t *m, const struct key_row *key)
{
	bool imported = strcmp(key->origin, "EXTERNAL") == 0;
	int rc = 0;

	if (key->material_id[0])
		rc = json_object_set_new(m, "CurrentKeyMaterialId",
					 json_string(key->material_id));
	if (rc == 0 && imported && strcmp(key->state, "PendingImport") != 0)
		rc = json_object_set_new(m, "ExpirationModel",
					 json_string(key->expires_ms ?
					 "KEY_MATERIAL_EXPIRES" :
					 "KEY_MATERIAL_DOES_NOT_EXPIRE"));
	return rc;
}

json_t *key_metadata(struct store *s, const struct key_row *key)
{
	bool enabled = strcmp(key->state, "Enabled") == 0;
	char arn[CALL_ARN_BYTES];
	json_t *m;

	call_key_arn(key, arn);
	m = json_pack("{s:s, s:s, s:s, s:o, s:b, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:[s], s:b}",
		      "AWSAccountId", key->account, "KeyId", key->key_id,
		      "Arn", arn, "CreationDate",
		      metadata_seconds(key->created_ms), "Enabled", enabled,
		      "Description", key->description, "KeyUsage", key->usage,
		      "KeyState", key->state, "Origin", key->origin,
		      "KeyManager", key->manager, "CustomerMasterKeySpec",
		      key->spec, "KeySpec", key->spec, "EncryptionAlgorithms",
		      "SYMMETRIC_DEFAULT", "MultiRegion",
		      is_multi_region(key));
	if (m && add_dates(m, key) == 0 && add_material(m, key) == 0 &&
	    (!is_multi_region(key) || add_regions(m, s, key) == 0))
		return m;
	json_decref(m);
	return NULL;
}

json_t *metadata_trail_time(int64_t ms)
{
	time_t t = (time_t)(ms / 1000);
	char text[64];
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(text, sizeof(text), "%b %-d, %Y, %-I:%M:%S %p", &tm);
	return json_string(text);
}

json_t *metadata_trail(const struct key_row *key, json_t *metadata)
{
	json_t *out = json_object();
	const char *name;
	char small[64];
	json_t *value;

	json_object_foreach(metadata, name, value) {
		snprintf(small, sizeof(small), "%c%s",
			 tolower((unsigned char)name[0]), name + 1);
		if (strcmp(name, "CreationDate") == 0)
			json_object_set_new(out, small,
					    metadata_trail_time(key->created_ms));
		else
			json_object_set(out, small, value);
	}
	return json_pack("{s:o}", "keyMetadata", out);
}
