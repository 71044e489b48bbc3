// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope default: encryption by default, and the key of a region. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "audit.h"
#include "cmd.h"
#include "key_name.h"
#include "log.h"
#include "status.h"

static const char about[] =
	"What holds for new volumes of a region, as in EBS:\n"
	"  get         encryption by default and the key, of each region or --region\n"
	"  enable      new volumes and copies are encrypted, and none can opt out\n"
	"  disable     not any more; what was made stays encrypted\n"
	"  key set KEY the default key: id, ARN or alias, which the KMS is asked for\n"
	"  key reset   none of its own: default-key of the configuration, else\n"
	"              alias/aws/ebs\n"
	"Kept in defaults.json beside envelope.conf. 'format' always encrypts.\n";

static json_t *to_json(const struct conf_region *region)
{
	enum conf_key_from from;
	const char *key = conf_region_key(region, &from);

	return json_pack("{s:s, s:b, s:s, s:s}", "region", region->name,
			 "encryption_by_default",
			 region->encryption_by_default, "key", key,
			 "key_from", conf_key_from_name(from));
}

static void print(const struct conf *conf, const struct conf_region *region)
{
	enum conf_key_from from;
	const char *key = conf_region_key(region, &from);

	printf("%s: encryption by default is %s; default key %s ",
	       region->name, region->encryption_by_default ? "on" : "off",
	       key);
	if (from == CONF_KEY_KEPT)
		puts("(envelope default key set)");
	else if (from == CONF_KEY_FILE)
		printf("(default-key in %s)\n", conf_path(conf));
	else
		puts("(none is set)");
}

/* Of @only, or of all. */
static int show(const struct conf *conf, const struct conf_region *only,
		bool json)
{
	const struct conf_region *region;
	json_t *list = json_array();
	size_t i;

	for (i = 0; (region = conf_region_at(conf, i)); i++) {
		if (only && region != only)
			continue;
		if (json)
			json_array_append_new(list, to_json(region));
		else
			print(conf, region);
	}
	if (json)
		return cli_print_json(json_pack("{s:o}", "regions", list));
	json_decref(list);
	return STATUS_DONE;
}

/* Load what holds now, and show it. */
static int show_again(const struct volume_access *access, const char *name,
		      bool json)
{
	const struct conf_region *region;
	struct conf *conf = NULL;
	int status;
	int r;

	r = conf_load(&access->conf, &conf);
	if (r == 0)
		r = conf_region(conf, name, &region);
	status = r < 0 ? (int)status_from_errno(r) : show(conf, region, json);
	conf_free(conf);
	return status;
}

/* What EBS asks of a key: symmetric, for encryption, and usable. */
static int check_key(const char *key, const struct kms_key_info *info)
{
	if (strcmp(info->spec, "SYMMETRIC_DEFAULT") != 0 ||
	    strcmp(info->usage, "ENCRYPT_DECRYPT") != 0) {
		log_error("key '%s': it is a %s key for %s; volumes want a symmetric key for encryption",
			  key, info->spec, info->usage);
		return -EINVAL;
	}
	if (!info->enabled) {
		log_error("key '%s': its state is %s; enable it, or choose another key",
			  key, info->state);
		return -EACCES;
	}
	return 0;
}

/* The ARN behind @key, which is in @region: what an alias names may change. */
static int resolve(struct volume_kms *k, const struct conf_region *region,
		   const char *key, struct kms_key_info *ret)
{
	struct arn arn;
	int r;

	if (key_kind(key) != KEY_AWS) {
		log_error("key '%s': it is in no region; set default-key of its section in %s",
			  key, conf_path(k->conf));
		return -EINVAL;
	}
	if (arn_parse(key, &arn) == 0 && strcmp(arn.region, region->name) != 0) {
		log_error("key '%s': it is not in region %s; give --region %s to set the default key there",
			  key, region->name, arn.region);
		return -EINVAL;
	}
	cli_patience_begin();
	r = kms_describe_key(k->kms, key, ret);
	cli_patience_end();
	return r < 0 ? r : check_key(key, ret);
}

static void warn_unusable(const struct conf_region *region,
			  const struct conf_default_change *change)
{
	enum conf_key_from from;

	conf_region_key(region, &from);
	if (change->what == CONF_DEFAULT_ENCRYPTION && change->on &&
	    from == CONF_KEY_EBS && region->endpoint_is_aws)
		log_warn("region %s has no default key, and AWS lets only its own services use alias/aws/ebs: run 'envelope default key set'",
			 region->name);
}

static void record(const struct conf_default_change *change,
		   const char *region, const char *key, int r)
{
	const char *event = change->on ? "default-enable" : "default-disable";

	if (change->what == CONF_DEFAULT_KEY)
		event = key ? "default-key-set" : "default-key-reset";
	audit_verb_key_ended(event, region, NULL,
			     r == 0 ? change->key_arn : key, r);
}

static int change(const struct volume_access *access,
		  struct conf_default_change *change, const char *key,
		  bool json)
{
	const struct conf_region *region = NULL;
	char name[ARN_WORD_BYTES] = "";
	struct kms_key_info info;
	struct volume_kms k = { 0 };
	int r;

	r = volume_kms_open(access, &k);
	if (r == 0)
		r = conf_region(k.conf, NULL, &region);
	if (r == 0 && key) {
		r = resolve(&k, region, key, &info);
		change->key_arn = info.arn;
	}
	if (r == 0)
		r = conf_default_change(k.conf, region->name, change);
	record(change, region ? region->name : NULL, key, r);
	if (r == 0) {
		warn_unusable(region, change);
		snprintf(name, sizeof(name), "%s", region->name);
	}
	volume_kms_close(&k);
	return r < 0 ? (int)status_from_errno(r) :
		       show_again(access, name, json);
}

static int get(const struct volume_access *access, bool json)
{
	const struct conf_region *region = NULL;
	struct conf *conf = NULL;
	int status;
	int r;

	r = conf_load(&access->conf, &conf);
	/* Without any region there is something to say, too. */
	if (r == 0 && (access->conf.region || !conf_region_at(conf, 0)))
		r = conf_region(conf, NULL, &region);
	status = r < 0 ? (int)status_from_errno(r) : show(conf, region, json);
	conf_free(conf);
	return status;
}

static int run(const struct volume_access *access, char **args, bool json)
{
	struct conf_default_change c = { .what = CONF_DEFAULT_ENCRYPTION };
	const char *key = NULL;

	if (strcmp(args[0], "get") == 0 && !args[1])
		return get(access, json);
	if (strcmp(args[0], "enable") == 0 && !args[1]) {
		c.on = true;
	} else if (strcmp(args[0], "key") == 0 && args[1]) {
		c.what = CONF_DEFAULT_KEY;
		if (strcmp(args[1], "set") == 0 && args[2])
			key = args[2];
		else if (strcmp(args[1], "reset") != 0 || args[2])
			return cli_usage_error("default",
				"want 'key set KEY' or 'key reset'");
	} else if (strcmp(args[0], "disable") != 0 || args[1]) {
		return cli_usage_error("default",
			"want get, enable, disable, 'key set KEY' or 'key reset'");
	}
	return change(access, &c, key, json);
}

int cmd_default(int argc, char **argv)
{
	struct volume_access access = { .conf.environment = true };
	bool json = false;
	const struct cli_option options[] = {
		CLI_ACCESS_OPTIONS(&access),
		CLI_JSON_OPTION(&json),
		{ 0 }
	};
	const struct cli_usage usage = {
		.verb = "default",
		.arguments = "get|enable|disable|key set KEY|key reset",
		.about = about,
		.min_arguments = 1,
		.max_arguments = 3,
		.options = options,
	};
	char **args;
	int status = cli_parse(&usage, argc, argv, &args);

	return status == CLI_GO_ON ? run(&access, args, json) : status;
}
