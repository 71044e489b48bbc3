// SPDX-License-Identifier: GPL-2.0-or-later
/* Multi-Region keys as groups of rows. */
#include "related.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool is_multi_region(const struct key_row *key)
{
	return key->primary_region[0];
}

bool is_replica(const struct key_row *key)
{
	return is_multi_region(key) &&
	       strcmp(key->primary_region, key->region) != 0;
}

int key_row_copy(const struct key_row *key, struct key_row *ret)
{
	struct key_row copy = *key;

	copy.description = strdup(key->description);
	copy.policy = key->policy ? strdup(key->policy) : NULL;
	copy.principals = key->principals ? strdup(key->principals) : NULL;
	if (!copy.description || (key->policy && !copy.policy) ||
	    (key->principals && !copy.principals)) {
		key_row_free(&copy);
		return -ENOMEM;
	}
	*ret = copy;
	return 0;
}

static int take_key(const struct key_row *key, void *arg)
{
	struct related *r = arg;
	struct key_row *more = realloc(r->key, (r->count + 1) * sizeof(*more));
	int rc;

	if (!more)
		return -ENOMEM;
	r->key = more;
	rc = key_row_copy(key, &r->key[r->count]);
	if (rc == 0)
		r->count++;
	return rc;
}

int related_get(struct store *s, const struct key_row *key,
		struct related *ret)
{
	struct related r = { .key = NULL };
	int rc = is_multi_region(key) ?
		 store_key_related(s, key, take_key, &r) : take_key(key, &r);

	if (rc < 0)
		related_free(&r);
	else
		*ret = r;
	return rc;
}

void related_free(struct related *r)
{
	size_t i;

	for (i = 0; i < r->count; i++)
		key_row_free(&r->key[i]);
	free(r->key);
	r->key = NULL;
	r->count = 0;
}

struct key_row *related_in(const struct related *r, const char *region)
{
	size_t i;

	for (i = 0; i < r->count; i++)
		if (strcmp(r->key[i].region, region) == 0)
			return &r->key[i];
	return NULL;
}
