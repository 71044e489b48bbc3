// SPDX-License-Identifier: GPL-2.0-or-later
/* Operations on what people write on a key: tags and the description. */
#include "tags.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "operations.h"
#include "page.h"
#include "resolve.h"
#include "store_tags.h"

#define TAGS_PER_KEY 50
#define TAG_KEY_MAX 128
#define TAG_VALUE_MAX 256
#define DESCRIPTION_MAX 8192

/* Checks member @i of the list @list, a text of @min to @max characters. */
static void check_text(struct call *c, const json_t *value, const char *list,
		       size_t i, const char *member, size_t min, size_t max)
{
	char place[64];
	size_t chars;

	snprintf(place, sizeof(place), "%s.%zu.member%s%s", list, i + 1,
		 member ? "." : "", member ? member : "");
	if (!value || json_is_null(value)) {
		param_missing(c, place);
		return;
	}
	if (!json_is_string(value)) {
		c->malformed = true;
		return;
	}
	chars = param_chars(json_string_value(value));
	if (chars < min)
		param_violation(c, place, json_string_value(value),
				"have length greater than or equal to %zu",
				min);
	else if (chars > max)
		param_violation(c, place, json_string_value(value),
				"have length less than or equal to %zu", max);
}

/* The list called @name; NULL: absent or wrong. */
static const json_t *param_list(struct call *c, const char *name,
				enum param_need need)
{
	const json_t *list = json_object_get(c->params, name);

	if (!list || json_is_null(list)) {
		if (need == PARAM_REQUIRED)
			param_missing(c, name);
		return NULL;
	}
	if (!json_is_array(list)) {
		c->malformed = true;
		return NULL;
	}
	return list;
}

const json_t *param_tags(struct call *c, enum param_need need)
{
	const json_t *list = param_list(c, "Tags", need);
	json_t *tag;
	size_t i;

	json_array_foreach(list, i, tag) {
		if (!json_is_object(tag)) {
			c->malformed = true;
			continue;
		}
		check_text(c, json_object_get(tag, "TagKey"), "tags", i,
			   "tagKey", 1, TAG_KEY_MAX);
		check_text(c, json_object_get(tag, "TagValue"), "tags", i,
			   "tagValue", 0, TAG_VALUE_MAX);
	}
	return list;
}

static const char *tag_key(const json_t *tag)
{
	return json_string_value(json_object_get(tag, "TagKey"));
}

static int refuse_reserved(struct call *c, const char *key)
{
	if (strncmp(key, "aws:", 4) != 0)
		return 0;
	return call_fail(c, ERR_TAG, "Tags beginning with aws: are reserved");
}

int tags_check(struct call *c, const json_t *tags)
{
	json_t *tag;
	size_t i, j;
	int rc;

	if (json_array_size(tags) > TAGS_PER_KEY)
		return call_fail(c, ERR_TAG, "Too many tags");
	json_array_foreach(tags, i, tag) {
		rc = refuse_reserved(c, tag_key(tag));
		if (rc < 0)
			return rc;
		for (j = 0; j < i; j++)
			/* policies do not tell them apart */
			if (strcasecmp(tag_key(json_array_get(tags, j)),
				       tag_key(tag)) == 0)
				return call_fail(c, ERR_TAG,
						 "Duplicate tag keys");
	}
	return 0;
}

int tags_set(struct call *c, const struct key_row *key, const json_t *tags)
{
	struct store *store = c->server->store;
	json_t *tag, *value;
	int64_t count = 0;
	size_t i;
	int rc = 0;

	json_array_foreach(tags, i, tag) {
		value = json_object_get(tag, "TagValue");
		rc = store_tag_set(store, key, tag_key(tag),
				   json_string_value(value));
		if (rc < 0)
			return rc;
	}
	rc = store_tag_count(store, key, &count);
	if (rc == 0 && count > TAGS_PER_KEY)
		rc = call_fail(c, ERR_TAG, "Too many tags");
	return rc;
}

int op_tag_resource(struct call *c)
{
	struct facts f = { .action = "kms:TagResource" };
	struct key_row key = { .description = NULL };
	const char *id = param_string(c, "KeyId", PARAM_REQUIRED, 1,
				      PARAM_KEY_ID_MAX);
	const json_t *tags = param_tags(c, PARAM_REQUIRED);
	int rc = params_check(c);

	if (rc == 0)
		rc = tags_check(c, tags);
	if (rc == 0)
		rc = resolve_key(c, id, RESOLVE_KEY_ONLY, &f, &key);
	if (rc == 0)
		rc = require_state(c, &key, STATE_PENDING_DELETION);
	if (rc == 0)
		rc = tags_set(c, &key, tags);
	key_row_free(&key);
	return rc;
}

/* TagKeys, checked; params_check() has passed on success. */
static int read_tag_keys(struct call *c, const json_t **ret)
{
	const json_t *keys = param_list(c, "TagKeys", PARAM_REQUIRED);
	json_t *key;
	size_t i;
	int rc;

	json_array_foreach(keys, i, key)
		check_text(c, key, "tagKeys", i, NULL, 1, TAG_KEY_MAX);
	rc = params_check(c);
	json_array_foreach(keys, i, key)
		if (rc == 0)
			rc = refuse_reserved(c, json_string_value(key));
	*ret = keys;
	return rc;
}

int op_untag_resource(struct call *c)
{
	struct facts f = { .action = "kms:UntagResource" };
	struct key_row key = { .description = NULL };
	const char *id = param_string(c, "KeyId", PARAM_REQUIRED, 1,
				      PARAM_KEY_ID_MAX);
	const json_t *keys = NULL;
	json_t *name;
	size_t i;
	int rc = read_tag_keys(c, &keys);

	if (rc == 0)
		rc = resolve_key(c, id, RESOLVE_KEY_ONLY, &f, &key);
	if (rc == 0)
		rc = require_state(c, &key, STATE_PENDING_DELETION);
	json_array_foreach(keys, i, name)
		if (rc == 0)
			rc = store_tag_delete(c->server->store, &key,
					      json_string_value(name));
	key_row_free(&key);
	return rc;
}

static int take_tag(const char *name, const char *value, void *arg)
{
	return page_take(arg, name, json_pack("{s:s, s:s}", "TagKey", name,
					      "TagValue", value));
}

int op_list_resource_tags(struct call *c)
{
	struct facts f = { .action = "kms:ListResourceTags" };
	struct key_row key = { .description = NULL };
	const char *id = param_string(c, "KeyId", PARAM_REQUIRED, 1,
				      PARAM_KEY_ID_MAX);
	struct page page;
	int rc = page_begin(c, "tag", TAGS_PER_KEY, TAGS_PER_KEY, &page);

	if (rc < 0)
		return rc;
	rc = params_check(c);
	if (rc == 0)
		rc = resolve_key(c, id, RESOLVE_KEY_ONLY, &f, &key);
	if (rc == 0)
		rc = store_tag_list(c->server->store, &key, page.after,
				    page.limit + 1, take_tag, &page);
	if (rc == 0)
		rc = page_answer(c, &page, "Tags");
	page_free(&page);
	key_row_free(&key);
	return rc;
}

int op_update_key_description(struct call *c)
{
	struct facts f = { .action = "kms:UpdateKeyDescription" };
	struct key_row key = { .description = NULL };
	const char *id = param_string(c, "KeyId", PARAM_REQUIRED, 1,
				      PARAM_KEY_ID_MAX);
	const char *text = param_string(c, "Description", PARAM_REQUIRED, 0,
					DESCRIPTION_MAX);
	int rc = params_check(c);

	if (rc == 0)
		rc = resolve_key(c, id, RESOLVE_KEY_ONLY, &f, &key);
	if (rc == 0)
		rc = require_state(c, &key, STATE_PENDING_DELETION);
	if (rc == 0)
		rc = store_key_set_description(c->server->store, &key, text);
	key_row_free(&key);
	return rc;
}
