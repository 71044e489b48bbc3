// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope doctor: what would keep volumes from being attached, and what to do. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "doctor.h"
#include "log.h"
#include "status.h"

static const char about[] =
	"Look at all that volumes need: kernel, module, keyring, each KMS with its\n"
	"certificate, clock, identity and permissions (asked by DryRun), the headers of\n"
	"the volumes here or of the DEVICEs named, the agent and its policy, and what a\n"
	"boot starts.\n"
	"Each finding is ok, warn or FAIL, and says what to do. Nothing is changed.\n"
	"Status 1 if one is FAIL. --drill, for a timer: also unwrap each volume's key,\n"
	"try it with a wrong context, which must be refused, and rewrap it in memory;\n"
	"--profile: of an identity that may, where the host has no right but by grants.\n";

static const char *const level_names[] = {
	[DOCTOR_OK] = "ok",
	[DOCTOR_WARN] = "warn",
	[DOCTOR_FAIL] = "FAIL",
};

/* What the library said last; it speaks before it returns. */
static char said[DOCTOR_TEXT_BYTES];

static void take_sentence(enum log_level level, const char *text)
{
	if (level == LOG_LEVEL_ERROR)
		snprintf(said, sizeof(said), "%s", text);
}

static void print(enum doctor_level level, const char *check,
		  const char *advice, const char *text)
{
	printf("%-4s  %s: %s\n", level_names[level], check, text);
	if (advice[0])
		printf("      %s\n", advice);
	fflush(stdout);
}

/* A header, a key policy or a server may have had its say in both texts. */
static void add(struct doctor *d, enum doctor_level level, const char *check,
		const char *advice, const char *text)
{
	static const char *const json_names[] = { "ok", "warn", "fail" };
	char *safe = header_escape(text);
	char *safe_advice = header_escape(advice ? advice : "");

	text = safe ? safe : "out of memory";
	advice = safe_advice ? safe_advice : "";
	d->count[level]++;
	json_array_append_new(d->findings, json_pack("{s:s, s:s, s:s, s:s}",
		"check", check, "level", json_names[level], "text", text,
		"advice", advice));
	if (!d->json)
		print(level, check, advice, text);
	free(safe_advice);
	free(safe);
}

void doctor_say(struct doctor *d, enum doctor_level level, const char *check,
		const char *advice, const char *fmt, ...)
{
	char text[DOCTOR_TEXT_BYTES];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	add(d, level, check, advice, text);
}

void doctor_said_do(struct doctor *d, enum doctor_level level,
		    const char *check, const char *advice)
{
	add(d, level, check, advice, said[0] ? said : "out of memory");
	said[0] = '\0';
}

void doctor_said(struct doctor *d, enum doctor_level level, const char *check)
{
	doctor_said_do(d, level, check, NULL);
}

void doctor_restart(struct doctor *d)
{
	kms_restart(d->k.kms, d->access.timeout_ms ? d->access.timeout_ms :
		    VOLUME_TIMEOUT_MS);
}

static void look_at_regions(struct doctor *d)
{
	const struct conf_region *region;
	char caller[CALLER_BYTES];
	size_t i;

	if (!conf_region_at(d->k.conf, 0))
		doctor_say(d, DOCTOR_WARN, "configuration",
			   "write [region NAME] into it, unless all keys are in other sections",
			   "%s names no region", conf_path(d->k.conf));
	for (i = 0; (region = conf_region_at(d->k.conf, i)); i++) {
		doctor_restart(d);
		if (doctor_region(d, region) &&
		    doctor_identity(d, region, caller))
			doctor_permissions(d, region, caller);
	}
}

static void look(struct doctor *d)
{
	doctor_kernel(d);
	doctor_module(d);
	doctor_keyring(d);
	if (volume_kms_open(&d->access, &d->k) < 0) {
		doctor_said(d, DOCTOR_FAIL, "configuration");
	} else {
		look_at_regions(d);
		doctor_volumes(d);
		if (d->drill)
			doctor_drill_end(d);
	}
	doctor_agent(d);
	doctor_boot(d);
}

static int report(struct doctor *d)
{
	int status = STATUS_DONE;

	if (d->json)
		status = cli_print_json(json_pack("{s:O, s:i, s:i, s:i}",
				"findings", d->findings,
				"ok", (int)d->count[DOCTOR_OK],
				"warn", (int)d->count[DOCTOR_WARN],
				"fail", (int)d->count[DOCTOR_FAIL]));
	else
		printf("%u ok, %u to be warned of, %u failed\n",
		       d->count[DOCTOR_OK], d->count[DOCTOR_WARN],
		       d->count[DOCTOR_FAIL]);
	return status == STATUS_DONE && d->count[DOCTOR_FAIL] ?
	       STATUS_FAILED : status;
}

static int run(struct doctor *d)
{
	int status;

	d->findings = json_array();
	d->hosts = json_object();
	if (!d->findings || !d->hosts) {
		log_error("out of memory");
		json_decref(d->findings);
		json_decref(d->hosts);
		return STATUS_FAILED;
	}
	log_divert(take_sentence);
	look(d);
	log_divert(NULL);
	status = report(d);
	volume_kms_close(&d->k);
	json_decref(d->findings);
	json_decref(d->hosts);
	return status;
}

int cmd_doctor(int argc, char **argv)
{
	struct doctor d = { .access.conf.environment = true };
	const struct cli_option options[] = {
		{ "drill", NULL, cli_set_true, &d.drill,
		  "also unwrap, with a wrong context too, rewrap in memory, and\n"
		  "                           restore the oldest snapshot into nothing" },
		{ "store", "STORE", cli_set_text, &d.store,
		  "of snapshots, for --drill" },
		{ "kms-key", "KEY", cli_set_text, &d.kms_key,
		  "whose permissions are looked at (default: the default key)" },
		CLI_HEADER_OPTION(&d.header),
		CLI_ACCESS_OPTIONS(&d.access),
		CLI_JSON_OPTION(&d.json),
		{ 0 }
	};
	const struct cli_usage usage = {
		.verb = "doctor",
		.arguments = "[DEVICE...]",
		.about = about,
		.max_arguments = 1000,
		.options = options,
	};
	int status = cli_parse(&usage, argc, argv, &d.devices);

	return status == CLI_GO_ON ? run(&d) : status;
}
