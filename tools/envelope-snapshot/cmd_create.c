// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope-snapshot create: of volumes, attached or not. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "create.h"
#include "log.h"
#include "status.h"

static json_t *to_json(const struct created *c, bool dry_run)
{
	const struct snapshot_made *m = &c->made;
	json_t *o = json_pack("{ss* ss* ss ss ss* sI sI sI sI sb sb}",
			      "snapshot_id", m->id[0] ? m->id : NULL,
			      "created", dry_run ? NULL : m->created,
			      "volume_id", m->volume_id, "lineage", m->lineage,
			      "parent", m->parent[0] ? m->parent : NULL,
			      "size", (json_int_t)m->size_bytes, "chunks",
			      (json_int_t)m->chunks, "stored_chunks",
			      (json_int_t)m->stored, "changed_chunks",
			      (json_int_t)m->changed, "dry_run", dry_run,
			      "attached", c->attached);

	if (o && c->attached)
		json_object_set_new(o, "pause_us",
				    json_integer((json_int_t)c->pause_us));
	return o;
}

static int report_json(const struct create *o, const struct created *list,
		       size_t count)
{
	json_t *all = json_array();
	size_t i;

	if (!o->group) {
		json_decref(all);
		return cli_print_json(to_json(list, o->dry_run));
	}
	for (i = 0; i < count; i++)
		json_array_append_new(all, to_json(list + i, o->dry_run));
	return cli_print_json(json_pack("{so}", "snapshots", all));
}

static void print(const struct created *c, bool dry_run)
{
	const struct snapshot_made *m = &c->made;
	char size[16], changed[16];

	cli_print_size(m->size_bytes, size);
	cli_print_size(m->changed * SNAPSHOT_CHUNK_BYTES, changed);
	printf("%s: %s of %s, %s, ", dry_run ? "dry run" : m->id,
	       m->parent[0] ? "incremental snapshot" : "full snapshot",
	       m->volume_id, size);
	if (m->parent[0])
		printf("%s changed since %s", changed, m->parent);
	else
		printf("%s stored", changed);
	if (c->attached)
		printf("; its I/O was held for %.1f ms", c->pause_us / 1e3);
	putchar('\n');
}

/* The DEK is there to make the seal of, and for nothing else. */
static int unseal(struct volume *v, const struct volume_access *access,
		  struct secret **seal_ret)
{
	struct secret *dek = NULL;
	int r;

	cli_patience_begin();
	r = volume_unwrap(v, access, &dek);
	cli_patience_end();
	if (r == 0)
		r = snapshot_seal(dek, seal_ret);
	secret_free(dek);
	return r;
}

static int create_of(const struct create *o, struct snapshot_store *st,
		     struct volume *v, struct created *ret)
{
	struct snapshot_create_options options = {
		.header = v->header,
		.in = {
			.fd = v->device.fd,
			.name = v->device.path,
			.offset_bytes = header_core(
				v->header)->data_offset_bytes,
		},
		.work = o->work,
		.dry_run = o->dry_run,
	};
	struct secret *seal = NULL;
	int r = unseal(v, &o->access, &seal);

	options.seal = seal;
	if (r == 0)
		r = snapshot_create(st, &options, &ret->made);
	secret_free(seal);
	return r;
}

/* Of a volume by its device below; it may be attached all the same. */
static int create_detached(const struct create *o, struct snapshot_store *st,
			   const char *device, struct created *ret)
{
	struct dm_volume_status status;
	struct volume v = VOLUME_CLOSED;
	const char *volume_id;
	int r = volume_open(device, o->header, o->force ? VOLUME_FORCE : 0,
			    &v);

	if (r < 0)
		return r;
	volume_id = header_core(v.header)->volume_id;
	if (volume_find_id(volume_id, &status) == 0) {
		const char *name = status.volume.name;

		device_let_go(&v.device);
		r = create_live(o, st, &name, 1, ret);
	} else {
		r = create_of(o, st, &v, ret);
		if (!o->dry_run)
			audit_verb_ended("snapshot", r == 0 ? ret->made.id :
					 device, volume_id, r);
	}
	volume_close(&v);
	return r;
}

static bool is_attached(const char *name)
{
	struct dm_volume_status status;

	return volume_find_quietly(name, &status) == 0;
}

static int create_all(const struct create *o, char **names, size_t count,
		      struct created *list)
{
	struct snapshot_store *st = NULL;
	int r = 0;

	/* The first snapshot can be tried before there is a store. */
	if (!o->dry_run || store_exists(&o->store))
		r = store_open(&o->store, !o->dry_run, &st);
	if (r == 0 && (o->group || is_attached(names[0])))
		r = create_live(o, st, (const char **)names, count, list);
	else if (r == 0)
		r = create_detached(o, st, names[0], list);
	snapshot_store_close(st);
	return r;
}

static int create(const struct create *o, char **names)
{
	struct created *list;
	size_t count = 0, i;
	int r;

	while (names[count])
		count++;
	list = calloc(count, sizeof(*list));
	r = list ? create_all(o, names, count, list) : -ENOMEM;
	for (i = 0; i < count && r == 0 && !o->json; i++)
		print(list + i, o->dry_run);
	r = r < 0 ? (int)status_from_errno(r) :
	    o->json ? report_json(o, list, count) : STATUS_DONE;
	free(list);
	return r;
}

/* DEV or SIZE: a device has a path. */
static int set_cow(void *target, const char *option, const char *value)
{
	struct live_options *live = target;

	if (strchr(value, '/'))
		return cli_set_text(&live->cow, option, value);
	return cli_set_bytes(&live->cow_bytes, option, value);
}

static int check_options(const struct create *o, char **args)
{
	if (args[1] && !o->group)
		return cli_usage_error("create", "several volumes: --group takes them at one moment");
	if (args[1] && o->header)
		return cli_usage_error("create", "--header is of one volume");
	return CLI_GO_ON;
}

int cmd_create(int argc, char **argv)
{
	struct create o = {
		.access.conf.environment = true,
		.work.progress = cli_progress,
	};
	const struct cli_option options[] = {
		STORE_OPTIONS(&o.store),
		CLI_HEADER_OPTION(&o.header),
		{ "group", NULL, cli_set_true, &o.group,
		  "several attached volumes, at one moment" },
		{ "cow", "DEVICE|SIZE", set_cow, &o.live,
		  "for old data of an attached volume meanwhile\n"
		  "                           (default: 10 % of it, in a file)" },
		{ "force", NULL, cli_set_true, &o.force,
		  "go on if the header names another device" },
		{ "dry-run", NULL, cli_set_true, &o.dry_run,
		  "read and count; write nothing" },
		WORK_OPTIONS(&o.work),
		CLI_ACCESS_OPTIONS(&o.access),
		CLI_JSON_OPTION(&o.json),
		{ 0 }
	};
	const struct cli_usage usage = {
		.verb = "create",
		.arguments = "VOLUME|DEVICE...",
		.about = "Make a snapshot of an attached VOLUME (name, path or id) or of the one on DEVICE.\n"
			 "What is stored is its ciphertext, under the same data key; chunks of 512 KiB\n"
			 "that the store has already are not written again, and holes take no room. Of a\n"
			 "volume that is not attached it takes one Decrypt, to sign the snapshot. An\n"
			 "attached one is held for a moment, with its file system, and written to while\n"
			 "the snapshot is made; no KMS is asked then. The id is printed.\n",
		.min_arguments = 1,
		.max_arguments = 64,
		.options = options,
	};
	char **args;
	int status = cli_parse(&usage, argc, argv, &args);

	if (status == CLI_GO_ON)
		status = check_options(&o, args);
	return status == CLI_GO_ON ? create(&o, args) : status;
}
