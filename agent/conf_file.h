/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Private to conf: the file's text turned into regions. */
#ifndef ENVELOPE_CONF_FILE_H
#define ENVELOPE_CONF_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "conf.h"

#define CONF_MAX_REGIONS 64
#define CONF_MAX_PATTERNS 64
#define CONF_MAX_PROVIDERS 64

/* All sections of a file. */
struct conf_regions {
	struct conf_region *at[CONF_MAX_REGIONS];
	size_t count;
	struct conf_provider *providers[CONF_MAX_PROVIDERS];
	size_t provider_count;
};

/* Where a line stands, for the sentence about it. */
struct place {
	const char *path;
	size_t line;
};

/*
 * Read @path. A missing file gives no regions unless @must.
 * 0; a sentence and -EINVAL, -EACCES or -ENOMEM as conf_load().
 */
int conf_file_read(const char *path, bool must, struct conf_regions *ret);

/*
 * The whole text of @path, with a NUL behind it, for free(3), and its length
 * without that. -ENOENT: no such file, without a sentence unless @must. As
 * conf_file_read() besides.
 */
int conf_text_read(const char *path, bool must, char **ret,
		   size_t *bytes_ret);

/* A region of that name, [a-z0-9-]+, behind the others. NULL: no memory. */
struct conf_region *conf_regions_add(struct conf_regions *regions,
				     const char *name);
struct conf_region *conf_regions_find(const struct conf_regions *regions,
				      const char *name);
void conf_regions_free(struct conf_regions *regions);

bool conf_region_name_valid(const char *name);

/*
 * Is @url an https:// origin? On success the copy in *@ret (for free(3)) has
 * no slash at the end. 0; -ENOMEM; -EINVAL with the reason in *@why_ret.
 */
int conf_endpoint(const char *url, char **ret, const char **why_ret);

/* Is @url http://HOST:PORT or https://HOST:PORT? */
bool conf_proxy_valid(const char *url);

/*
 * conf_provider.c. Each prints its sentence; -EINVAL, -ENOMEM.
 */

/* Section [KIND NAME] begins: a provider behind the others in @all. */
int conf_provider_add(const struct place *place, enum key_kind kind,
		      const char *name, struct conf_regions *all);

/* A line NAME = VALUE of it. */
int conf_provider_set(const struct place *place, struct conf_provider *p,
		      const char *name, const char *value);

/* At the end of the file: what is missing or does not fit together. */
int conf_providers_check(const char *path, const struct conf_regions *all);

void conf_provider_free(struct conf_provider *p);

#endif
