// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope lineage: which volumes share a data key, by what headers say. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd.h"
#include "json.h"
#include "known.h"
#include "log.h"
#include "snapshot_store.h"
#include "status.h"

static const char about[] =
	"Which of the volumes on the DEVICEs, or in the FILEs (volumes, detached headers,\n"
	"header backups), share a data key: they are one lineage, as copies of a device\n"
	"and volumes of one snapshot are. Whoever may attach one of them can read all,\n"
	"and whoever shall not any more must lose the keys of all. Nothing is unwrapped;\n"
	"what headers say is unverified. Without arguments: the volumes that this host\n"
	"remembers, as their keys had proven them, and those that are attached; root only.\n"
	"--store: the snapshots of a store, too, as their wrappers say.\n";

struct lineage {
	json_t *lineages;	/* by fingerprint: an array of members */
	json_t *pins;		/* by volume id; NULL: not looked at */
	dev_t (*seen)[2];	/* what was read: a device, or a file system
				 * and the inode of a file */
	size_t seen_count;
};

/* Takes the reference to @member. */
static int add(struct lineage *l, const char *fingerprint, json_t *member)
{
	json_t *members = json_object_get(l->lineages, fingerprint);

	if (!members) {
		members = json_array();
		json_object_set_new(l->lineages, fingerprint, members);
	}
	return json_array_append_new(members, member) < 0 ? -ENOMEM : 0;
}

static json_t *key_ids(const struct header *h)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < header_slot_count(h); i++)
		json_array_append_new(list, json_string(
					header_slot_get(h, i).key_id));
	return list;
}

/* "same", "other", or NULL: nothing is remembered of it. */
static const char *pinned(const struct lineage *l,
			  const struct header_core *core)
{
	const json_t *pin = json_object_get(l->pins, core->volume_id);

	if (!pin)
		return NULL;
	return strcmp(json_text(pin, "lineage"), core->lineage) == 0 ? "same" :
								     "other";
}

static int add_header(struct lineage *l, const char *path,
		      const char *attached, const struct header *h)
{
	const struct header_core *core = header_core(h);
	char uuid[HEADER_UUID_CHARS];
	const char *origin = core->origin[0] ? core->origin : NULL;

	header_uuid_print(core->uuid, uuid);
	return add(l, core->lineage, json_pack(
		"{s:s, s:s, s:i, s:I, s:s*, s:s, s:s*, s:s*, s:o, s:b}",
		"volume_id", core->volume_id, "uuid", uuid,
		"generation", (int)core->generation,
		"revision", (json_int_t)core->revision, "origin", origin,
		"path", path, "attached", attached, "pinned", pinned(l, core),
		"key_ids", key_ids(h), "verified", 0));
}

/* One that has two names is no copy of itself. */
static int note_seen(struct lineage *l, int fd, bool *again_ret)
{
	dev_t (*more)[2];
	dev_t id[2];
	struct stat st;
	size_t i;

	*again_ret = false;
	if (fstat(fd, &st) < 0)
		return 0;
	id[0] = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
	id[1] = S_ISBLK(st.st_mode) ? 0 : st.st_ino;
	for (i = 0; i < l->seen_count; i++)
		*again_ret |= memcmp(l->seen[i], id, sizeof(id)) == 0;
	if (*again_ret)
		return 0;
	more = reallocarray(l->seen, l->seen_count + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	memcpy(more[l->seen_count++], id, sizeof(id));
	l->seen = more;
	return 0;
}

static int add_path(struct lineage *l, const char *path)
{
	struct volume v = VOLUME_CLOSED;
	bool again;
	int r;

	r = volume_open(NULL, path, VOLUME_FORCE, &v);
	if (r < 0)
		return r;
	r = note_seen(l, volume_header_fd(&v), &again);
	if (r == 0 && !again)
		r = add_header(l, path, NULL, v.header);
	volume_close(&v);
	return r;
}

/* What cannot be read does not keep the others from being shown. */
static int add_paths(struct lineage *l, char **paths)
{
	int first = 0;
	int r = 0;

	if (geteuid() == 0)
		r = known_list(&l->pins);
	if (r < 0)
		return r;
	for (; *paths; paths++) {
		r = add_path(l, *paths);
		if (first == 0)
			first = r;
	}
	return first;
}

static const struct dm_volume_status *find(const char *volume_id,
					   const struct dm_volume_status *list,
					   size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (strcmp(list[i].volume.volume_id, volume_id) == 0)
			return &list[i];
	return NULL;
}

/* A pin is written when the data key has verified the header. */
static int add_pin(struct lineage *l, const json_t *pin, const char *attached)
{
	return add(l, json_text(pin, "lineage"), json_pack(
		"{s:s, s:O, s:s*, s:s, s:O, s:b}",
		"volume_id", json_text(pin, "volume_id"),
		"revision", json_object_get(pin, "revision"),
		"attached", attached, "pinned", "same",
		"key_ids", json_object_get(pin, "key_ids"), "verified", 1));
}

static int add_attached(struct lineage *l, const struct dm_volume_status *s)
{
	char node[VOLUME_NODE_CHARS];
	struct volume v = VOLUME_CLOSED;
	int r;

	r = volume_node_below(&s->volume, node);
	if (r == 0)
		r = volume_open(NULL, node, VOLUME_FORCE, &v);
	if (r == 0)
		r = add_header(l, node, s->volume.name, v.header);
	volume_close(&v);
	return r;
}

/* All that this host remembers, and what is attached beside it. */
static int add_known(struct lineage *l)
{
	struct dm_volume_status *list = NULL;
	size_t count = 0, i;
	const char *id;
	int first = 0;
	json_t *pin;
	int r;

	r = dm_volume_list(&list, &count);
	if (r == 0)
		r = known_list(&l->pins);
	if (r < 0)
		goto out;
	json_object_foreach(l->pins, id, pin) {
		const struct dm_volume_status *s = find(id, list, count);

		if (r == 0)
			r = add_pin(l, pin, s ? s->volume.name : NULL);
	}
	for (i = 0; i < count; i++) {
		if (!json_object_get(l->pins, list[i].volume.volume_id))
			r = add_attached(l, &list[i]);
		if (first == 0)
			first = r;
	}
out:
	free(list);
	return first < 0 ? first : r;
}

static int add_snapshot(struct lineage *l, const char *url,
			const struct snapshot_wrapper *w)
{
	const json_t *slots = json_object_get(w->slots, "slots"), *slot;
	json_t *keys = json_array();
	size_t i;

	json_array_foreach(slots, i, slot)
		json_array_append(keys, json_object_get(slot, "key_id"));
	return add(l, w->lineage, json_pack(
		"{s:s, s:s, s:s, s:s, s:o, s:b}", "snapshot_id",
		w->snapshot_id, "volume_id", w->volume_id, "created",
		w->created, "path", url, "key_ids", keys, "verified", 0));
}

/* What cannot be read does not keep the others from being shown. */
static int add_store(struct lineage *l, const char *url)
{
	struct snapshot_store *st = NULL;
	json_t *ids = NULL;
	const json_t *id;
	int r, first = 0;
	size_t i;

	r = snapshot_store_open(url, NULL, false, &st);
	if (r == 0)
		r = snapshot_store_list(st, &ids);
	json_array_foreach(ids, i, id) {
		struct snapshot_wrapper w = { 0 };
		int one = snapshot_store_wrapper(st, json_string_value(id),
						 &w);

		if (one == 0)
			one = add_snapshot(l, url, &w);
		if (first == 0 && one != -ENOENT)
			first = one;
		snapshot_wrapper_free(&w);
	}
	json_decref(ids);
	snapshot_store_close(st);
	return r < 0 ? r : first;
}

/* Of the same volume, that is, and not of another one of its lineage. */
static bool has_copy(const json_t *members, size_t index)
{
	const json_t *one = json_array_get(members, index);
	const json_t *other;
	size_t i;

	json_array_foreach(members, i, other)
		if (i != index && strcmp(json_text(one, "uuid"),
					 json_text(other, "uuid")) == 0 &&
		    strcmp(json_text(one, "volume_id"),
			   json_text(other, "volume_id")) == 0)
			return true;
	return false;
}

/* Names come from headers and users: nothing of them may act on a terminal. */
static void print_safe(const char *before, const char *text)
{
	char *safe = header_escape(text);

	printf("%s%s", before, safe ? safe : "?");
	free(safe);
}

static void print_member(const json_t *m)
{
	const char *origin = json_text(m, "origin");
	const json_t *key;
	size_t i;

	printf("  ");
	if (json_text(m, "snapshot_id")[0])
		printf("%s of ", json_text(m, "snapshot_id"));
	printf("%s  %s", json_text(m, "volume_id"),
	       json_is_true(json_object_get(m, "verified")) ? "remembered" :
							      "unverified");
	if (json_text(m, "path")[0])
		print_safe("  ", json_text(m, "path"));
	if (json_text(m, "attached")[0])
		print_safe("  attached as ", json_text(m, "attached"));
	if (origin[0])
		printf("  from %s", origin);
	if (json_is_true(json_object_get(m, "copy")))
		printf("  a copy");
	if (strcmp(json_text(m, "pinned"), "other") == 0)
		printf("  REMEMBERED WITH ANOTHER DATA KEY");
	putchar('\n');
	json_array_foreach(json_object_get(m, "key_ids"), i, key) {
		print_safe("    ", json_string_value(key));
		putchar('\n');
	}
}

static void print_text(const json_t *list)
{
	const json_t *o, *m;
	size_t i, j;

	json_array_foreach(list, i, o) {
		const json_t *members = json_object_get(o, "members");
		size_t count = json_array_size(members);

		printf("lineage %s: ", json_text(o, "lineage"));
		if (count > 1)
			printf("%zu share one data key\n", count);
		else
			puts("shared with none of these");
		json_array_foreach(members, j, m)
			print_member(m);
	}
}

static json_t *describe(struct lineage *l)
{
	json_t *list = json_array();
	const char *fingerprint;
	json_t *members, *m;
	size_t i;

	json_object_foreach(l->lineages, fingerprint, members) {
		json_array_foreach(members, i, m)
			json_object_set_new(m, "copy", json_boolean(
				json_object_get(m, "uuid") &&
				has_copy(members, i)));
		json_array_append_new(list, json_pack("{s:s, s:b, s:O}",
			"lineage", fingerprint,
			"shared", json_array_size(members) > 1,
			"members", members));
	}
	return list;
}

static int run(char **paths, const char *store, bool json)
{
	struct lineage l = { .lineages = json_object() };
	int r = paths[0] ? add_paths(&l, paths) : add_known(&l);
	int of_store = store ? add_store(&l, store) : 0;
	json_t *list = describe(&l);
	int status = STATUS_DONE;

	if (r == 0)
		r = of_store;

	if (!json)
		print_text(list);
	else
		status = cli_print_json(json_pack("{s:O}", "lineages", list));
	json_decref(list);
	json_decref(l.lineages);
	json_decref(l.pins);
	free(l.seen);
	return r < 0 ? (int)status_from_errno(r) : status;
}

int cmd_lineage(int argc, char **argv)
{
	const char *store = NULL;
	bool json = false;
	const struct cli_option options[] = {
		{ "store", "STORE", cli_set_text, &store,
		  "also the snapshots of this store" },
		CLI_JSON_OPTION(&json),
		{ 0 }
	};
	const struct cli_usage usage = {
		.verb = "lineage",
		.arguments = "[DEVICE|FILE...]",
		.about = about,
		.max_arguments = 1000,
		.options = options,
	};
	char **args;
	int status = cli_parse(&usage, argc, argv, &args);

	return status == CLI_GO_ON ? run(args, store, json) : status;
}
