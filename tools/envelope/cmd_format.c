// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope format: make a volume. */
#include <inttypes.h>
#include <stdio.h>

#include "audit.h"
#include "cmd.h"
#include "key_rule.h"
#include "status.h"

static const char about[] =
	"Make DEVICE (a block device or a file) a volume: have the KMS make and wrap\n"
	"a data key, prove that it can be unwrapped, and write the header. Data that\n"
	"were on DEVICE are lost. Needs kms:GenerateDataKeyWithoutPlaintext and\n"
	"kms:Decrypt. KEY may also be in a token (pkcs11:...), behind a program of yours\n"
	"(program:NAME/KEY) or, experimental, in HashiCorp Vault or OpenBao\n"
	"(vault:NAME/KEY): see envelope(8).\n";

static json_t *to_json(const struct volume_format_result *r)
{
	char uuid[HEADER_UUID_CHARS];

	header_uuid_print(r->core.uuid, uuid);
	return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:i, s:b, s:b, s:b, s:o}",
			 "volume_id", r->core.volume_id, "uuid", uuid,
			 "key_id", r->key_id, "lineage", r->core.lineage,
			 "size", (json_int_t)r->core.size_bytes,
			 "data_offset", (json_int_t)r->core.data_offset_bytes,
			 "sector_size", (int)r->core.sector_size,
			 "iv_large_sectors", r->core.iv_large_sectors,
			 "holes", r->core.holes, "detached", r->core.detached,
			 "key_rule", key_rule_json(&r->rule));
}

static int print_result(const struct volume_format_options *o,
			const struct volume_format_result *r, bool json)
{
	char size[16];

	if (json)
		return cli_print_json(to_json(r));
	cli_print_size(r->core.size_bytes, size);
	printf("%s: volume %s, %s, sectors of %" PRIu32 " bytes, under %s\n",
	       o->device, r->core.volume_id, size, r->core.sector_size,
	       r->key_id);
	key_rule_print(&r->rule, stdout);
	return STATUS_DONE;
}

int cmd_format(int argc, char **argv)
{
	struct volume_format_options o = { .access.conf.environment = true };
	struct volume_format_result result;
	bool holes = false;
	bool json = false;
	const struct cli_option options[] = {
		{ "kms-key", "KEY", cli_set_text, &o.kms_key,
		  "id, ARN or alias (default: see 'envelope default')" },
		{ "context", "NAME=VALUE", cli_set_pair, &o.context,
		  "more pairs of the encryption context" },
		{ "size", "BYTES", cli_set_bytes, &o.size_bytes,
		  "size of the data (default: all there is)" },
		{ "sector-size", "BYTES", cli_set_number, &o.sector_size,
		  "encryption block, 512 to 4096 (default: by the device)" },
		{ "iv-large-sectors", NULL, cli_set_true, &o.iv_large_sectors,
		  "the IV counts encryption blocks, not 512 bytes" },
		{ "holes", NULL, cli_set_true, &holes,
		  "never-written blocks read as zeros (the default)" },
		{ "no-holes", NULL, cli_set_true, &o.no_holes,
		  "they read as noise, and nobody sees which they are" },
		CLI_LEASE_OPTIONS(&o.lease),
		CLI_HEADER_OPTION(&o.header_path),
		{ "force", NULL, cli_set_true, &o.force,
		  "also if there is a file system, or a volume" },
		CLI_ACCESS_OPTIONS(&o.access),
		CLI_JSON_OPTION(&json),
		{ 0 }
	};
	const struct cli_usage usage = {
		.verb = "format",
		.arguments = "DEVICE",
		.about = about,
		.min_arguments = 1,
		.max_arguments = 1,
		.options = options,
	};
	char **args;
	int status = cli_parse(&usage, argc, argv, &args);
	int r;

	if (status == CLI_GO_ON && holes && o.no_holes)
		status = cli_usage_error("format",
				"--holes and --no-holes exclude each other");
	if (status == CLI_GO_ON) {
		o.device = args[0];
		cli_patience_begin();
		r = volume_format(&o, &result);
		cli_patience_end();
		audit_verb_ended("format", o.device, r == 0 ?
				 result.core.volume_id : NULL, r);
		status = status_from_errno(r);
		if (status == STATUS_DONE)
			status = print_result(&o, &result, json);
	}
	json_decref(o.context);
	return status;
}
