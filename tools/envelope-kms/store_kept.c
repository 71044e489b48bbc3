// SPDX-License-Identifier: GPL-2.0-or-later
/* A small table of what queries have found. */
#include "store_kept.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 32 /* one value each: a newer one takes an older one's place */
#define NAME_BYTES 256

/* What a value was asked by. */
struct name {
	const char *sql;
	size_t bytes;
	char args[NAME_BYTES]; /* each with its NUL */
};

struct slot {
	const struct kept_kind *kind; /* NULL: empty */
	struct name name;
	void *value;
};

struct kept {
	struct slot slots[SLOTS];
};

struct kept *kept_new(void)
{
	return calloc(1, sizeof(struct kept));
}

static void drop(const struct kept_kind *kind, void *value)
{
	if (value && kind->free)
		kind->free(value);
	free(value);
}

static void empty(struct slot *slot)
{
	drop(slot->kind, slot->value);
	slot->value = NULL;
	slot->kind = NULL;
}

void kept_forget(struct kept *kept)
{
	size_t i;

	for (i = 0; kept && i < SLOTS; i++)
		empty(&kept->slots[i]);
}

void kept_free(struct kept *kept)
{
	kept_forget(kept);
	free(kept);
}

/* False: too long to be kept. */
static bool make_name(const char *sql, const char *const *args,
		      struct name *ret)
{
	size_t i, n;

	ret->sql = sql;
	ret->bytes = 0;
	for (i = 0; i < KEPT_ARGS && args[i]; i++) {
		n = strlen(args[i]) + 1;
		if (n > sizeof(ret->args) - ret->bytes)
			return false;
		memcpy(ret->args + ret->bytes, args[i], n);
		ret->bytes += n;
	}
	return true;
}

/* FNV-1a. */
static struct slot *slot_of(struct kept *kept, const struct name *name)
{
	uint32_t hash = 2166136261u ^ (uint32_t)(uintptr_t)name->sql;
	size_t i;

	for (i = 0; i < name->bytes; i++)
		hash = (hash ^ (unsigned char)name->args[i]) * 16777619u;
	return &kept->slots[hash % SLOTS];
}

static bool holds(const struct slot *slot, const struct name *name)
{
	return slot->kind && slot->name.sql == name->sql &&
	       slot->name.bytes == name->bytes &&
	       memcmp(slot->name.args, name->args, name->bytes) == 0;
}

static int ask(struct store *s, const struct kept_kind *kind, void *value,
	       const char *sql, const char *const *args)
{
	static const char types[] = "ttt";
	size_t n = 0;

	while (n < KEPT_ARGS && args[n])
		n++;
	return (kind->list ? store_each : store_first)(s, kind->read, value,
			sql, types + KEPT_ARGS - n, args[0], args[1],
			args[2]);
}

int store_kept_get(struct store *s, const struct kept_kind *kind, void *ret,
		   const char *sql, const char *const args[static KEPT_ARGS])
{
	struct kept *kept = store_kept(s);
	struct slot *slot = NULL;
	struct name name;
	void *value;
	int rc;

	if (kept && make_name(sql, args, &name))
		slot = slot_of(kept, &name);
	if (slot && holds(slot, &name))
		return kind->copy(slot->value, ret);
	value = calloc(1, kind->bytes);
	if (!value)
		return -ENOMEM;
	rc = ask(s, kind, value, sql, args);
	if (rc == 0)
		rc = kind->copy(value, ret);
	if (rc < 0 || !slot) {
		drop(kind, value);
		return rc;
	}
	empty(slot);
	*slot = (struct slot){ kind, name, value };
	return 0;
}
