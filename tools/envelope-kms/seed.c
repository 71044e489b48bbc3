// SPDX-License-Identifier: GPL-2.0-or-later
/* Reads a seed file, and makes its keys. */
#include "seed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "aliases.h"
#include "base64.h"
#include "crypto.h"
#include "identity.h"
#include "json.h"
#include "log.h"
#include "material.h"
#include "resolve.h"

#define SEED_DEPTH_MAX 4

struct seed {
	struct store *store;
	const struct secret *root;
	const char *path, *account, *regions;
	size_t number; /* of the key at hand, from 1 */
};

static int wrong(const struct seed *s, const char *what, const char *why)
{
	log_error("%s: key %zu: %s %s", s->path, s->number, what, why);
	return -EBADMSG;
}

/* What nobody reads would be stored nowhere: it is refused. */
static int check_members(const struct seed *s, json_t *o)
{
	static const char *const known[] = {
		"KeyId", "Region", "Description", "Material", "Aliases"
	};
	const char *name;
	json_t *value;

	if (!json_is_object(o))
		return wrong(s, "it", "is not an object");
	json_object_foreach(o, name, value) {
		size_t i = 0;

		while (i < sizeof(known) / sizeof(known[0]) &&
		       strcmp(known[i], name) != 0)
			i++;
		if (i == sizeof(known) / sizeof(known[0]))
			return wrong(s, name, "is not a member of a key");
	}
	return 0;
}

/* An optional text; *@ret stays as it is without one. */
static int read_text(const struct seed *s, const json_t *o, const char *name,
		     const char **ret)
{
	int rc = json_get_string(o, name, ret);

	return rc == -EBADMSG ? wrong(s, name, "is not text") :
	       rc == -ENOENT ? 0 : rc;
}

/* Ids are one server's only once, whatever the region. */
static int check_unused(const struct seed *s, const char *key_id)
{
	const char *list = s->regions;
	char region[REGION_BYTES];
	int rc = -ENOENT;

	while (rc == -ENOENT && region_next(&list, region)) {
		struct key_row key = { .description = NULL };

		rc = store_key_get(s->store, region, key_id, &key);
		key_row_free(&key);
	}
	return rc == 0 ? wrong(s, key_id, "is there twice") :
	       rc == -ENOENT ? 0 : rc;
}

static int read_place(const struct seed *s, const json_t *o,
		      struct key_row *key)
{
	const char *list = s->regions, *id = "", *region = NULL;
	int rc = read_text(s, o, "KeyId", &id);

	region_next(&list, key->region);
	if (rc == 0)
		rc = read_text(s, o, "Region", &region);
	if (rc < 0)
		return rc;
	if (!is_key_id(id))
		return wrong(s, "KeyId", "is not a UUID, or mrk- and 32 digits, in lower case");
	if (region && !region_listed(s->regions, region))
		return wrong(s, region, "is not a region of this server");
	if (region)
		snprintf(key->region, sizeof(key->region), "%s", region);
	strcpy(key->key_id, id);
	if (strncmp(id, "mrk-", 4) == 0)
		strcpy(key->primary_region, key->region);
	strcpy(key->account, s->account);
	return check_unused(s, id);
}

static int read_material(const struct seed *s, const json_t *o,
			 struct secret **ret)
{
	const char *text = NULL;
	struct secret *material;
	int rc = read_text(s, o, "Material", &text);

	if (rc < 0 || !text)
		return rc;
	material = secret_new(MATERIAL_BYTES + 1);
	if (!material)
		return -ENOMEM;
	if (strlen(text) != BASE64_TEXT_BYTES(MATERIAL_BYTES) ||
	    base64_decode(text, strlen(text), secret_bytes(material)) !=
	    MATERIAL_BYTES) {
		secret_free(material);
		return wrong(s, "Material", "is not 32 bytes in base64");
	}
	*ret = secret_new(MATERIAL_BYTES);
	if (*ret)
		memcpy(secret_bytes(*ret), secret_cbytes(material),
		       MATERIAL_BYTES);
	secret_free(material);
	return *ret ? 0 : -ENOMEM;
}

/* The same in every server that is given the same. */
static int name_material(struct key_row *key, const struct secret *material)
{
	struct secret *id = NULL;
	int rc = crypto_kdf(material, "envelope-kms seeded material id v1",
			    (const uint8_t *)key->key_id, strlen(key->key_id),
			    &id);

	if (rc == 0)
		crypto_hex(secret_cbytes(id), secret_len(id),
			   key->material_id);
	secret_free(id);
	return rc;
}

static int add_alias(const struct seed *s, const struct key_row *key,
		     const char *name)
{
	struct alias_row alias = { .created_ms = key->created_ms,
				   .updated_ms = key->created_ms };
	int rc;

	if (!name || !alias_name_ok(name))
		return wrong(s, name ? name : "an alias",
			     "is not a name of an alias of yours");
	snprintf(alias.name, sizeof(alias.name), "%s", name);
	strcpy(alias.key_id, key->key_id);
	rc = store_alias_add(s->store, key->account, key->region, &alias);
	return rc == -EEXIST ? wrong(s, name, "is there twice") : rc;
}

static int add_aliases(const struct seed *s, const json_t *o,
		       const struct key_row *key)
{
	json_t *list = json_object_get(o, "Aliases"), *name;
	int rc = 0;
	size_t i;

	if (list && !json_is_array(list))
		return wrong(s, "Aliases", "is not an array");
	json_array_foreach(list, i, name)
		if (rc == 0)
			rc = add_alias(s, key, json_string_value(name));
	return rc;
}

static int seed_key(const struct seed *s, json_t *o)
{
	struct key_row key = { .description = NULL };
	const char *description = "";
	struct secret *material = NULL;
	int rc = check_members(s, o);

	if (rc == 0)
		rc = read_text(s, o, "Description", &description);
	if (rc == 0)
		rc = read_place(s, o, &key);
	if (rc == 0)
		rc = read_material(s, o, &material);
	if (rc == 0 && material)
		rc = name_material(&key, material);
	if (rc == 0) {
		key.description = strdup(description);
		rc = key.description ? key_create_as(s->store, s->root, &key,
						     material) : -ENOMEM;
	}
	if (rc == 0)
		rc = add_aliases(s, o, &key);
	secret_free(material);
	key_row_free(&key);
	return rc;
}

/* All that a seed file has: the array of its keys. */
static int parse_file(struct seed *s, const char *text, json_t **ret)
{
	char why[JSON_WHY_BYTES] = "";
	json_t *file = NULL, *keys = NULL;
	int rc = json_parse_strict(text, strlen(text), SEED_DEPTH_MAX, &file,
				   why);

	if (rc == 0)
		keys = json_object_get(file, "Keys");
	if (rc == 0 && (!json_is_array(keys) || json_object_size(file) != 1)) {
		strcpy(why, "not an object with just an array Keys");
		rc = -EBADMSG;
	}
	if (rc == -EBADMSG)
		log_error("%s: %s", s->path, why);
	if (rc == 0)
		*ret = json_incref(keys);
	json_decref(file);
	return rc;
}

int seed_keys(struct store *store, const struct secret *root,
	      const char *path, const char *account, const char *regions)
{
	struct seed s = { store, root, path, account, regions, 0 };
	json_t *keys = NULL, *key;
	char *text = NULL;
	int rc = identity_read_file(path, &text);
	size_t i;

	if (rc == 0)
		rc = parse_file(&s, text, &keys);
	json_array_foreach(keys, i, key) {
		s.number = i + 1;
		rc = seed_key(&s, key);
		if (rc < 0)
			break;
	}
	json_decref(keys);
	if (text)
		OPENSSL_cleanse(text, strlen(text));
	free(text);
	return rc;
}
