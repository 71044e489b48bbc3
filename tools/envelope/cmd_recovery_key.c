// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope recovery-key add: a way to the data that no KMS is needed for. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "audit.h"
#include "cmd.h"
#include "log.h"
#include "recovery.h"
#include "status.h"

#define OUTPUT_BYTES 1024

struct recovery_args {
	const char *header;
	const char *name;	/* of what has the header */
	struct volume_access access;
	const char *volume_id;
	bool json;
};

/* No stdio: its buffers are not wiped. */
static int write_all(const struct secret *text)
{
	const char *at = (const char *)secret_cbytes(text);
	size_t left = strlen(at);
	ssize_t n;

	while (left > 0) {
		n = write(STDOUT_FILENO, at, left);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			log_error("cannot write to standard output: %s",
				  strerror(errno));
			return -EIO;
		}
		at += n;
		left -= n;
	}
	return 0;
}

static int print_key(void *user, const struct secret *key,
		     const char *key_id, size_t slot)
{
	const struct recovery_args *a = user;
	struct secret *words = NULL, *out = secret_new(OUTPUT_BYTES);
	int r = out ? recovery_print(key, &words) : -ENOMEM;

	/* Recorded first: who has read it can open the volume. */
	if (r == 0)
		r = audit_verb_key("recovery-key-add", a->name, a->volume_id,
				   key_id);
	if (r == 0) {
		snprintf((char *)secret_bytes(out), OUTPUT_BYTES,
			 a->json ? "{\n  \"volume_id\": \"%s\",\n  \"slot\": %zu,\n  \"key_id\": \"%s\",\n  \"recovery_key\": \"%s\"\n}\n" :
			 "%s: slot %zu, %s\n\n%s\n",
			 a->volume_id, slot, key_id,
			 (const char *)secret_cbytes(words));
		r = write_all(out);
	}
	secret_free(words);
	secret_free(out);
	return r;
}

static int add(struct recovery_args *a, const char *device)
{
	struct volume v = VOLUME_CLOSED;
	int r;

	r = volume_open(device, a->header, VOLUME_WRITE_HEADER, &v);
	if (r < 0)
		return status_from_errno(r);
	a->name = volume_header_name(&v);
	a->volume_id = header_core(v.header)->volume_id;
	cli_patience_begin();
	r = volume_recovery_add(&v, &a->access, print_key, a);
	cli_patience_end();
	if (r < 0)
		audit_verb_ended("recovery-key-add", a->name, a->volume_id, r);
	if (r == 0 && !a->json)
		puts("\nWrite it down now: it is not shown again. It opens the volume for whoever has\n"
		     "it and the device, whatever the KMS says, until its slot is removed.");
	volume_close(&v);
	return status_from_errno(r);
}

static int cmd_recovery_key_add(int argc, char **argv)
{
	struct recovery_args a = { .access.conf.environment = true };
	const struct cli_option options[] = {
		CLI_HEADER_OPTION(&a.header),
		CLI_ACCESS_OPTIONS(&a.access),
		CLI_JSON_OPTION(&a.json),
		{ 0 },
	};
	const struct cli_usage usage = {
		.verb = "recovery-key add",
		.arguments = "[DEVICE]",
		.about = "Make a recovery key of DEVICE, print it once, and add a slot for it. 'attach',\n"
			 "'export' and 'slot add' take it with --recovery-key; 'slot remove' ends it.\n",
		.max_arguments = 1,
		.options = options,
		.header = &a.header,
	};
	char **args;
	int r = cli_parse(&usage, argc, argv, &args);

	return r == CLI_GO_ON ? add(&a, args[0]) : r;
}

int cmd_recovery_key(int argc, char **argv)
{
	static const struct command verbs[] = {
		{ "add", NULL, "make one, and print it", cmd_recovery_key_add },
		{ 0 },
	};

	return cli_run_verb("recovery-key", verbs, argc, argv);
}
