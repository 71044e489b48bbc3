// SPDX-License-Identifier: GPL-2.0-or-later
/* Configuration as it applies: file, then overrides, then defaults. */
#include "conf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arn.h"
#include "conf_defaults.h"
#include "conf_file.h"
#include "key_name.h"
#include "log.h"

struct conf {
	struct conf_regions regions;
	char *path;		/* of the file, read or not, for messages */
	size_t default_region;	/* index in @regions */
	bool environment;
};

/* Overrides with their origin, so that a sentence can name it. */
struct origin {
	const char *value;
	const char *name;	/* "--region", "AWS_REGION" */
};

struct merged {
	struct origin endpoint, sts, ca_file, profile, region, account;
	bool signer;
};

/* An empty variable is an unset one, as in the AWS programs. */
static void from_env(struct origin *o, const char *name)
{
	const char *value = getenv(name);

	if (o->value || !value || !*value)
		return;
	o->value = value;
	o->name = name;
}

static void merge(const struct conf_overrides *overrides, struct merged *m)
{
	*m = (struct merged){
		.endpoint = { overrides->endpoint, "--kms-endpoint" },
		.ca_file = { overrides->ca_file, "--ca-file" },
		.profile = { overrides->profile, "--profile" },
		.region = { overrides->region, "--region" },
		.signer = overrides->signer,
	};
	if (overrides->signer)
		from_env(&m->profile, "AWS_PROFILE");
	if (!overrides->environment)
		return;
	from_env(&m->endpoint, "AWS_ENDPOINT_URL_KMS");
	from_env(&m->endpoint, "AWS_ENDPOINT_URL");
	from_env(&m->sts, "AWS_ENDPOINT_URL_STS");
	from_env(&m->ca_file, "AWS_CA_BUNDLE");
	from_env(&m->profile, "AWS_PROFILE");
	from_env(&m->region, "AWS_REGION");
	from_env(&m->region, "AWS_DEFAULT_REGION");
	from_env(&m->account, "AWS_ACCOUNT_ID");
}

static int replace(char **field, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return -ENOMEM;
	free(*field);
	*field = copy;
	return 0;
}

/* --region and AWS_REGION may name a region that the file does not have. */
static int choose_region(struct conf *conf, const struct origin *o)
{
	size_t i;

	if (!o->value)
		return 0;
	if (!conf_region_name_valid(o->value)) {
		log_error("%s: a region is lower case letters, digits and dashes, not '%s'",
			  o->name, o->value);
		return -EINVAL;
	}
	for (i = 0; i < conf->regions.count; i++)
		if (strcmp(conf->regions.at[i]->name, o->value) == 0)
			break;
	if (i == CONF_MAX_REGIONS) {
		log_error("%s: too many regions in %s", o->name, conf->path);
		return -EINVAL;
	}
	if (i == conf->regions.count &&
	    !conf_regions_add(&conf->regions, o->value))
		return -ENOMEM;
	conf->default_region = i;
	return 0;
}

static int replace_endpoint(char **field, const struct origin *o)
{
	const char *why;
	char *endpoint;
	int r;

	r = conf_endpoint(o->value, &endpoint, &why);
	if (r == -EINVAL)
		log_error("%s: %s '%s'", o->name, why, o->value);
	if (r < 0)
		return r;
	free(*field);
	*field = endpoint;
	return 0;
}

static int apply_endpoint(struct conf *conf, const struct origin *o)
{
	if (!o->value)
		return 0;
	if (conf->regions.count == 0) {
		log_error("%s: no region is known for it; give --region or set AWS_REGION",
			  o->name);
		return -EINVAL;
	}
	return replace_endpoint(
		&conf->regions.at[conf->default_region]->endpoint, o);
}

/* The host's own account; NULL: not known. @arn has it where it is an ARN's. */
static const char *account_of(const struct conf_region *region,
			      struct arn *arn)
{
	if (region->account)
		return region->account;
	return region->default_key && arn_parse(region->default_key, arn) == 0 ?
	       arn->account : NULL;
}

/* What the file says, also by its default key, beats AWS_ACCOUNT_ID. */
static bool account_known(const struct conf_region *region)
{
	struct arn arn;

	return account_of(region, &arn);
}

static int apply_everywhere(struct conf *conf, const struct merged *m)
{
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < conf->regions.count; i++) {
		struct conf_region *region = conf->regions.at[i];

		if (m->ca_file.value)
			r = replace(&region->ca_file, m->ca_file.value);
		if (r == 0 && m->sts.value)
			r = replace_endpoint(&region->sts_endpoint, &m->sts);
		if (m->signer) {
			free(region->profile);
			region->profile = NULL;
		}
		if (r == 0 && m->profile.value) {
			r = replace(&region->profile, m->profile.value);
			region->profile_by_option =
				strcmp(m->profile.name, "--profile") == 0;
		}
		if (r == 0 && m->account.value && !account_known(region))
			r = replace(&region->account, m->account.value);
	}
	return r;
}

static int apply(struct conf *conf, const struct conf_overrides *overrides)
{
	struct merged m;
	int r;

	merge(overrides, &m);
	r = choose_region(conf, &m.region);
	if (r == 0)
		r = apply_endpoint(conf, &m.endpoint);
	if (r == 0)
		r = apply_everywhere(conf, &m);
	return r;
}

static bool ends_with(const char *text, size_t len, const char *tail)
{
	return len >= strlen(tail) &&
	       strncasecmp(text + len - strlen(tail), tail,
			   strlen(tail)) == 0;
}

static bool host_is_aws(const char *endpoint)
{
	const char *host = endpoint + strlen("https://");
	size_t len = strcspn(host, ":");

	return ends_with(host, len, ".amazonaws.com") ||
	       ends_with(host, len, ".amazonaws.com.cn") ||
	       ends_with(host, len, ".api.aws");
}

/* Partitions of AWS by region name, as botocore's endpoints.json has them. */
static const char *partition_of(const char *region)
{
	if (strncmp(region, "cn-", 3) == 0)
		return "aws-cn";
	if (strncmp(region, "us-gov-", 7) == 0)
		return "aws-us-gov";
	return "aws";
}

static int default_endpoint(struct conf_region *region)
{
	const char *tail = strcmp(partition_of(region->name), "aws-cn") == 0 ?
			   ".cn" : "";

	if (!region->endpoint &&
	    asprintf(&region->endpoint, "https://kms.%s.amazonaws.com%s",
		     region->name, tail) < 0) {
		region->endpoint = NULL;
		return -ENOMEM;
	}
	region->endpoint_is_aws = host_is_aws(region->endpoint);
	if (region->sts_endpoint)
		return 0;
	/* Ours answers as both on one address. */
	if (!region->endpoint_is_aws)
		return replace(&region->sts_endpoint, region->endpoint);
	if (asprintf(&region->sts_endpoint, "https://sts.%s.amazonaws.com%s",
		     region->name, tail) < 0) {
		region->sts_endpoint = NULL;
		return -ENOMEM;
	}
	return 0;
}

bool conf_key_is_foreign(const struct conf *conf, const char *key)
{
	const struct conf_region *region = NULL;
	struct arn arn, own;
	const char *account;
	size_t i;

	if (arn_parse(key, &arn) < 0 || conf->regions.count == 0)
		return false;
	for (i = 0; (region = conf_region_at(conf, i)); i++)
		if (strcmp(region->name, arn.region) == 0)
			break;
	if (!region)
		region = conf_region_at(conf, conf->default_region);
	account = account_of(region, &own);
	return account && strcmp(account, arn.account) != 0;
}

/* Without allow-keys: every key of the host's own account, if known. */
static int default_allow_keys(struct conf_region *region)
{
	const char *partition = partition_of(region->name);
	struct arn own, arn;
	const char *account = account_of(region, &own);
	char *pattern;

	if (region->allow_keys_count > 0)
		return 0;
	if (region->default_key && arn_parse(region->default_key, &arn) == 0)
		partition = arn.partition;
	if (!account)
		return 0;
	if (asprintf(&pattern, "arn:%s:kms:%s:%s:key/*", partition,
		     region->name, account) < 0)
		return -ENOMEM;
	/* AWS_ACCOUNT_ID has not been looked at before. */
	if (!arn_pattern_valid(pattern)) {
		log_error("AWS_ACCOUNT_ID: an account is 12 digits, not '%s'",
			  account);
		free(pattern);
		return -EINVAL;
	}
	region->allow_keys[region->allow_keys_count++] = pattern;
	return 0;
}

static int fill_defaults(struct conf *conf)
{
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < conf->regions.count; i++) {
		r = default_endpoint(conf->regions.at[i]);
		if (r == 0)
			r = default_allow_keys(conf->regions.at[i]);
	}
	return r;
}

int conf_load(const struct conf_overrides *overrides, struct conf **ret)
{
	const char *path = overrides && overrides->config ? overrides->config :
							   CONF_PATH;
	struct conf *conf = calloc(1, sizeof(*conf));
	int r = -ENOMEM;

	if (!conf)
		goto out;
	conf->path = strdup(path);
	if (!conf->path)
		goto out;
	conf->environment = overrides && (overrides->environment ||
					  overrides->signer);
	r = conf_file_read(path, overrides && overrides->config,
			   &conf->regions);
	if (r == 0 && overrides)
		r = apply(conf, overrides);
	if (r == 0)
		r = fill_defaults(conf);
	if (r == 0)
		r = conf_defaults_read(path, &conf->regions);
	if (r < 0)
		goto out;
	*ret = conf;
	conf = NULL;
out:
	conf_free(conf);
	return r;
}

void conf_free(struct conf *conf)
{
	if (!conf)
		return;
	conf_regions_free(&conf->regions);
	free(conf->path);
	free(conf);
}

bool conf_environment(const struct conf *conf)
{
	return conf->environment;
}

const char *conf_path(const struct conf *conf)
{
	return conf->path;
}

const struct conf_region *conf_region_at(const struct conf *conf, size_t i)
{
	return i < conf->regions.count ? conf->regions.at[i] : NULL;
}

int conf_region(const struct conf *conf, const char *name,
		const struct conf_region **ret)
{
	const struct conf_region *region;

	if (conf->regions.count == 0) {
		log_error("no region is configured; write [region NAME] into %s or give --direct --region NAME",
			  conf->path);
		return -EINVAL;
	}
	if (!name)
		name = conf->regions.at[conf->default_region]->name;
	region = conf_regions_find(&conf->regions, name);
	if (!region) {
		log_error("region '%s' is not configured on this host; if it shall be used, add [region %s] to %s",
			  name, name, conf->path);
		return -EACCES;
	}
	*ret = region;
	return 0;
}

/* alias/aws/NAME, by itself or in an ARN: the keys AWS manages. */
static bool is_aws_managed(const char *key)
{
	struct arn arn;
	const char *alias = arn_parse(key, &arn) == 0 ? arn.resource : key;

	return strncmp(alias, "alias/aws/", 10) == 0;
}

static int check_allowed(const struct conf *conf,
			 const struct conf_region *region, const char *key)
{
	size_t i;

	for (i = 0; i < region->allow_keys_count; i++)
		if (arn_pattern_covers(region->allow_keys[i], key))
			return 0;
	if (region->allow_keys_count == 0)
		log_error("key '%s': this host's account is not known, so no KMS key is allowed; set account or allow-keys for region %s in %s",
			  key, region->name, conf->path);
	else
		log_error("key '%s': allow-keys does not cover it; if this host shall use it, add it for region %s in %s",
			  key, region->name, conf->path);
	return -EACCES;
}

const struct conf_provider *conf_provider_at(const struct conf *conf,
					     size_t i)
{
	return i < conf->regions.provider_count ? conf->regions.providers[i] :
						  NULL;
}

const struct conf_provider *conf_provider_of(const struct conf *conf,
					     const char *key)
{
	struct key_name name;
	size_t i;

	if (key_name_parse(key, &name) < 0)
		return NULL;
	for (i = 0; i < conf->regions.provider_count; i++) {
		const struct conf_provider *p = conf->regions.providers[i];

		if (p->kind == name.kind &&
		    strcmp(conf_provider_place(p), name.place) == 0)
			return p;
	}
	return NULL;
}

/* As check_allowed(), for keys that are in no AWS KMS. */
static int check_provider_key(const struct conf *conf, const char *key)
{
	const struct conf_provider *p;
	struct key_name name;
	size_t i;

	if (key_name_parse(key, &name) < 0) {
		log_error("key '%s': not a key id of %s, which are %s", key,
			  key_section(key_kind(key)),
			  key_grammar(key_kind(key)));
		return -EINVAL;
	}
	p = conf_provider_of(conf, key);
	if (!p) {
		log_error("key '%s': '%s' is not configured on this host; if it shall be used, add a section [%s NAME] to %s",
			  key, name.place, key_section(name.kind),
			  conf->path);
		return -EACCES;
	}
	for (i = 0; i < p->allow_keys_count; i++)
		if (key_pattern_covers(p->allow_keys[i], key))
			return 0;
	if (p->allow_keys_count == 0)
		return 0;
	log_error("key '%s': allow-keys does not cover it; if this host shall use it, add it for [%s %s] in %s",
		  key, key_section(p->kind), p->name, conf->path);
	return -EACCES;
}

int conf_allow_key(const struct conf *conf, const char *key,
		   const struct conf_region **region_ret)
{
	const struct conf_region *region;
	enum key_form form;
	struct arn arn;
	int r;

	if (key_kind(key) != KEY_AWS) {
		*region_ret = NULL;
		return check_provider_key(conf, key);
	}
	if (arn_key_form(key, &form) < 0) {
		log_error("key '%s': not a KMS key id, key ARN, alias/NAME or alias ARN",
			  key);
		return -EINVAL;
	}
	r = conf_region(conf, arn_parse(key, &arn) == 0 ? arn.region : NULL,
			&region);
	if (r < 0)
		return r;
	if (region->endpoint_is_aws && is_aws_managed(key)) {
		log_error("key '%s': AWS lets only its own services use the keys it manages; make a customer managed key and set it as default-key for region %s in %s",
			  key, region->name, conf->path);
		return -EINVAL;
	}
	r = check_allowed(conf, region, key);
	if (r == 0)
		*region_ret = region;
	return r;
}

const char *conf_key_from_name(enum conf_key_from from)
{
	static const char *const names[] = {
		[CONF_KEY_KEPT] = "default",
		[CONF_KEY_FILE] = "configuration",
		[CONF_KEY_EBS] = "aws/ebs",
	};

	return names[from];
}

const char *conf_region_key(const struct conf_region *region,
			    enum conf_key_from *from_ret)
{
	if (region->kept_key) {
		*from_ret = CONF_KEY_KEPT;
		return region->kept_key;
	}
	*from_ret = region->default_key ? CONF_KEY_FILE : CONF_KEY_EBS;
	return region->default_key ? region->default_key : "alias/aws/ebs";
}

int conf_default_key(const struct conf *conf, const char **ret)
{
	const struct conf_region *region;
	enum conf_key_from from;
	size_t i;
	int r;

	for (i = 0; conf->regions.count == 0 &&
		    i < conf->regions.provider_count; i++) {
		*ret = conf->regions.providers[i]->default_key;
		if (*ret)
			return 0;
	}
	r = conf_region(conf, NULL, &region);
	if (r < 0)
		return r;
	*ret = conf_region_key(region, &from);
	if (from != CONF_KEY_EBS || !region->endpoint_is_aws)
		return 0;
	log_error("region %s: no key was given and no default key is set, and AWS lets only its own services use alias/aws/ebs; give --kms-key, run 'envelope default key set' or set default-key in %s",
		  region->name, conf->path);
	return -EINVAL;
}
