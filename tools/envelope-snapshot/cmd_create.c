// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope-snapshot create: of a volume that is not attached. */
#include <errno.h>
#include <stdio.h>

#include "audit.h"
#include "cmd.h"
#include "log.h"
#include "status.h"

struct create {
	struct store_wish store;
	const char *header;
	struct volume_access access;
	struct snapshot_work work;
	bool force;
	bool dry_run;
	bool json;
};

static json_t *to_json(const struct snapshot_made *m, bool dry_run)
{
	return json_pack("{ss* ss* ss ss ss* sI sI sI sI sb}", "snapshot_id",
			 m->id[0] ? m->id : NULL, "created",
			 dry_run ? NULL : m->created, "volume_id",
			 m->volume_id, "lineage", m->lineage, "parent",
			 m->parent[0] ? m->parent : NULL, "size",
			 (json_int_t)m->size_bytes, "chunks",
			 (json_int_t)m->chunks, "stored_chunks",
			 (json_int_t)m->stored, "changed_chunks",
			 (json_int_t)m->changed, "dry_run", dry_run);
}

static int report(const struct create *o, const struct snapshot_made *m)
{
	char size[16], changed[16];

	if (o->json)
		return cli_print_json(to_json(m, o->dry_run));
	cli_print_size(m->size_bytes, size);
	cli_print_size(m->changed * SNAPSHOT_CHUNK_BYTES, changed);
	printf("%s: %s of %s, %s, ", o->dry_run ? "dry run" : m->id,
	       m->parent[0] ? "incremental snapshot" : "full snapshot",
	       m->volume_id, size);
	if (m->parent[0])
		printf("%s changed since %s\n", changed, m->parent);
	else
		printf("%s stored\n", changed);
	return STATUS_DONE;
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

static int refuse_attached(const char *volume_id)
{
	struct dm_volume_status status;

	if (volume_find_id(volume_id, &status) < 0)
		return 0;
	log_error("%s is attached as '%s': detach it first", volume_id,
		  status.volume.name);
	return -EBUSY;
}

static int create_of(const struct create *o, struct volume *v,
		     struct snapshot_made *ret)
{
	const struct snapshot_bytes in = {
		.fd = v->device.fd,
		.name = v->device.path,
		.offset_bytes = header_core(v->header)->data_offset_bytes,
	};
	struct snapshot_store *st = NULL;
	struct secret *seal = NULL;
	int r = 0;

	/* The first snapshot can be tried before there is a store. */
	if (!o->dry_run || store_exists(&o->store))
		r = store_open(&o->store, !o->dry_run, &st);
	if (r == 0)
		r = unseal(v, &o->access, &seal);
	if (r == 0)
		r = snapshot_create(st, v->header, &in, seal, &o->work,
				    o->dry_run, ret);
	secret_free(seal);
	snapshot_store_close(st);
	return r;
}

static int create(const struct create *o, const char *device)
{
	struct snapshot_made made = { 0 };
	struct volume v = VOLUME_CLOSED;
	int r = volume_open(device, o->header, o->force ? VOLUME_FORCE : 0,
			    &v);

	if (r < 0)
		return status_from_errno(r);
	r = refuse_attached(header_core(v.header)->volume_id);
	if (r == 0)
		r = create_of(o, &v, &made);
	if (!o->dry_run)
		audit_verb_ended("snapshot", r == 0 ? made.id : device,
				 header_core(v.header)->volume_id, r);
	volume_close(&v);
	return r < 0 ? (int)status_from_errno(r) : report(o, &made);
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
		.arguments = "DEVICE",
		.about = "Make a snapshot of the volume on DEVICE, which is not attached. What is stored\n"
			 "is its ciphertext, under the same data key; chunks of 512 KiB that the store\n"
			 "has already are not written again, and holes take no room. Takes one Decrypt,\n"
			 "to sign the snapshot. The id is printed.\n",
		.min_arguments = 1,
		.max_arguments = 1,
		.options = options,
	};
	char **args;
	int status = cli_parse(&usage, argc, argv, &args);

	return status == CLI_GO_ON ? create(&o, args[0]) : status;
}
