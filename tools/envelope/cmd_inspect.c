// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope inspect: what a header says, believed by nobody yet. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "log.h"
#include "status.h"

/* `check` shows the copies, too. */
static const char *state_name(enum header_copy_state state)
{
	static const char *const names[] = {
		[HEADER_COPY_ABSENT] = "absent",
		[HEADER_COPY_DAMAGED] = "damaged",
		[HEADER_COPY_GOOD] = "good",
		[HEADER_COPY_VERIFIED] = "verified",
		[HEADER_COPY_TAMPERED] = "tampered",
	};

	return names[state];
}

static json_t *copies_json(const struct header *h)
{
	json_t *copies = json_array();
	unsigned int i;

	for (i = 0; i < HEADER_COPIES; i++) {
		struct header_copy_info c = header_copy(h, i);

		json_array_append_new(copies,
			json_pack("{ss ss sb sI sI}", "copy", i ? "B" : "A",
				  "state", state_name(c.state), "used", c.used,
				  "sequence", (json_int_t)c.sequence,
				  "revision", (json_int_t)c.revision));
	}
	return copies;
}

static json_t *slots_json(const struct header *h)
{
	json_t *slots = json_array();
	size_t i;

	for (i = 0; i < header_slot_count(h); i++) {
		struct header_slot s = header_slot_get(h, i);

		json_array_append_new(slots,
			json_pack("{ss ss sO sI ss}", "provider", s.provider,
				  "key_id", s.key_id, "context", s.context,
				  "ciphertext_bytes",
				  (json_int_t)s.ciphertext_bytes,
				  "created", s.created));
	}
	return slots;
}

static int print_json(const struct volume *v)
{
	const struct header *h = v->header;
	char uuid[HEADER_UUID_CHARS];

	header_uuid_print(header_core(h)->uuid, uuid);
	return cli_print_json(json_pack("{ss sb ss sO so so}",
					"path", volume_header_name(v),
					"verified", 0,
					"uuid", uuid,
					"core", header_core_json(h),
					"slots", slots_json(h),
					"copies", copies_json(h)));
}

static void print_field(const char *name, const char *value)
{
	char *safe = header_escape(value);

	printf("  %-14s %s\n", name, safe ? safe : "?");
	free(safe);
}

static void print_device(const struct header_device *device)
{
	char size[16], text[64];

	cli_print_size(device->size_bytes, size);
	snprintf(text, sizeof(text), "%llu (%s)",
		 (unsigned long long)device->size_bytes, size);
	print_field("device size", text);
	if (device->wwn[0])
		print_field("device WWN", device->wwn);
	if (device->partuuid[0])
		print_field("partition", device->partuuid);
}

static void print_lease(const struct lease_terms *terms)
{
	char lease[LEASE_TEXT_CHARS], grace[LEASE_TEXT_CHARS], text[64];

	lease_print_ms(terms->lease_ms, lease);
	lease_print_ms(terms->grace_ms, grace);
	snprintf(text, sizeof(text), "%s, grace %s", lease, grace);
	print_field("lease", terms->lease_ms ? text : "none");
}

static void print_core(const struct header_core *core)
{
	char uuid[HEADER_UUID_CHARS], size[16], text[64];

	header_uuid_print(core->uuid, uuid);
	print_field("volume id", core->volume_id);
	print_field("uuid", uuid);
	snprintf(text, sizeof(text), "%llu",
		 (unsigned long long)core->revision);
	print_field("revision", text);
	snprintf(text, sizeof(text), "%u", core->generation);
	print_field("generation", text);
	cli_print_size(core->size_bytes, size);
	snprintf(text, sizeof(text), "%llu (%s)",
		 (unsigned long long)core->size_bytes, size);
	print_field("size", text);
	snprintf(text, sizeof(text), "%llu%s",
		 (unsigned long long)core->data_offset_bytes,
		 core->detached ? " (detached header)" : "");
	print_field("data offset", text);
	snprintf(text, sizeof(text), "%u", core->sector_size);
	print_field("sector size", text);
	print_field("cipher", "aes-xts-plain64");
	snprintf(text, sizeof(text), "%s%s%s", core->holes ? "holes" : "",
		 core->holes && core->iv_large_sectors ? ", " : "",
		 core->iv_large_sectors ? "iv_large_sectors" : "");
	print_field("flags", text[0] ? text : "none");
	print_field("created", core->created);
	print_field("lineage", core->lineage);
	print_lease(&core->lease);
	if (core->origin[0])
		print_field("origin", core->origin);
	if (core->detached)
		print_device(&core->device);
}

static void print_slot(const struct header *h, size_t i)
{
	struct header_slot s = header_slot_get(h, i);
	char text[64];
	const char *name;
	json_t *value;

	printf("slot %zu (unverified):\n", i);
	print_field("provider", s.provider);
	print_field("key", s.key_id);
	json_object_foreach(s.context, name, value) {
		char *pair = NULL;

		if (asprintf(&pair, "%s=%s", name,
			     json_string_value(value)) > 0)
			print_field("context", pair);
		free(pair);
	}
	snprintf(text, sizeof(text), "%zu bytes", s.ciphertext_bytes);
	print_field("wrapped key", text);
	print_field("created", s.created);
}

static int print_text(const struct volume *v)
{
	const struct header *h = v->header;
	unsigned int i;
	size_t slot;

	for (i = 0; i < HEADER_COPIES; i++) {
		struct header_copy_info c = header_copy(h, i);

		printf("copy %c: %s", 'A' + i, state_name(c.state));
		if (c.state >= HEADER_COPY_GOOD)
			printf(", sequence %llu%s",
			       (unsigned long long)c.sequence,
			       c.used ? ", shown here" : "");
		putchar('\n');
	}
	puts("core (unverified):");
	print_core(header_core(h));
	for (slot = 0; slot < header_slot_count(h); slot++)
		print_slot(h, slot);
	puts("'envelope check --unwrap' asks the KMS, and verifies core");
	return STATUS_DONE;
}

int cmd_inspect(int argc, char **argv)
{
	struct volume v = VOLUME_CLOSED;
	const char *header = NULL;
	bool json = false;
	const struct cli_option options[] = {
		CLI_HEADER_OPTION(&header),
		CLI_JSON_OPTION(&json),
		{ 0 },
	};
	const struct cli_usage usage = {
		.verb = "inspect",
		.arguments = "[DEVICE]",
		.about = "Show the header of DEVICE (or of a file that holds one) without a key.\n"
			 "Nothing that is shown is verified, and nothing is secret.\n",
		.max_arguments = 1,
		.options = options,
		.header = &header,
	};
	char **args;
	int r;

	r = cli_parse(&usage, argc, argv, &args);
	if (r != CLI_GO_ON)
		return r;
	r = volume_open(NULL, header ? header : args[0], VOLUME_FORCE, &v);
	if (r < 0)
		return status_from_errno(r);
	r = json ? print_json(&v) : print_text(&v);
	volume_close(&v);
	return r;
}
