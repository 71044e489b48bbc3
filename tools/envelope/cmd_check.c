// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope check: are both copies whole, and do they prove themselves? */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "audit.h"
#include "cmd.h"
#include "log.h"
#include "status.h"

struct check {
	const char *header;
	const char *copy;	/* "A", "B", or NULL: both */
	struct volume_access access;
	bool unwrap;
	bool repair;
	bool json;
};

/* Without --copy as every verb opens; with it, the one copy alone. */
static int open_target(const struct check *c, const char *device,
		       struct volume *v)
{
	unsigned int flags = VOLUME_FORCE |
			     (c->repair ? VOLUME_WRITE_HEADER : 0);
	int r;

	if (!c->copy && !c->header)
		return volume_open(device, NULL, flags, v);
	if (!c->copy)
		return volume_open(NULL, c->header, flags, v);
	r = device_open(c->header ? c->header : device,
			c->repair ? DEVICE_WRITE : 0, &v->header_file);
	if (r == 0 && c->repair)
		r = header_lock(v->header_file.fd, v->header_file.path);
	if (r == 0)
		r = header_read_copy(v->header_file.fd, v->header_file.path,
				     c->copy[0] == 'B', &v->header);
	if (r < 0)
		volume_close(v);
	return r;
}

static const char *describe(const struct header *h, unsigned int i)
{
	switch (header_copy(h, i).state) {
	case HEADER_COPY_ABSENT:
		return "not there";
	case HEADER_COPY_DAMAGED:
		return "damaged: its SHA-256 is wrong";
	case HEADER_COPY_TAMPERED:
		return "tampered with: its HMAC is wrong";
	case HEADER_COPY_VERIFIED:
		break;
	case HEADER_COPY_GOOD:
		if (header_copies_agree(h) || header_copy(h, i).used)
			return "good, not verified";
		return "good, not verified, older: an update was interrupted";
	}
	if (header_copies_agree(h) || header_copy(h, i).used)
		return "good, verified";
	return "good, verified, older: an update was interrupted";
}

static int report(const struct check *c, const struct volume *v, bool verified)
{
	const struct header *h = v->header;
	json_t *copies;
	unsigned int i;

	if (c->json) {
		copies = json_object();
		for (i = 0; i < HEADER_COPIES; i++)
			json_object_set_new(copies, i ? "B" : "A",
					    json_string(describe(h, i)));
		return cli_print_json(json_pack("{ss ss sb sb so}",
			"path", volume_header_name(v),
			"volume_id", header_core(h)->volume_id,
			"verified", verified,
			"agree", header_copies_agree(h),
			"copies", copies));
	}
	for (i = 0; i < HEADER_COPIES; i++)
		if (!c->copy || header_copy(h, i).used)
			printf("copy %c: %s\n", 'A' + i, describe(h, i));
	return STATUS_DONE;
}

static int repair(struct volume *v, const struct secret *dek)
{
	int fd = volume_header_fd(v);
	const char *name = volume_header_name(v);
	bool needed = !header_copies_agree(v->header);
	struct header *again = NULL;
	int r;

	r = header_repair(fd, name, v->header, dek);
	if (r < 0 || !needed)
		return r;
	/* What counts is what a reader finds now. */
	r = header_read(fd, name, &again);
	if (r < 0)
		return r;
	header_free(v->header);
	v->header = again;
	log_info("'%s': both copies of the header are good now", name);
	return header_verify(v->header, name, dek);
}

static int check(const struct check *c, const char *device)
{
	struct volume v = VOLUME_CLOSED;
	struct secret *dek = NULL;
	bool verify = c->unwrap || c->repair || c->access.recovery;
	int r, status;

	r = open_target(c, device, &v);
	if (r < 0)
		return status_from_errno(r);
	if (verify) {
		cli_patience_begin();
		r = volume_unwrap(&v, &c->access, &dek);
		cli_patience_end();
	}
	if (r == 0 && c->repair)
		r = repair(&v, dek);
	if (verify)
		audit_verb_ended(c->repair ? "repair" : "check", device,
				 header_core(v.header)->volume_id, r);
	secret_free(dek);
	status = report(c, &v, verify && r == 0);
	if (r < 0)
		status = status_from_errno(r);
	else if (status == STATUS_DONE && !c->copy &&
		 !header_copies_agree(v.header))
		status = STATUS_TAMPERED;
	volume_close(&v);
	return status;
}

static int set_copy(void *target, const char *option, const char *value)
{
	if (strcmp(value, "A") != 0 && strcmp(value, "B") != 0) {
		log_error("--%s: '%s' is not A or B", option, value);
		return -EINVAL;
	}
	return cli_set_text(target, option, value);
}

int cmd_check(int argc, char **argv)
{
	struct check c = { .access.conf.environment = true };
	const char *recovery = NULL;
	struct secret *key = NULL;
	const struct cli_option options[] = {
		{ "unwrap", NULL, cli_set_true, &c.unwrap,
		  "ask the KMS for the key, and verify the HMAC" },
		{ "repair", NULL, cli_set_true, &c.repair,
		  "mend the other copy from a verified one (implies --unwrap)" },
		{ "copy", "A|B", set_copy, &c.copy,
		  "look at this copy alone; --repair replaces the other" },
		CLI_RECOVERY_OPTION(&recovery),
		CLI_HEADER_OPTION(&c.header),
		CLI_ACCESS_OPTIONS(&c.access),
		CLI_JSON_OPTION(&c.json),
		{ 0 },
	};
	const struct cli_usage usage = {
		.verb = "check",
		.arguments = "[DEVICE]",
		.about = "Check both copies of the header of DEVICE: SHA-256 against accidents, with\n"
			 "--unwrap the HMAC against intent. Status 6 unless both are good and alike.\n"
			 "Nothing is written without --repair.\n",
		.max_arguments = 1,
		.options = options,
		.header = &c.header,
	};
	char **args;
	int r;

	r = cli_parse(&usage, argc, argv, &args);
	if (r != CLI_GO_ON)
		return r;
	r = cli_read_recovery(recovery, &key);
	if (r < 0)
		return status_from_errno(r);
	c.access.recovery = key;
	r = check(&c, args[0]);
	secret_free(key);
	return r;
}
