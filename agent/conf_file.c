// SPDX-License-Identifier: GPL-2.0-or-later
/* The grammar of envelope.conf: lines to regions, faults to sentences. */
#include "conf_file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arn.h"
#include "key_name.h"
#include "log.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define HOST_CHARS LETTERS "0123456789.-"
#define KNOWN_NAMES "endpoint, sts-endpoint, ca-file, profile, default-key, account, allow-keys, proxy and host-principal"

#define SECTIONS "a section is [region NAME], [pkcs11 NAME], [program NAME] or [vault NAME], not"

bool conf_region_name_valid(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len < ARN_WORD_BYTES &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

static void region_free(struct conf_region *region)
{
	size_t i;

	if (!region)
		return;
	for (i = 0; i < region->allow_keys_count; i++)
		free(region->allow_keys[i]);
	free(region->allow_keys);
	free(region->name);
	free(region->endpoint);
	free(region->sts_endpoint);
	free(region->ca_file);
	free(region->profile);
	free(region->default_key);
	free(region->account);
	free(region->proxy);
	free(region->host_principal);
	free(region->kept_key);
	free(region);
}

void conf_regions_free(struct conf_regions *regions)
{
	while (regions->count > 0)
		region_free(regions->at[--regions->count]);
	while (regions->provider_count > 0)
		conf_provider_free(
			regions->providers[--regions->provider_count]);
}

struct conf_region *conf_regions_add(struct conf_regions *regions,
				     const char *name)
{
	struct conf_region *region;

	if (regions->count == CONF_MAX_REGIONS)
		return NULL;
	region = calloc(1, sizeof(*region));
	if (!region)
		return NULL;
	region->name = strdup(name);
	region->allow_keys = calloc(CONF_MAX_PATTERNS, sizeof(char *));
	if (!region->name || !region->allow_keys) {
		region_free(region);
		return NULL;
	}
	regions->at[regions->count++] = region;
	return region;
}

struct conf_region *conf_regions_find(const struct conf_regions *regions,
				      const char *name)
{
	size_t i;

	for (i = 0; i < regions->count; i++)
		if (strcmp(regions->at[i]->name, name) == 0)
			return regions->at[i];
	return NULL;
}

static int fault(const struct place *place, const char *what, const char *text)
{
	log_error("%s:%zu: %s '%s'", place->path, place->line, what, text);
	return -EINVAL;
}

/* HOST or [IPV6], then nothing or :PORT, then nothing. */
static bool authority_valid(const char *text, size_t len)
{
	size_t host;
	size_t port;

	if (text[0] == '[')
		host = 1 + strspn(text + 1, "0123456789abcdefABCDEF:");
	else
		host = strspn(text, HOST_CHARS);
	if (text[0] == '[') {
		if (host < 3 || text[host] != ']')
			return false;
		host++;
	}
	if (host == 0 || host > len)
		return false;
	if (host == len)
		return true;
	port = strspn(text + host + 1, "0123456789");
	return text[host] == ':' && port > 0 && port <= 5 &&
	       host + 1 + port == len && atoi(text + host + 1) <= 65535 &&
	       atoi(text + host + 1) > 0;
}

int conf_endpoint(const char *url, char **ret, const char **why_ret)
{
	static const char scheme[] = "https://";
	size_t len = strlen(url);
	char *copy;

	if (strncasecmp(url, "http://", 7) == 0) {
		*why_ret = "plain HTTP is never spoken to a KMS or an STS, give an https:// endpoint instead of";
		return -EINVAL;
	}
	if (len > strlen(scheme) && url[len - 1] == '/')
		len--;
	if (strncmp(url, scheme, strlen(scheme)) != 0 ||
	    !authority_valid(url + strlen(scheme), len - strlen(scheme))) {
		*why_ret = "an endpoint is https://HOST or https://HOST:PORT, not";
		return -EINVAL;
	}
	copy = strndup(url, len);
	if (!copy)
		return -ENOMEM;
	*ret = copy;
	return 0;
}

static int set_text(char **field, const char *value)
{
	*field = strdup(value);
	return *field ? 0 : -ENOMEM;
}

static int set_endpoint(const struct place *place, struct conf_region *region,
			const char *value)
{
	const char *why;
	int r = conf_endpoint(value, &region->endpoint, &why);

	return r == -EINVAL ? fault(place, why, value) : r;
}

static int set_sts_endpoint(const struct place *place,
			    struct conf_region *region, const char *value)
{
	const char *why;
	int r = conf_endpoint(value, &region->sts_endpoint, &why);

	return r == -EINVAL ? fault(place, why, value) : r;
}

static int set_ca_file(const struct place *place, struct conf_region *region,
		       const char *value)
{
	if (value[0] != '/')
		return fault(place, "ca-file wants an absolute path, not",
			     value);
	return set_text(&region->ca_file, value);
}

static int set_profile(const struct place *place, struct conf_region *region,
		       const char *value)
{
	(void)place;
	return set_text(&region->profile, value);
}

static int set_default_key(const struct place *place,
			   struct conf_region *region, const char *value)
{
	struct arn arn;
	enum key_form form;

	if (arn_key_form(value, &form) < 0)
		return fault(place,
			     "default-key wants a key id, a key ARN, alias/NAME or an alias ARN, not",
			     value);
	if (arn_parse(value, &arn) == 0 &&
	    strcmp(arn.region, region->name) != 0)
		return fault(place, "default-key is in another region:", value);
	return set_text(&region->default_key, value);
}

static int set_account(const struct place *place, struct conf_region *region,
		       const char *value)
{
	if (strlen(value) != ARN_ACCOUNT_BYTES - 1 ||
	    strspn(value, "0123456789") != strlen(value))
		return fault(place, "account wants 12 digits, not", value);
	return set_text(&region->account, value);
}

static int set_allow_keys(const struct place *place,
			  struct conf_region *region, const char *value)
{
	char *list = strdup(value);
	char *rest = list;
	char *one;
	int r = list ? 0 : -ENOMEM;

	while (r == 0 && (one = strsep(&rest, " \t"))) {
		if (*one == '\0')
			continue;
		if (!arn_pattern_valid(one))
			r = fault(place,
				  "allow-keys wants arn:PARTITION:kms:REGION:ACCOUNT:key/ID, * as the account or at the end of the id only, not",
				  one);
		else if (!arn_pattern_in_region(one, region->name))
			r = fault(place, "allow-keys names another region:",
				  one);
		else if (region->allow_keys_count == CONF_MAX_PATTERNS)
			r = fault(place, "allow-keys has too many patterns at",
				  one);
		else
			r = set_text(&region->allow_keys
				     [region->allow_keys_count], one);
		if (r == 0)
			region->allow_keys_count++;
	}
	free(list);
	return r;
}

bool conf_proxy_valid(const char *url)
{
	const char *rest = strstr(url, "://");

	return rest && (strncmp(url, "http://", 7) == 0 ||
			strncmp(url, "https://", 8) == 0) &&
	       authority_valid(rest + 3, strlen(rest + 3));
}

static int set_proxy(const struct place *place, struct conf_region *region,
		     const char *value)
{
	if (!conf_proxy_valid(value))
		return fault(place, "proxy wants http://HOST:PORT or https://HOST:PORT, not",
			     value);
	return set_text(&region->proxy, value);
}

static int set_host_principal(const struct place *place,
			      struct conf_region *region, const char *value)
{
	if (!arn_is_principal(value))
		return fault(place, "host-principal wants the ARN of a role, a user or a session, not",
			     value);
	return set_text(&region->host_principal, value);
}

static const struct {
	const char *name;
	int (*set)(const struct place *place, struct conf_region *region,
		   const char *value);
} settings[] = {
	{ "endpoint", set_endpoint },
	{ "sts-endpoint", set_sts_endpoint },
	{ "ca-file", set_ca_file },
	{ "profile", set_profile },
	{ "default-key", set_default_key },
	{ "account", set_account },
	{ "allow-keys", set_allow_keys },
	{ "proxy", set_proxy },
	{ "host-principal", set_host_principal },
};

static int take_region(const struct place *place, const char *name,
		       struct conf_regions *regions)
{
	struct conf_region *region;

	if (!conf_region_name_valid(name))
		return fault(place, "a region is lower case letters, digits and dashes, not",
			     name);
	if (conf_regions_find(regions, name))
		return fault(place, "there is a second section for region",
			     name);
	if (regions->count == CONF_MAX_REGIONS)
		return fault(place, "there are too many regions at", name);
	region = conf_regions_add(regions, name);
	if (!region)
		return -ENOMEM;
	region->line = place->line;
	return 0;
}

/* @text is changed: "[KIND NAME]". Whose section it is in *@kind_ret. */
static int take_section(const struct place *place, char *text,
			struct conf_regions *regions,
			enum key_kind *kind_ret)
{
	char *name = strchr(text, ' ');
	size_t len = strlen(text);
	enum key_kind kind = KEY_AWS;
	int r;

	if (!name || text[len - 1] != ']')
		return fault(place, SECTIONS, text);
	*name = '\0';
	/* The provider of regions has another name in slots. */
	if (strcmp(text, "[region") != 0 &&
	    (key_section_find(text + 1, &kind) < 0 || kind == KEY_AWS)) {
		*name = ' ';
		return fault(place, SECTIONS, text);
	}
	text[len - 1] = '\0';
	name++;
	r = kind == KEY_AWS ? take_region(place, name, regions) :
			      conf_provider_add(place, kind, name, regions);
	if (r == 0)
		*kind_ret = kind;
	return r;
}

static int set_region(const struct place *place, const char *name,
		      const char *value, struct conf_regions *regions,
		      unsigned int *seen)
{
	size_t i;

	for (i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		if (strcmp(settings[i].name, name) == 0)
			break;
	if (i == sizeof(settings) / sizeof(settings[0])) {
		log_error("%s:%zu: unknown name '%s'; known are " KNOWN_NAMES,
			  place->path, place->line, name);
		return -EINVAL;
	}
	if (regions->count == 0)
		return fault(place, "no [region NAME] stands before", name);
	if (*value == '\0')
		return fault(place, "there is no value for", name);
	if (*seen & 1u << i)
		return fault(place, "there is a second value for", name);
	*seen |= 1u << i;
	return settings[i].set(place, regions->at[regions->count - 1], value);
}

static int take_setting(const struct place *place, char *text,
			enum key_kind kind, struct conf_regions *regions,
			unsigned int *seen)
{
	char *value = strchr(text, '=');
	char *end = value;

	if (!value)
		return fault(place, "a line is NAME = VALUE, not", text);
	while (end > text && isspace((unsigned char)end[-1]))
		end--;
	*end = '\0';
	for (value++; isspace((unsigned char)*value); value++)
		;
	if (kind == KEY_AWS)
		return set_region(place, text, value, regions, seen);
	if (*value == '\0')
		return fault(place, "there is no value for", text);
	return conf_provider_set(place,
			regions->providers[regions->provider_count - 1], text,
			value);
}

/* @text is changed: lines and names are cut out in place. */
static int parse(const char *path, char *text, struct conf_regions *regions)
{
	struct place place = { path, 0 };
	enum key_kind kind = KEY_AWS;
	unsigned int seen = 0;
	char *line;
	int r = 0;

	while (r == 0 && (line = strsep(&text, "\n"))) {
		size_t len;

		place.line++;
		while (isspace((unsigned char)*line))
			line++;
		len = strlen(line);
		while (len > 0 && isspace((unsigned char)line[len - 1]))
			line[--len] = '\0';
		if (len == 0 || line[0] == '#')
			continue;
		if (line[0] == '[') {
			r = take_section(&place, line, regions, &kind);
			seen = 0;
		} else {
			r = take_setting(&place, line, kind, regions, &seen);
		}
	}
	return r < 0 ? r : conf_providers_check(path, regions);
}

bool conf_file_trusted(const char *path, const struct stat *st, uid_t euid)
{
	if (euid != 0 || strncmp(path, "/etc/", 5) != 0)
		return true;
	return st->st_uid == 0 && (st->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* The whole file with a NUL behind it. */
static int read_text(const char *path, int fd, char **ret,
		     size_t *bytes_ret)
{
	char *text = malloc(CONF_MAX_BYTES + 1);
	size_t used = 0;
	ssize_t n = 1;
	int r = -EINVAL;

	if (!text)
		return -ENOMEM;
	while (n > 0 && used < CONF_MAX_BYTES) {
		n = read(fd, text + used, CONF_MAX_BYTES - used);
		if (n < 0) {
			log_error("%s: cannot be read: %s", path,
				  strerror(errno));
			goto out;
		}
		used += n;
	}
	if (n > 0) {
		log_error("%s: longer than %d bytes", path, CONF_MAX_BYTES);
		goto out;
	}
	text[used] = '\0';
	if (strlen(text) != used) {
		log_error("%s: has a NUL byte, so it is no text file", path);
		goto out;
	}
	*ret = text;
	*bytes_ret = used;
	text = NULL;
	r = 0;
out:
	free(text);
	return r;
}

int conf_text_read(const char *path, bool must, char **ret, size_t *bytes_ret)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0 && errno == ENOENT && !must)
		return -ENOENT;
	if (fd < 0 || fstat(fd, &st) < 0) {
		log_error("%s: cannot be opened: %s", path, strerror(errno));
		r = -EINVAL;
	} else if (!conf_file_trusted(path, &st, geteuid())) {
		log_error("%s: others than root can change it; run chown root and chmod go-w on it",
			  path);
		r = -EACCES;
	} else {
		r = read_text(path, fd, ret, bytes_ret);
	}
	if (fd >= 0)
		close(fd);
	return r;
}

int conf_file_read(const char *path, bool must, struct conf_regions *ret)
{
	char *text = NULL;
	size_t bytes;
	int r = conf_text_read(path, must, &text, &bytes);

	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = parse(path, text, ret);
	free(text);
	return r;
}
