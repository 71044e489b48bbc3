// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope audit: what was recorded on this host, and whether it still is. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "cmd.h"
#include "header.h"
#include "json.h"
#include "log.h"
#include "status.h"

struct audit {
	const char *head;	/* --head */
	const char *volume;	/* --volume */
	uint32_t newest;	/* --newest; 0: all */
	bool json;
	bool quiet;		/* findings are not told */
	uint64_t records;
	uint64_t skip;		/* of show, before the newest */
	json_t *findings;
	json_t *shown;
};

static void take_finding(void *data, bool wrong, const char *text)
{
	struct audit *a = data;

	if (a->quiet)
		return;
	if (a->json)
		json_array_append_new(a->findings, json_pack(
			"{s:b, s:s}", "wrong", wrong, "text", text));
	else if (wrong)
		log_error("audit: %s", text);
	else
		log_warn("audit: %s", text);
}

static void count_record(void *data, const char *file, size_t line, json_t *o)
{
	struct audit *a = data;

	(void)file;
	(void)line;
	a->records += o != NULL;
}

static int report(const struct audit *a, const struct audit_mark *last, int r)
{
	char head[AUDIT_SUM_CHARS + 32];

	snprintf(head, sizeof(head), "%" PRIu64 ":%s", last->seq, last->sum);
	if (a->json)
		return cli_print_json(json_pack(
			"{s:b, s:I, s:s, s:O}", "ok", r == 0, "records",
			(json_int_t)a->records, "head", head, "findings",
			a->findings));
	printf("%" PRIu64 " records, %s\nhead %s\n", a->records,
	       r == 0 ? "as they were written" : "not as they were written",
	       head);
	return STATUS_DONE;
}

static int verify(struct audit *a, const char *path)
{
	struct audit_reader reader = {
		.record = count_record,
		.finding = take_finding,
		.data = a,
	};
	struct audit_mark noted, last;
	int r, status;

	if (a->head && audit_mark_parse(a->head, &noted) < 0)
		return cli_usage_error("audit", "--head: '%s' is not what 'audit verify' prints behind head",
				       a->head);
	r = audit_read(path, a->head ? &noted : NULL, &reader, &last);
	if (r < 0 && r != -EBADMSG)
		return status_from_errno(r);
	status = report(a, &last, r);
	return status == STATUS_DONE ? (int)status_from_errno(r) : status;
}

static bool is_wanted(const struct audit *a, const json_t *o)
{
	return !a->volume || strcmp(json_text(o, "volume_id"), a->volume) == 0 ||
	       strcmp(json_text(o, "name"), a->volume) == 0;
}

/* Names come from devices, sentences from servers, and a file from anybody. */
static void print_member(const char *before, const json_t *o, const char *name)
{
	const char *text = json_text(o, name);
	char *safe = header_escape(text);

	if (text[0])
		printf("%s%s", before, safe ? safe : "?");
	free(safe);
}

static void print_record(const char *file, size_t line, const json_t *o)
{
	const json_t *uid = json_object_get(o, "uid");

	if (!o) {
		printf("%s:%zu: not as it was written\n", file, line);
		return;
	}
	print_member("", o, "time");
	printf("  %" JSON_INTEGER_FORMAT,
	       json_integer_value(json_object_get(o, "seq")));
	print_member("  ", o, "event");
	print_member(" ", o, "result");
	if (uid)
		printf("  uid %" JSON_INTEGER_FORMAT, json_integer_value(uid));
	print_member("  ", o, "volume_id");
	print_member("  ", o, "name");
	print_member("  on ", o, "device");
	print_member("  ", o, "key_id");
	print_member("  request ", o, "request_id");
	print_member(": ", o, "why");
	putchar('\n');
}

static void count_wanted(void *data, const char *file, size_t line, json_t *o)
{
	struct audit *a = data;

	(void)file;
	(void)line;
	a->records += is_wanted(a, o);
}

static void show_record(void *data, const char *file, size_t line, json_t *o)
{
	struct audit *a = data;

	if (!is_wanted(a, o))
		return;
	if (a->skip > 0) {
		a->skip--;
		return;
	}
	if (!a->json)
		print_record(file, line, o);
	else if (o)
		json_array_append(a->shown, o);
}

/* Whether it is genuine is the other verb's business. */
static int show(struct audit *a, const char *path)
{
	struct audit_reader reader = {
		.record = count_wanted,
		.finding = take_finding,
		.data = a,
	};
	struct audit_mark last;
	int r = 0;

	a->quiet = true;
	if (a->newest)
		r = audit_read(path, NULL, &reader, &last);
	if (r < 0 && r != -EBADMSG)
		return status_from_errno(r);
	if (a->newest && a->records > a->newest)
		a->skip = a->records - a->newest;
	reader.record = show_record;
	r = audit_read(path, NULL, &reader, &last);
	if (r < 0 && r != -EBADMSG)
		return status_from_errno(r);
	if (r < 0)
		log_warn("audit: not as it was written: see 'envelope audit verify'");
	return a->json ? cli_print_json(json_incref(a->shown)) : STATUS_DONE;
}

static int run(struct audit *a, char **args)
{
	a->findings = json_array();
	a->shown = json_array();
	if (strcmp(args[0], "verify") == 0 && (a->volume || a->newest))
		return cli_usage_error("audit", "--volume and --newest are for show");
	if (strcmp(args[0], "verify") == 0)
		return verify(a, args[1]);
	if (strcmp(args[0], "show") == 0 && a->head)
		return cli_usage_error("audit", "--head is for verify");
	if (strcmp(args[0], "show") == 0)
		return show(a, args[1]);
	return cli_usage_error("audit", "'%s' is neither verify nor show",
			       args[0]);
}

int cmd_audit(int argc, char **argv)
{
	struct audit a = { 0 };
	const struct cli_option options[] = {
		{ "head", "SEQ:SUM", cli_set_text, &a.head,
		  "verify: it must have this record, too" },
		{ "volume", "NAME", cli_set_text, &a.volume,
		  "show: only what is about this volume id or device name" },
		{ "newest", "N", cli_set_number, &a.newest,
		  "show: only the N newest" },
		CLI_JSON_OPTION(&a.json),
		{ 0 }
	};
	const struct cli_usage usage = {
		.verb = "audit",
		.arguments = "verify|show [FILE]",
		.about = "Read what was done with volumes on this host, by the agent and by root: all\n"
			 "of /var/lib/envelope/audit, or FILE alone, a copy of a file from there.\n"
			 "verify finds records that were changed, removed, moved or put in, and prints\n"
			 "the head: noted elsewhere, it later proves by --head that nothing before it\n"
			 "was written anew. Status 6 where something is wrong.\n",
		.min_arguments = 1,
		.max_arguments = 2,
		.options = options,
	};
	char **args;
	int r = cli_parse(&usage, argc, argv, &args);

	if (r == CLI_GO_ON)
		r = run(&a, args);
	json_decref(a.findings);
	json_decref(a.shown);
	return r;
}
